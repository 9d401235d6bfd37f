//! Every way into every container, as far as policy, engine and kernel tell.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use super::way::{Exposure, Resident, Road, Way};
use super::{access, beyond_reach, is_guarded, rules_of, strangers_pass, unforwarded};
use crate::inventory::{Container, Inventory, NetworkMode, Service};
use crate::net::{Family, Protocol};
use crate::policy::{Policy, Target};
use crate::resolve::{named_ports, network_owner, selects, selects_service};
use crate::ruleset::{Dump, Table, names};

mod direct;
mod services;
mod wires;

pub use services::{service_ways, withheld_ways};

/// What ways are read off.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The engine's containers.
    pub inventory: &'a Inventory,
    /// The host's kernel, where it could be read.
    pub kernel: Option<&'a Dump>,
    /// Whether it holds something else than what the policy says.
    pub differs: bool,
    /// What the network namespaces of containers hold, by full ID.
    pub inside: BTreeMap<&'a str, &'a Dump>,
    /// The present moment, for expiry.
    pub now: Timestamp,
    forwarded: Option<BTreeSet<Forwarded>>,
}

/// A port of a container that Docker's own rules let through.
type Forwarded = (IpAddr, String, u16);

impl<'a> View<'a> {
    /// The view of a moment.
    pub fn new(
        (policy, inventory): (&'a Policy, &'a Inventory),
        kernel: Option<&'a Dump>,
        differs: bool,
        now: Timestamp,
    ) -> Self {
        // Where Docker writes nftables of its own, these tables say nothing of what it forwards.
        let nftables = inventory.engine.firewall_backend.as_deref().is_some_and(|name| name.starts_with("nftables"));
        let told = kernel.filter(|_| !nftables);
        Self { policy, inventory, kernel, differs, inside: BTreeMap::new(), now, forwarded: told.map(forwarded) }
    }

    /// The kernel, when it does not hold what the policy says.
    fn differing(&self) -> Option<&'a Dump> {
        self.kernel.filter(|_| self.differs)
    }

    /// What kind of way a binding is: the kernel rewrites what Docker's rules let through to an address of its family;
    /// the rest reaches docker-proxy.
    fn road(&self, container: &Container, family: Family, protocol: Protocol, port: u16) -> Road {
        let mut own = self.inventory.forwarded(container).filter_map(|(endpoint, _)| endpoint.address(family));
        let rewritten = match &self.forwarded {
            Some(known) => own.any(|address| known.contains(&(address, protocol.to_string(), port))),
            None => own.next().is_some(),
        };
        if rewritten { Road::Dnat } else { Road::Proxy }
    }
}

/// What Docker's rules let through: `-d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT`.
fn forwarded(kernel: &Dump) -> BTreeSet<Forwarded> {
    let mut found = BTreeSet::new();
    for family in Family::ALL {
        let Some(chain) = kernel.chain(family, Table::Filter, names::DOCKER) else { continue };
        for line in chain.lines.iter().filter(|line| line.text.ends_with("-j ACCEPT")) {
            let words: Vec<&str> = line.text.split(' ').collect();
            let after = |flag: &str| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
            let address = after("-d").and_then(|block| block.split('/').next()?.parse().ok());
            let port = after("--dport").and_then(|port| port.parse().ok());
            if let (Some(address), Some(protocol), Some(port)) = (address, after("-p"), port) {
                found.insert((address, protocol.to_owned(), port));
            }
        }
    }
    found
}

/// The ways into `containers`, in their order.
pub fn ways(view: &View<'_>, containers: &[&Container]) -> Vec<Way> {
    containers.iter().flat_map(|container| ways_into(view, container)).collect()
}

fn is_managed(view: &View<'_>, container: &Container, ruled: bool) -> bool {
    let (policy, inventory) = (view.policy, view.inventory);
    if container.mode == NetworkMode::Host {
        return !named_ports(policy, inventory, container).is_empty();
    }
    (ruled || is_guarded(policy, inventory, container)) && beyond_reach(inventory, container).is_none()
}

fn ways_into(view: &View<'_>, container: &Container) -> Vec<Way> {
    let (policy, inventory) = (view.policy, view.inventory);
    let rules: Vec<usize> = rules_of(policy, inventory, container).into_iter().map(|(number, _)| number).collect();
    let managed = is_managed(view, container, !rules.is_empty());
    let blank = Way { rules, ..Way::to(Resident::container(container, inventory), managed) };
    if !container.running {
        let stopped = Way { from: "nobody (stopped)".to_owned(), ..blank };
        return if stopped.managed { vec![stopped] } else { Vec::new() };
    }
    match &container.mode {
        NetworkMode::Host => return wires::host_network(view, container, &blank),
        NetworkMode::Container(other) => return vec![shared(view, container, other, blank)],
        NetworkMode::Own | NetworkMode::None => {}
    }
    let mut ways = unguardable(view, container, &blank);
    let wires = wires::past_the_host(view, container, &blank);
    if container.bindings.is_empty() && managed && wires.is_empty() {
        ways.push(Way { from: "no published port".to_owned(), ..blank.clone() });
    }
    ways.extend(wires);
    ways.extend(published(view, container, &blank));
    ways.extend(direct::ways(view, container, &blank));
    ways
}

/// The network of another container.
fn shared(view: &View<'_>, container: &Container, other: &str, blank: Way) -> Way {
    let Some(owner) = network_owner(view.inventory, container) else {
        let published = format!("network of {}", other.chars().take(12).collect::<String>());
        let from = "nobody (that container is gone)".to_owned();
        return Way { published, from, road: Road::Shared, managed: false, rules: Vec::new(), ..blank };
    };
    let (from, exposure) = if owner.running {
        let worst = ways_into(view, owner).into_iter().map(|way| way.exposure).max();
        (format!("as {}", owner.name), worst.unwrap_or(Exposure::Closed))
    } else {
        ("nobody (stopped)".to_owned(), Exposure::Closed)
    };
    Way { published: format!("network of {}", owner.name), from, exposure, road: Road::Shared, ..blank }
}

/// Networks where no rule reaches.
fn unguardable(view: &View<'_>, container: &Container, blank: &Way) -> Vec<Way> {
    unforwarded(view.inventory, container)
        .map(|network| Way {
            published: format!("{} {}", network.driver, network.name),
            road: Road::Driver(network.driver.clone()),
            from: "everyone (not guarded)".to_owned(),
            exposure: Exposure::World,
            managed: false,
            ..blank.clone()
        })
        .collect()
}

/// Ports of the host that Docker publishes.
fn published(view: &View<'_>, container: &Container, blank: &Way) -> Vec<Way> {
    let (policy, inventory) = (view.policy, view.inventory);
    let mut bindings = container.bindings.clone();
    bindings.sort_by_key(|binding| (binding.container_port, binding.protocol, binding.host_address, binding.host_port));
    let way = |binding: &crate::inventory::Binding| {
        let known = access(policy, inventory, container, binding, view.now);
        let open = view.differing().map(|state| strangers_pass(state, inventory, container, binding));
        let host = match binding.host_address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let family = Family::of(&binding.host_address);
        let way = Way {
            published: binding.host_port.map_or_else(|| format!("{host}:?"), |port| format!("{host}:{port}")),
            port: format!("{}/{}", binding.container_port, binding.protocol),
            road: view.road(container, family, binding.protocol, binding.container_port),
            family: Some(family),
            ..blank.clone()
        };
        way.open_to(&known, open)
    };
    bindings.iter().map(way).collect()
}

/// Targets of rules that nobody is yet.
pub fn pending_ways(view: &View<'_>, services: &[Service]) -> Vec<Way> {
    let inventory = view.inventory;
    let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let is_there = |target: &Target| {
        inventory.containers.iter().any(|container| selects(target, container, inventory))
            || services.iter().any(|service| selects_service(target, service, inventory))
    };
    for (index, rule) in view.policy.rules.iter().enumerate() {
        for target in rule.targets.iter().filter(|target| **target != Target::All && !is_there(target)) {
            waiting.entry(target.to_string()).or_default().push(index + 1);
        }
    }
    let way = |(name, rules): (String, Vec<usize>)| {
        let resident = Resident { name, state: "pending", ..Resident::default() };
        Way { rules, from: "nobody (no such container yet)".to_owned(), ..Way::to(resident, true) }
    };
    waiting.into_iter().map(way).collect()
}
