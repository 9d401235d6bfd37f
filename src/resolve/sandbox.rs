//! One container's own network namespace: the rules as they concern what comes in there.
//!
//! There every packet is the container's, whatever address it is for: a neighbour on the wire may send packets for one
//! of its other addresses to this interface, and addresses come by router advertisements. So nothing here goes by the
//! endpoint's address; only interfaces that the host or Docker guards are told apart, and what is not known counts as
//! outside.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv4Net};

use super::{Facts, Owner, Resolved, rule_selects, seconds_left};
use crate::inventory::{Container, Endpoint, Inventory, Network};
use crate::net::Family;
use crate::policy::{DefaultAccess, Policy, Rule, Verdict};

/// One interface of the namespace, as far as the kernel tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The IPv4 subnets reached through it without a gateway.
    pub subnets: Vec<Ipv4Net>,
    /// Its IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
}

/// A policy as it concerns one container's own network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandboxed {
    /// The container.
    pub owner: Owner,
    /// The rules that can match there, in order, as they read there, and where they must not be asked (`inside`).
    pub resolved: Resolved,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
}

/// Whether rules in a container's own network namespace have anything to say.
pub fn needs_sandbox(policy: &Policy, inventory: &Inventory, container: &Container) -> bool {
    container.running
        && inventory.sandboxed(container).next().is_some()
        && (policy.default == DefaultAccess::Closed
            || policy.rules.iter().any(|rule| rule_selects(rule, container, inventory)))
}

/// Resolves every rule for the namespace of `container`; `None` when none speaks of it and nothing guards it.
pub fn sandboxed(
    policy: &Policy,
    facts: &Facts<'_>,
    container: &Container,
    interfaces: &[Interface],
) -> Option<Sandboxed> {
    if !needs_sandbox(policy, facts.inventory, container) {
        return None;
    }
    let selecting: Vec<&Rule> =
        policy.rules.iter().filter(|rule| rule_selects(rule, container, facts.inventory)).collect();
    let guarded = policy.guards(selecting.iter().copied());
    let ways = Ways::of(facts, container, interfaces);
    let rules: Vec<Rule> = selecting.into_iter().flat_map(|rule| ways.readings(rule)).collect();
    let remaining = rules.iter().map(|rule| rule.expires.map(|at| seconds_left(at, facts.now))).collect();
    let resolved =
        Resolved { rules, remaining, inside: ways.inside, ipsets: facts.ipsets.clone(), ..Resolved::default() };
    Some(Sandboxed { owner: Owner::of(container), resolved, guarded })
}

/// The interfaces of a namespace, told apart.
struct Ways {
    /// Interface and its parent on the host, of networks that are judged here.
    outside: Vec<(String, Option<String>)>,
    /// Where packets come from that are not judged here.
    inside: Vec<(IpNet, String)>,
    /// Every endpoint's interface was found.
    complete: bool,
}

impl Ways {
    fn of(facts: &Facts<'_>, container: &Container, interfaces: &[Interface]) -> Self {
        let inventory = facts.inventory;
        let mut ways = Self { outside: Vec::new(), inside: Vec::new(), complete: true };
        let placed = |endpoint: &Endpoint| interface_of(interfaces, endpoint).map(|interface| interface.name.clone());
        for (endpoint, network) in inventory.sandboxed(container) {
            match placed(endpoint) {
                Some(name) => {
                    ways.inside.extend(neighbours(facts, container, network).map(|address| (address, name.clone())));
                    ways.outside.push((name, network.parent.clone()));
                }
                None => ways.complete = false,
            }
        }
        let judged: BTreeSet<&String> = ways.outside.iter().map(|(name, _)| name).collect();
        for endpoint in &container.endpoints {
            // These were judged on the host, or are Docker's own.
            let elsewhere = |network: &Network| matches!(network.driver.as_str(), "bridge" | "overlay");
            if !inventory.network(&endpoint.network).is_some_and(elsewhere) {
                continue;
            }
            if let Some(name) = placed(endpoint).filter(|name| !judged.contains(name)) {
                ways.inside.extend(Family::ALL.map(|family| (family.everything(), name.clone())));
            }
        }
        ways.inside.sort();
        ways.inside.dedup();
        ways
    }

    /// A rule as it reads here: nothing is published, and the host's interface is the parent of one of ours.
    fn readings(&self, rule: &Rule) -> Vec<Rule> {
        let mut rule = rule.clone();
        if rule.ports.published.take().is_some() && rule.ports.container.is_none() {
            return Vec::new();
        }
        let Some(parent) = rule.interface.take() else { return vec![rule] };
        let here = self.outside.iter().filter(|(_, own)| own.as_ref() == Some(&parent));
        let here: BTreeSet<&String> = here.map(|(name, _)| name).collect();
        if rule.verdict == Verdict::Deny && !self.complete {
            // It may be the interface that was not found: rather too much taken away than too little.
            return vec![rule];
        }
        here.into_iter().map(|name| Rule { interface: Some(name.clone()), ..rule.clone() }).collect()
    }
}

/// The interface that has an endpoint's address: the only one whose subnet holds it, or whose address it is.
fn interface_of<'a>(interfaces: &'a [Interface], endpoint: &Endpoint) -> Option<&'a Interface> {
    let holds = |interface: &&Interface| match (endpoint.v4, endpoint.v6) {
        (Some(v4), _) => interface.subnets.iter().any(|subnet| subnet.contains(&v4)),
        (None, Some(v6)) => interface.v6.contains(&v6),
        (None, None) => false,
    };
    let mut found = interfaces.iter().filter(holds);
    let first = found.next()?;
    // Two that might be it are none: an interface is outside unless it is certainly not.
    found.next().is_none().then_some(first)
}

/// The addresses of the other running containers on a network: what they say to one another is no rule's business.
fn neighbours(facts: &Facts<'_>, container: &Container, network: &Network) -> impl Iterator<Item = IpNet> {
    let others = facts.inventory.containers.iter().filter(|other| other.running && other.id != container.id);
    others
        .flat_map(|other| &other.endpoints)
        .filter(|endpoint| endpoint.network == network.id)
        .flat_map(|endpoint| Family::ALL.into_iter().filter_map(|family| endpoint.address(family)))
        .map(IpNet::from)
        .collect::<Vec<_>>()
        .into_iter()
}
