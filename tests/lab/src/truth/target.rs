//! What a scene is made of: networks and the containers on them, described as data.

use std::net::IpAddr;

use crate::{Engine, Lab, LabError, Protocol};

/// What a network does with one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It has none of it.
    None,
    /// Docker's default: ports are led from the host's addresses.
    Nat,
    /// The same, and the container's own address is open to everybody besides.
    Unprotected,
    /// No ports of the host: published ports are open at the container's own address.
    Routed,
    /// No way out and none in.
    Internal,
    /// The same, and not even the host has an address there.
    Isolated,
}

impl Mode {
    fn option(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Nat | Self::Internal => None,
            Self::Unprotected => Some("nat-unprotected"),
            Self::Routed => Some("routed"),
            Self::Isolated => Some("isolated"),
        }
    }

    fn is_closed(self) -> bool {
        matches!(self, Self::Internal | Self::Isolated)
    }
}

/// A network to be made.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its name; `bridge` is there already.
    pub(crate) name: &'static str,
    /// Its IPv6 subnet, if it has one.
    subnet: Option<&'static str>,
    v4: Mode,
    v6: Mode,
    /// More options of its driver.
    options: &'static [&'static str],
    /// Whether it lies on the external link itself: its containers are neighbours of the neighbours.
    pub(crate) on_the_link: bool,
    /// Whether published ports are open at the container's own address too, to those on the external bridge.
    pub(crate) trusting: bool,
    /// The first engine that has such.
    pub(crate) since: Engine,
}

/// Docker's default network.
pub(crate) static BRIDGE: Network = Network::dual("bridge", "");

impl Network {
    /// A dual stack network as Docker makes it.
    pub(crate) const fn dual(name: &'static str, subnet: &'static str) -> Self {
        let subnet = Some(subnet);
        let (v4, v6, since) = (Mode::Nat, Mode::Nat, Engine::V20_10);
        Self { name, subnet, v4, v6, options: &[], on_the_link: false, trusting: false, since }
    }

    /// One without IPv6.
    pub(crate) const fn only_v4(name: &'static str) -> Self {
        Self { subnet: None, v6: Mode::None, ..Self::dual(name, "") }
    }

    /// With other modes, on engines from this on.
    pub(crate) const fn modes(self, v4: Mode, v6: Mode, since: Engine) -> Self {
        Self { v4, v6, since, ..self }
    }

    /// A macvlan network on the external link, where friend and stranger live.
    pub(crate) const fn macvlan(name: &'static str) -> Self {
        let open = Mode::Unprotected;
        Self { on_the_link: true, v4: open, v6: open, ..Self::dual(name, "") }
    }

    /// With options of its driver.
    pub(crate) const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    /// That trusts the external bridge, as 28.2 and later can.
    pub(crate) const fn trusting(self) -> Self {
        let options = &["com.docker.network.bridge.trusted_host_interfaces=br-ext"];
        Self { trusting: true, options, since: Engine::V28_5, ..self }
    }

    pub(crate) fn mode(&self, address: IpAddr) -> Mode {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// Whether ports of the host lead to it over one of the families at least.
    pub(crate) fn is_led_to(&self) -> bool {
        [self.v4, self.v6].iter().any(|mode| matches!(mode, Mode::Nat | Mode::Unprotected))
    }

    pub(crate) fn create(&self, lab: &Lab) -> Result<(), LabError> {
        if self.on_the_link {
            let words = "network create --driver macvlan --opt parent=br-ext --subnet 203.0.113.0/24 \
                         --gateway 203.0.113.1 --ipv6 --subnet fd00:1::/64 --gateway fd00:1::1";
            let words: Vec<&str> = words.split_whitespace().chain([self.name]).collect();
            return lab.docker(&words)?.require("docker network create").map(drop);
        }
        let mut words = vec!["network".to_owned(), "create".to_owned()];
        words.extend(self.subnet.iter().flat_map(|subnet| ["--ipv6", "--subnet", subnet].map(str::to_owned)));
        if self.v4 == Mode::None {
            words.push("--ipv4=false".to_owned());
        }
        if self.v4.is_closed() {
            words.push("--internal".to_owned());
        }
        for (family, mode) in [("ipv4", self.v4), ("ipv6", self.v6)] {
            let option = mode.option().map(|mode| format!("com.docker.network.bridge.gateway_mode_{family}={mode}"));
            words.extend(option.into_iter().flat_map(|option| ["--opt".to_owned(), option]));
        }
        words.extend(self.options.iter().flat_map(|option| ["--opt", option].map(str::to_owned)));
        words.push(self.name.to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        lab.docker(&words)?.require("docker network create").map(drop)
    }
}

/// Ports that lead to as many of the container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish {
    pub(crate) protocol: Protocol,
    /// The container's first.
    pub(crate) inner: u16,
    /// The host's first.
    pub(crate) host: u16,
    /// How many.
    pub(crate) count: u16,
}

impl Publish {
    pub(crate) const fn one(protocol: Protocol, inner: u16, host: u16) -> Self {
        Self { protocol, inner, host, count: 1 }
    }

    fn host_port(self, protocol: Protocol, inner: u16) -> Option<u16> {
        let place = inner.checked_sub(self.inner).filter(|place| *place < self.count)?;
        (self.protocol == protocol).then_some(self.host + place)
    }
}

/// What stands for each port of a container.
pub(crate) const WEB: u16 = 80;
pub(crate) const NAMES: u16 = 53;
/// What sessions are held with.
pub(crate) const STREAM: u16 = 81;
/// Served, never published.
pub(crate) const UNPUBLISHED: [(Protocol, u16); 2] = [(Protocol::Tcp, 90), (Protocol::Udp, 54)];

const HELD: [(Protocol, u16); 2] = [(Protocol::Tcp, STREAM), (Protocol::Udp, NAMES)];

/// The ports of a usual target, and the host's of the first.
const USUAL: &[Publish] = &[
    Publish::one(Protocol::Tcp, WEB, 8080),
    Publish::one(Protocol::Udp, NAMES, 5353),
    Publish::one(Protocol::Tcp, STREAM, 8081),
];

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
    /// What is published, as the first target of a scene has it.
    publish: &'static [Publish],
    /// What its host ports have more than those of the first target.
    offset: u16,
    /// The ports that are tried on it, of the container. The stream is for sessions.
    pub(crate) tried: &'static [(Protocol, u16)],
    /// Whether `ALL` in a script means it too.
    pub(crate) managed: bool,
    /// With which ports sessions are held: a stream, and datagrams.
    pub(crate) held: [(Protocol, u16); 2],
}

impl Target {
    pub(crate) const fn usual(name: &'static str, networks: &'static [&'static str], offset: u16) -> Self {
        let tried = &[(Protocol::Tcp, WEB), (Protocol::Udp, NAMES)];
        Self { name, networks, bound: None, label: None, publish: USUAL, offset, tried, managed: true, held: HELD }
    }

    /// On the host's own network: rules guard the ports there that they name, and no others.
    pub(crate) const fn on_the_host(
        name: &'static str,
        tried: &'static [(Protocol, u16)],
        held: [(Protocol, u16); 2],
    ) -> Self {
        Self { publish: &[], tried, held, ..Self::usual(name, &[], 0) }
    }

    /// Whether it is.
    pub(crate) fn is_on_the_host(&self) -> bool {
        self.networks.is_empty()
    }

    /// With a label.
    pub(crate) const fn labelled(self, label: &'static str) -> Self {
        Self { label: Some(label), ..self }
    }

    /// With its ports on one address of the host.
    pub(crate) const fn bound_to(self, address: &'static str) -> Self {
        Self { bound: Some(address), ..self }
    }

    /// Not meant by `ALL`.
    pub(crate) const fn unmanaged(self) -> Self {
        Self { managed: false, ..self }
    }

    /// With its own ports.
    pub(crate) const fn publishing(self, publish: &'static [Publish], tried: &'static [(Protocol, u16)]) -> Self {
        Self { publish, offset: 0, tried, ..self }
    }

    /// With other ports tried.
    pub(crate) const fn tried(self, tried: &'static [(Protocol, u16)]) -> Self {
        Self { tried, ..self }
    }

    /// The host ports of a container port.
    pub(crate) fn published(&self, protocol: Protocol, port: u16) -> Vec<u16> {
        let led = self.publish.iter().filter_map(|publish| publish.host_port(protocol, port));
        led.map(|host| host + self.offset).collect()
    }

    /// Whether a container port is published.
    pub(crate) fn publishes(&self, (protocol, port): (Protocol, u16)) -> bool {
        !self.published(protocol, port).is_empty()
    }

    /// The arguments of `docker run`.
    pub(crate) fn docker_args(&self) -> Vec<String> {
        let first = self.networks.first().copied().unwrap_or("host");
        let mut words = vec!["--network".to_owned(), first.to_owned()];
        for Publish { protocol, inner, host, count } in self.publish {
            let range = |first: u16| match count {
                1 => first.to_string(),
                _ => format!("{first}-{}", first + count - 1),
            };
            let address = self.bound.map(|address| format!("{address}:")).unwrap_or_default();
            let (inner, host) = (range(*inner), range(host + self.offset));
            words.extend(["-p".to_owned(), format!("{address}{host}:{inner}/{protocol}")]);
        }
        words.extend(self.label.iter().flat_map(|label| ["--label".to_owned(), (*label).to_owned()]));
        words
    }

    /// What its peer serves: every port that is tried, and the stream.
    pub(crate) fn services(&self) -> Vec<String> {
        let also: &[(Protocol, u16)] = if self.is_on_the_host() { &[] } else { &UNPUBLISHED };
        let [stream, datagrams] = self.held;
        let all = self.tried.iter().chain(also).chain([&datagrams]).filter(|port| **port != stream);
        let mut services: Vec<String> = all.map(|(protocol, port)| format!("{protocol}={port}")).collect();
        services.sort();
        services.dedup();
        services.push(format!("stream={}", stream.1));
        services
    }
}
