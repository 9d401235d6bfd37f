//! Who can be reached and who tries: the containers of the table and the ways to them, described once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::{Addresses, Client, Lab, LabError, Protocol};

/// A container that is tried to be reached.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name, which its peer answers with.
    pub(crate) name: &'static str,
    /// Its networks, the one it is started on first.
    pub(crate) networks: &'static [&'static str],
    /// The host address that its ports are published on; all of them if there is none.
    pub(crate) bound: Option<&'static str>,
    /// Its label.
    pub(crate) label: Option<&'static str>,
    /// What its host ports have more than those of the first target.
    offset: u16,
}

/// What stands for each port of a container.
pub(crate) const WEB: u16 = 80;
pub(crate) const NAMES: u16 = 53;
pub(crate) const STREAM: u16 = 81;
/// Served, never published.
const UNPUBLISHED: [(Protocol, u16); 2] = [(Protocol::Tcp, 90), (Protocol::Udp, 54)];
/// The ports of each target, and the host's of the first.
const PORTS: [(Protocol, u16, u16); 3] =
    [(Protocol::Tcp, WEB, 8080), (Protocol::Udp, NAMES, 5353), (Protocol::Tcp, STREAM, 8081)];

const fn target(name: &'static str, networks: &'static [&'static str], offset: u16) -> Target {
    Target { name, networks, bound: None, label: None, offset }
}

/// Every target of the table.
pub(crate) const TARGETS: [Target; 6] = [
    target("web", &["bridge"], 0),
    Target { label: Some("tier=front"), ..target("multi", &["blue", "green"], 100) },
    // No IPv6 of its own: what comes to [::] is taken by docker-proxy on the host.
    target("plain", &["four"], 200),
    Target { bound: Some("203.0.113.1"), ..target("bound", &["bridge"], 300) },
    // Never allowed by name: what is not managed stays as Docker left it.
    target("other", &["bridge"], 400),
    // Only ever denied.
    target("public", &["blue"], 500),
];

/// Networks to be made: dual stack ones with their IPv6 subnet.
const NETWORKS: [(&str, Option<&str>); 4] =
    [("blue", Some("fd00:b1::/64")), ("green", Some("fd00:b2::/64")), ("red", Some("fd00:b3::/64")), ("four", None)];

/// Containers that only try, each with its network.
const CALLERS: [(&str, &str); 3] = [("near", "bridge"), ("mate", "blue"), ("far", "red")];

impl Target {
    /// The host port of a container port.
    pub(crate) fn published(&self, protocol: Protocol, port: u16) -> Option<u16> {
        PORTS.iter().find(|(kind, inner, _)| (*kind, *inner) == (protocol, port)).map(|(_, _, host)| host + self.offset)
    }

    /// The ports that are tried on it: published ones and others. The stream is for sessions.
    pub(crate) fn ports(&self) -> Vec<(Protocol, u16)> {
        let mut ports = vec![(Protocol::Tcp, WEB), (Protocol::Udp, NAMES)];
        if self.name == "web" {
            ports.extend(UNPUBLISHED);
        }
        ports
    }

    fn start(&self, lab: &Lab) -> Result<(), LabError> {
        let mut words = vec!["--network".to_owned(), self.networks[0].to_owned()];
        for (protocol, inner, host) in PORTS {
            let address = self.bound.map(|address| format!("{address}:")).unwrap_or_default();
            words.extend(["-p".to_owned(), format!("{address}{}:{inner}/{protocol}", host + self.offset)]);
        }
        words.extend(self.label.iter().flat_map(|label| ["--label".to_owned(), (*label).to_owned()]));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        lab.run(self.name, &words, &["tcp=80,90", "stream=81", "udp=53,54"])?;
        for network in &self.networks[1..] {
            lab.docker(&["network", "connect", network, self.name])?.require("docker network connect")?;
        }
        Ok(())
    }
}

/// Where an attempt comes from.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Its name in the table.
    pub(crate) name: String,
    /// Its network namespace.
    pub(crate) place: PathBuf,
    /// The neighbour it is; `None` for the host and for containers, which no rule speaks of.
    pub(crate) outside: Option<Client>,
}

/// All of it, running.
#[derive(Debug)]
pub(crate) struct World<'a> {
    /// The lab it runs in.
    pub(crate) lab: &'a Lab,
    /// The neighbours, the host, the calling containers.
    pub(crate) callers: Vec<Caller>,
    /// The targets as callers.
    pub(crate) inner: Vec<Caller>,
    addresses: BTreeMap<(&'static str, &'static str), Addresses>,
}

impl<'a> World<'a> {
    /// Starts it.
    pub(crate) fn start(lab: &'a Lab) -> Result<Self, LabError> {
        for (name, v6) in NETWORKS {
            let mut words = vec!["network", "create", name];
            words.extend(v6.iter().flat_map(|subnet| ["--ipv6", "--subnet", subnet]));
            lab.docker(&words)?.require("docker network create")?;
        }
        for target in &TARGETS {
            target.start(lab)?;
        }
        for (name, network) in CALLERS {
            lab.run(name, &["--network", network], &[])?;
        }
        for client in [Client::Friend, Client::Stranger] {
            lab.serve_as(client, &["tcp=7000", "udp=7000"])?;
        }
        let container = |name: &str| -> Result<Caller, LabError> {
            Ok(Caller { name: name.to_owned(), place: lab.inside(name)?, outside: None })
        };
        let mut callers: Vec<Caller> = [Client::Friend, Client::Stranger, Client::Host]
            .into_iter()
            .map(|client| Caller {
                name: client.to_string(),
                place: lab.place(client),
                outside: (client != Client::Host).then_some(client),
            })
            .collect();
        for (name, _) in CALLERS {
            callers.push(container(name)?);
        }
        let mut inner = Vec::new();
        let mut addresses = BTreeMap::new();
        for target in &TARGETS {
            inner.push(container(target.name)?);
            for network in target.networks {
                addresses.insert((target.name, *network), lab.addresses(target.name, network)?);
            }
        }
        Ok(Self { lab, callers, inner, addresses })
    }

    /// The addresses that a target has on a network.
    pub(crate) fn addresses(&self, target: &Target, network: &'static str) -> Vec<IpAddr> {
        let both = self.addresses.get(&(target.name, network));
        both.into_iter().flat_map(|addresses| [addresses.v4, addresses.v6]).flatten().collect()
    }
}
