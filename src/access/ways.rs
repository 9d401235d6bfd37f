//! Every way into every container, as far as policy, engine and kernel tell.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::effect::{self, Onlooker};
use super::way::{Exposure, Lead, Resident, Road, Way};
use super::{Ruled, beyond_reach, unforwarded};
use crate::inventory::{Container, Inventory, NetworkMode, Service};
use crate::net::Family;
use crate::policy::{Policy, Target};
use crate::resolve::{named_ports, network_owner, selects, selects_service};

mod direct;
mod services;
mod wires;

pub use services::{service_ways, withheld_ways};

/// What ways are read off.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The engine's containers.
    pub inventory: &'a Inventory,
    /// Who looks at the kernel as it is; without one, what is said is what the policy says.
    pub onlooker: Option<&'a dyn Onlooker>,
    /// The present moment, for expiry.
    pub now: Timestamp,
}

impl View<'_> {
    /// What kind of way a binding usually is: the kernel rewrites what goes to an address of its family; the rest reaches
    /// docker-proxy.
    fn usual_road(&self, container: &Container, family: Family) -> Road {
        let mut own = self.inventory.forwarded(container).filter_map(|(endpoint, _)| endpoint.address(family));
        if own.next().is_some() { Road::Dnat } else { Road::Proxy }
    }

    /// Holds ways against what the kernel does.
    fn tried(&self, ways: &mut [Way]) {
        if let Some(onlooker) = self.onlooker {
            for way in ways {
                effect::try_out(way, self.policy, onlooker, self.now);
            }
        }
    }
}

/// The ways into `containers`, in their order.
pub fn ways(view: &View<'_>, containers: &[&Container]) -> Vec<Way> {
    containers.iter().flat_map(|container| ways_into(view, container)).collect()
}

fn is_managed(view: &View<'_>, container: &Container, ruled: &Ruled<'_>) -> bool {
    let (policy, inventory) = (view.policy, view.inventory);
    if container.mode == NetworkMode::Host {
        return !named_ports(policy, inventory, container).is_empty();
    }
    (ruled.guarded || !ruled.rules.is_empty()) && beyond_reach(inventory, container).is_none()
}

fn ways_into(view: &View<'_>, container: &Container) -> Vec<Way> {
    let (policy, inventory) = (view.policy, view.inventory);
    let ruled = Ruled::of(policy, inventory, container);
    let numbers: Vec<usize> = ruled.rules.iter().map(|(number, _)| *number).collect();
    let managed = is_managed(view, container, &ruled);
    let blank = Way { rules: numbers, ..Way::to(Resident::container(container, inventory), managed) };
    if !container.running {
        let stopped = Way { from: "nobody (stopped)".to_owned(), ..blank };
        return if stopped.managed { vec![stopped] } else { Vec::new() };
    }
    let mut ways = match &container.mode {
        NetworkMode::Host => wires::host_network(view, container, &blank),
        NetworkMode::Container(other) => return vec![shared(view, container, other, blank)],
        NetworkMode::Own | NetworkMode::None => {
            let mut ways = unguardable(view, container, &blank);
            let wires = wires::past_the_host(view, container, &ruled, &blank);
            if container.bindings.is_empty() && managed && wires.is_empty() {
                ways.push(Way { from: "no published port".to_owned(), ..blank.clone() });
            }
            ways.extend(wires);
            ways.extend(published(view, container, &ruled, &blank));
            ways
        }
    };
    view.tried(&mut ways);
    ways.extend(direct::ways(view, container, &ruled, &blank));
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
fn published(view: &View<'_>, container: &Container, ruled: &Ruled<'_>, blank: &Way) -> Vec<Way> {
    let mut bindings = container.bindings.clone();
    bindings.sort_by_key(|binding| (binding.container_port, binding.protocol, binding.host_address, binding.host_port));
    let way = |binding: &crate::inventory::Binding| {
        let host = match binding.host_address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let family = Family::of(&binding.host_address);
        let way = Way {
            published: binding.host_port.map_or_else(|| format!("{host}:?"), |port| format!("{host}:{port}")),
            port: format!("{}/{}", binding.container_port, binding.protocol),
            road: view.usual_road(container, family),
            family: Some(family),
            ..blank.clone()
        };
        let at = Some(binding.host_address).filter(|address| !address.is_unspecified());
        let to = binding.host_port.map(|port| (binding.protocol, at, port)).into_iter().collect();
        way.open_to(ruled.access(binding, view.now), Lead::Through, &container.id, to)
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
