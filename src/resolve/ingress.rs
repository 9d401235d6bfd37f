//! Ports that a swarm publishes on every node: judged one by one, at the address they all share.
//!
//! All services of a swarm meet at one address of this host, each at its published ports. So a rule for one service must
//! say nothing of the address, only of the service's ports there.
//!
//! A worker does not know which ports those are. It keeps what the kernel holds from the days when it knew, and
//! takes a port that a rule for `service:NAME` names as published on trust.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::{Facts, Owner, Place};
use crate::inventory::{Inventory, SWARM_SERVICE, Service, ServicePort, Services};
use crate::net::{PortSet, Protocol};
use crate::policy::{DefaultAccess, Policy, Rule, Target, Verdict};

/// The comment of the shared address, where it leads to judgement.
pub const SHARED: &str = "swarm ingress";

/// Whose published port it is: what the kernel keeps as the comment of a set's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressOwner {
    /// The service's name.
    pub service: String,
    /// The port inside its containers, if it was known.
    pub target: Option<u16>,
}

impl IngressOwner {
    /// Reads what [`fmt::Display`] wrote. No container can have such a name.
    pub fn parse(comment: &str) -> Option<Self> {
        let text = comment.strip_prefix("service:")?;
        match text.split_once(' ') {
            Some((service, port)) => Some(Self { service: service.to_owned(), target: Some(port.parse().ok()?) }),
            None => Some(Self { service: text.to_owned(), target: None }),
        }
    }
}

impl fmt::Display for IngressOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service:{}", self.service)?;
        self.target.map_or(Ok(()), |port| write!(f, " {port}"))
    }
}

/// For which services the kernel judges which published ports, and at which address.
pub type IngressMemory = BTreeMap<(IpAddr, Protocol, u16), IngressOwner>;

/// One published port of a service, at the address where all of them arrive, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPort {
    /// The address of the ingress network's namespace.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The published port.
    pub port: u16,
    /// Who has it.
    pub owner: IngressOwner,
    /// Indices into [`super::Resolved::rules`] of the rules that speak of this port, in order.
    pub rules: Vec<usize>,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
}

impl IngressPort {
    /// The whole address, closed.
    pub(super) fn closed_place(&self) -> Place {
        let owner = Owner { name: "swarm".to_owned(), id: "ingress".to_owned() };
        Place { address: self.address, owner, published: Vec::new(), rules: Vec::new(), guarded: true }
    }
}

/// Whether `target` means the published ports of `service`. A label is one that the service's containers have.
pub fn selects_service(target: &Target, service: &Service, inventory: &Inventory) -> bool {
    match target {
        Target::All => true,
        Target::SwarmService(name) => service.name == *name,
        // Swarm puts it there itself.
        Target::Label(key, value) if key == SWARM_SERVICE => value.as_ref().is_none_or(|name| service.name == *name),
        Target::Label(key, None) => service.labels.get(key).is_some(),
        Target::Label(key, Some(value)) => service.labels.get(key) == Some(value.as_str()),
        Target::Network(name) => {
            service.networks.iter().any(|id| inventory.network(id).is_some_and(|network| network.name == *name))
        }
        Target::Container(_) | Target::Service(..) => false,
    }
}

/// Whether any target of `rule` means the published ports of `service`.
pub fn rule_selects_service(rule: &Rule, service: &Service, inventory: &Inventory) -> bool {
    rule.targets.iter().any(|target| selects_service(target, service, inventory))
}

/// Whether the ports of `rule` include `port`. Where the port inside is unknown, a deny might mean it and an allow
/// does not.
pub fn speaks_of(rule: &Rule, port: &ServicePort) -> bool {
    match port.target {
        Some(target) => rule.ports.speak_of(port.protocol, target, Some(port.published)),
        None => {
            rule.ports.is_every()
                || (rule.verdict == Verdict::Deny && rule.ports.container.is_some())
                || rule.ports.published.as_ref().is_some_and(|ports| ports.contains(port.protocol, port.published))
        }
    }
}

/// What a node that does not know the services goes by.
struct Recalled {
    service: Service,
    /// None of its containers is here to tell labels and networks.
    unsure: bool,
}

/// The services whose published ports can be judged here: those that the engine lists, or else those that the kernel
/// remembers and that rules name with their published ports.
pub fn services<'a>(policy: &Policy, inventory: &'a Inventory, memory: &IngressMemory) -> Cow<'a, [Service]> {
    match inventory.ingress.as_ref().map(|ingress| &ingress.services) {
        Some(Services::Known(services)) => Cow::Borrowed(services),
        _ => recalled(policy, inventory, memory).into_iter().map(|recalled| recalled.service).collect(),
    }
}

fn recalled(policy: &Policy, inventory: &Inventory, memory: &IngressMemory) -> Vec<Recalled> {
    let mut ports: BTreeMap<&str, BTreeSet<ServicePort>> = BTreeMap::new();
    let known: BTreeMap<(Protocol, u16), &IngressOwner> =
        memory.iter().map(|(&(_, protocol, port), owner)| ((protocol, port), owner)).collect();
    for (&(protocol, published), owner) in &known {
        let port = ServicePort { published, protocol, target: owner.target };
        ports.entry(&owner.service).or_default().insert(port);
    }
    // On trust, and only in a swarm: elsewhere nothing is published so.
    for rule in policy.rules.iter().filter(|_| inventory.ingress.is_some()) {
        let named = rule.ports.published.iter().flat_map(PortSet::ranges);
        let named: Vec<_> =
            named.flat_map(|range| (range.first..=range.last).map(|port| (range.protocol, port))).collect();
        for target in &rule.targets {
            let Target::SwarmService(name) = target else { continue };
            for &(protocol, published) in &named {
                if known.get(&(protocol, published)).is_none_or(|owner| owner.service != *name) {
                    ports.entry(name).or_default().insert(ServicePort { published, protocol, target: None });
                }
            }
        }
    }
    let recall = |(name, ports): (&str, BTreeSet<ServicePort>)| {
        let task = inventory.containers.iter().find(|container| container.swarm_service() == Some(name));
        let labels = task.map(|task| task.labels.clone()).unwrap_or_default();
        let networks = task.iter().flat_map(|task| &task.endpoints).map(|endpoint| endpoint.network.clone()).collect();
        let service = Service { name: name.to_owned(), labels, networks, ports: ports.into_iter().collect() };
        Recalled { service, unsure: task.is_none() }
    };
    ports.into_iter().map(recall).collect()
}

/// The published ports that a rule or the default speaks of, sorted. `taken` are the addresses of running containers.
pub(super) fn ports(policy: &Policy, facts: &Facts<'_>, taken: &dyn Fn(&IpAddr) -> bool) -> Vec<IngressPort> {
    let (inventory, memory) = (facts.inventory, facts.ingress);
    let ingress = inventory.ingress.as_ref();
    let here = ingress.map(|ingress| ingress.addresses.clone()).unwrap_or_default();
    // Between two lives of the engine the place is away; most likely it comes back to where it was.
    let remembered = memory.keys().map(|(address, ..)| *address).filter(|address| here.is_empty() && !taken(address));
    let addresses: BTreeSet<IpAddr> = here.iter().copied().chain(remembered).collect();
    let services = match ingress.map(|ingress| &ingress.services) {
        Some(Services::Known(services)) => {
            services.iter().map(|service| Recalled { service: service.clone(), unsure: false }).collect()
        }
        _ => recalled(policy, inventory, memory),
    };
    // Labels and networks may be what made a rule mean a service of which nothing is left here. Nobody can say, so such a
    // deny is taken to mean it, and such an allow to guard it and to let nobody in.
    let may_mean =
        |rule: &Rule| rule.targets.iter().any(|target| matches!(target, Target::Label(..) | Target::Network(_)));
    let mut ports: BTreeMap<(IpAddr, Protocol, u16), IngressPort> = BTreeMap::new();
    for Recalled { service, unsure } in &services {
        let means = |rule: &Rule| rule_selects_service(rule, service, inventory);
        let blurred = |rule: &Rule| *unsure && may_mean(rule) && !means(rule);
        let denies = |rule: &Rule| rule.verdict == Verdict::Deny;
        let numbered = policy.rules.iter().enumerate();
        let rules: Vec<usize> = numbered
            .filter(|(_, rule)| means(rule) || (blurred(rule) && denies(rule)))
            .map(|(index, _)| index)
            .collect();
        let guarded = policy.default == DefaultAccess::Closed
            || policy.rules.iter().any(|rule| !denies(rule) && (means(rule) || blurred(rule)));
        for port in &service.ports {
            let rules: Vec<usize> = rules.iter().copied().filter(|&i| speaks_of(&policy.rules[i], port)).collect();
            if rules.is_empty() && !guarded {
                continue;
            }
            for &address in &addresses {
                let (protocol, published) = (port.protocol, port.published);
                let owner = IngressOwner { service: service.name.clone(), target: port.target };
                let one = IngressPort { address, protocol, port: published, owner, rules: rules.clone(), guarded };
                match ports.entry((address, protocol, published)) {
                    Entry::Vacant(vacant) => drop(vacant.insert(one)),
                    Entry::Occupied(mut other) => {
                        // Rules give one port to two services: nobody can say whose it is, so nobody comes in. Whose it
                        // was when somebody knew is written down again, or the next look would know less.
                        let other = other.get_mut();
                        other.rules.clear();
                        other.guarded = true;
                        if other.owner.target.is_none() {
                            other.owner = one.owner;
                        }
                    }
                }
            }
        }
    }
    ports.into_values().collect()
}
