//! Names become addresses: a policy and an inventory give, for every container address, the rules that speak of it.
//!
//! Nothing is decided here and nothing is looked up outside the arguments. What a name does not mean is a [`Finding`];
//! the caller decides whether that is an error (a rule being written) or a remark (a container that is away).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::inventory::{Container, Inventory, NetworkMode};
use crate::lint::{self, Finding};
use crate::net::{Family, Protocol};
use crate::policy::{DefaultAccess, Hook, Policy, Rule, Target, Verdict};

/// What rules are resolved against.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The engine's containers and networks.
    pub inventory: &'a Inventory,
    /// Names of our sets.
    pub sets: &'a BTreeSet<String>,
    /// Kernel sets of other tools that a rule may name, with their families.
    pub ipsets: &'a BTreeMap<String, Family>,
    /// The present moment, for expiry.
    pub now: Timestamp,
}

/// One container address and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// Who has it.
    pub container: String,
    /// Indices into [`Resolved::rules`], in order; expired rules are left out.
    pub rules: Vec<usize>,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
}

/// One port of the host that leads to a container, and what is said of it. docker-proxy answers there whatever the
/// kernel does not rewrite: an IPv6 client of an IPv4-only container, everybody with `iptables=false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The host address, or everything of the family.
    pub block: IpNet,
    /// The protocol.
    pub protocol: Protocol,
    /// The host's port.
    pub port: u16,
    /// Who has it, or will have it when it starts again.
    pub container: String,
    /// Indices into [`Resolved::rules`] of the rules that speak of this port, in order; expired ones are left out.
    pub rules: Vec<usize>,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
}

/// A policy with its names resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The policy's rules; numbers are indices plus one.
    pub rules: Vec<Rule>,
    /// Addresses that a rule or the default speaks of, sorted.
    pub places: Vec<Place>,
    /// Ports of the host that lead to those containers, sorted.
    pub host_ports: Vec<HostPort>,
    /// Whole subnets that are guarded, when the default is closed: a container started later is closed at once.
    pub closed: Vec<IpNet>,
    /// Where containers live: subnet and bridge.
    pub inside: Vec<(IpNet, String)>,
    /// Seconds that the rule of each index still has; `None` without an expiry.
    pub remaining: Vec<Option<u32>>,
    /// Kernel sets of other tools that exist, with their families.
    pub ipsets: BTreeMap<String, Family>,
    /// Where the rules hang.
    pub hook: Hook,
    /// What did not fit.
    pub findings: Vec<Finding>,
}

impl Resolved {
    /// Whether anything of ours must be in the kernel's tables.
    pub fn is_active(&self) -> bool {
        !self.rules.is_empty() || !self.closed.is_empty()
    }
}

/// The container whose network `container` uses: itself, or the one named by `--network container:X`.
pub fn network_owner<'a>(inventory: &'a Inventory, container: &'a Container) -> Option<&'a Container> {
    let mut owner = container;
    // Docker refuses cycles; eight steps are more than it allows to nest.
    for _ in 0..8 {
        match &owner.mode {
            NetworkMode::Container(other) => owner = inventory.container(other)?,
            _ => return Some(owner),
        }
    }
    None
}

/// Whether `target` means `container`.
pub fn selects(target: &Target, container: &Container, inventory: &Inventory) -> bool {
    match target {
        Target::All => true,
        Target::Container(name) => container.name == *name,
        Target::Service(project, service) => {
            container.compose_service().is_some_and(|own| own == format!("{project}/{service}"))
        }
        Target::Label(key, None) => container.labels.contains_key(key),
        Target::Label(key, Some(value)) => container.labels.get(key) == Some(value),
        Target::Network(name) => container
            .endpoints
            .iter()
            .any(|endpoint| inventory.network(&endpoint.network).is_some_and(|network| network.name == *name)),
    }
}

/// Whether any target of `rule` means `container`.
pub fn rule_selects(rule: &Rule, container: &Container, inventory: &Inventory) -> bool {
    rule.targets.iter().any(|target| selects(target, container, inventory))
}

/// Seconds from `now` until `expires`, rounded up, at least 1; `None` when it is past.
fn seconds_left(expires: Timestamp, now: Timestamp) -> Option<u32> {
    let millis = expires.as_millisecond().saturating_sub(now.as_millisecond());
    if millis <= 0 { None } else { Some(u32::try_from((millis + 999) / 1000).unwrap_or(u32::MAX)) }
}

/// The addresses of a container that the host forwards to.
fn addresses<'a>(inventory: &'a Inventory, container: &'a Container) -> impl Iterator<Item = IpAddr> + 'a {
    inventory
        .forwarded(container)
        .flat_map(|(endpoint, _)| Family::ALL.into_iter().filter_map(|family| endpoint.address(family)))
}

/// What a binding's host address covers: itself, or its whole family when unspecified.
pub fn host_block(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => IpNet::V4(ipnet::Ipv4Net::default()),
        IpAddr::V6(v6) if v6.is_unspecified() => IpNet::V6(ipnet::Ipv6Net::default()),
        one => IpNet::from(one),
    }
}

/// Resolves every rule.
pub fn resolve(policy: &Policy, facts: &Facts<'_>) -> Resolved {
    let inventory = facts.inventory;
    let live = |&i: &usize| policy.rules[i].expires.is_none_or(|expires| seconds_left(expires, facts.now).is_some());
    let mut places: BTreeMap<IpAddr, Place> = BTreeMap::new();
    let mut owners: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
    let closed_default = policy.default == DefaultAccess::Closed;

    let mut host_ports: BTreeMap<(IpNet, Protocol, u16), HostPort> = BTreeMap::new();
    // Those that run come last, for a port is theirs even if one that is stopped asks for it too.
    let (running, stopped): (Vec<_>, Vec<_>) = inventory.containers.iter().partition(|container| container.running);
    for container in stopped.into_iter().chain(running) {
        let addresses: Vec<IpAddr> = if container.running { addresses(inventory, container).collect() } else { Vec::new() };
        for address in &addresses {
            owners.entry(*address).or_default().insert(&container.name);
        }
        let selected: Vec<usize> =
            (0..policy.rules.len()).filter(|&i| rule_selects(&policy.rules[i], container, inventory)).collect();
        // An expired allow keeps its container guarded: access that ends must not open the door to everybody.
        let guarded = closed_default || selected.iter().any(|&i| policy.rules[i].verdict == Verdict::Allow);
        let rules: Vec<usize> = selected.into_iter().filter(live).collect();
        for binding in &container.bindings {
            let Some(port) = binding.host_port.filter(|_| !binding.host_address.is_loopback()) else { continue };
            let key = (host_block(binding.host_address), binding.protocol, port);
            let speaks = |&i: &usize| policy.rules[i].ports.speak_of(binding.protocol, binding.container_port, Some(port));
            let rules: Vec<usize> = rules.iter().copied().filter(speaks).collect();
            if guarded || !rules.is_empty() {
                let (block, protocol, port) = key;
                let container = container.name.clone();
                host_ports.insert(key, HostPort { block, protocol, port, container, rules, guarded });
            } else {
                host_ports.remove(&key);
            }
        }
        if !rules.is_empty() || guarded {
            for address in addresses {
                let place = Place { address, container: container.name.clone(), rules: rules.clone(), guarded };
                places.insert(address, place);
            }
        }
    }
    let mut findings = lint::findings(policy, facts);
    for (address, names) in owners.into_iter().filter(|(_, names)| names.len() > 1) {
        // Nobody can say whose rules hold, so nobody comes in; addresses without any rule stay as they are.
        if let Some(place) = places.get_mut(&address) {
            place.rules.clear();
            place.guarded = true;
            let containers = names.into_iter().map(str::to_owned).collect();
            findings.push(Finding::SharedAddress { address, containers });
        }
    }

    let forwarded = || inventory.networks.iter().filter(|network| network.forwarded());
    let mut inside: Vec<(IpNet, String)> = forwarded()
        .filter_map(|network| Some((network.bridge.clone()?, network)))
        .flat_map(|(bridge, network)| network.subnets.iter().map(move |subnet| (subnet.trunc(), bridge.clone())))
        .collect();
    inside.sort();
    let mut closed = Vec::new();
    if closed_default {
        closed = forwarded().flat_map(|network| network.subnets.iter().map(IpNet::trunc)).collect();
        closed.sort();
    }
    Resolved {
        remaining: policy.rules.iter().map(|rule| rule.expires.and_then(|at| seconds_left(at, facts.now))).collect(),
        rules: policy.rules.clone(),
        places: places.into_values().collect(),
        host_ports: host_ports.into_values().collect(),
        closed,
        inside,
        ipsets: facts.ipsets.clone(),
        hook: policy.hook,
        findings,
    }
}
