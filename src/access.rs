//! Who can reach a published port, read off the rules, and what the kernel does in truth: the words of `ls`. Pure.

use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;

use crate::inventory::{Binding, Container, Inventory, Network, NetworkMode};
use crate::net::Family;
use crate::policy::{DefaultAccess, Policy, Rule, RuleSource, Verdict};
use crate::resolve::{NamedPorts, named_ports, network_owner, rule_selects};

mod effect;
mod ingress;
mod ports;
mod way;
mod ways;

pub use effect::{Onlooker, Stranger};
pub use ingress::{ServiceAccess, service_access};
pub use way::{Calls, Exposure, Lead, Resident, Road, Tried, Way};
pub use ways::{View, pending_ways, service_ways, ways, withheld_ways};

/// Who reaches one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The widest thing that is true.
    pub who: Who,
    /// Sources that a deny takes away before.
    pub except: Vec<String>,
    /// Numbers of the rules that speak of this port, from 1.
    pub rules: Vec<usize>,
    /// Whether what none of them allows is dropped.
    pub guarded: bool,
}

/// The answer in kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody whose packets arrive.
    Everyone,
    /// These sources, by the names they have in the rules.
    Sources(Vec<String>),
    /// No one.
    Nobody,
    /// Bound to a loopback address: processes of the host.
    HostOnly,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Everyone => f.write_str("everyone")?,
            Who::Sources(sources) => f.write_str(&sources.join(", "))?,
            Who::Nobody => return f.write_str("nobody"),
            Who::HostOnly => return f.write_str("host only"),
        }
        if !self.except.is_empty() {
            write!(f, " except {}", self.except.join(", "))?;
        }
        Ok(())
    }
}

/// Whether a source is the whole of a family: `any`, or what people write who mean it.
fn is_everybody(source: &RuleSource, family: Family) -> bool {
    match source {
        RuleSource::Any => true,
        RuleSource::Literal { blocks, .. } => {
            blocks.iter().any(|block| block.prefix_len() == 0 && Family::of(&block.addr()) == family)
        }
        _ => false,
    }
}

fn label(source: &RuleSource, rule: &Rule) -> String {
    match &rule.interface {
        Some(interface) => format!("{source} via {interface}"),
        None => source.to_string(),
    }
}

/// The rules that select a container, with their numbers from 1. Rules of the container whose network it shares count.
pub fn rules_of<'a>(policy: &'a Policy, inventory: &Inventory, container: &Container) -> Vec<(usize, &'a Rule)> {
    let owner = network_owner(inventory, container).unwrap_or(container);
    let numbered = policy.rules.iter().enumerate().map(|(index, rule)| (index + 1, rule));
    numbered.filter(|(_, rule)| rule_selects(rule, owner, inventory)).collect()
}

/// Whether what no rule allows is dropped; of a container on the host's network, on the ports that allow rules name.
pub fn is_guarded(policy: &Policy, inventory: &Inventory, container: &Container) -> bool {
    let owner = network_owner(inventory, container).unwrap_or(container);
    if owner.mode == NetworkMode::Host {
        return named_ports(policy, inventory, owner).iter().any(|named| named.guarded);
    }
    policy.default == DefaultAccess::Closed
        || rules_of(policy, inventory, container).iter().any(|(_, rule)| rule.verdict == Verdict::Allow)
}

/// Where a container lives that no rule made here can guard as a whole: on the host's own network, where only ports that
/// rules name are guarded ([`named_ports`]), or on networks whose packets cross neither the host's FORWARD hook nor chains
/// of the container's own. `None` for all others, and for those of which nothing is known while they rest.
pub fn beyond_reach(inventory: &Inventory, container: &Container) -> Option<String> {
    let owner = network_owner(inventory, container).unwrap_or(container);
    if owner.mode == NetworkMode::Host {
        return Some("the host's own network".to_owned());
    }
    if inventory.forwarded(owner).next().is_some() || inventory.sandboxed(owner).next().is_some() {
        return None;
    }
    unforwarded(inventory, owner).next().map(|network| format!("the {} network {}", network.driver, network.name))
}

/// The networks of a container that lead outside past every chain that rules are put into: ipvlan's mode l3s, and drivers
/// that nobody here knows.
pub fn unforwarded<'a>(inventory: &'a Inventory, container: &'a Container) -> impl Iterator<Item = &'a Network> {
    let networks = container.endpoints.iter().filter_map(|endpoint| inventory.network(&endpoint.network));
    networks.filter(|network| {
        !network.sandboxed() && !matches!(network.driver.as_str(), "bridge" | "overlay" | "host" | "null")
    })
}

/// The rules of one container, read once for all of its ways.
#[derive(Clone, Debug)]
struct Ruled<'a> {
    rules: Vec<(usize, &'a Rule)>,
    guarded: bool,
}

impl<'a> Ruled<'a> {
    fn of(policy: &'a Policy, inventory: &Inventory, container: &Container) -> Self {
        let rules = rules_of(policy, inventory, container);
        let owner = network_owner(inventory, container).unwrap_or(container);
        let guarded = if owner.mode == NetworkMode::Host {
            is_guarded(policy, inventory, container)
        } else {
            policy.default == DefaultAccess::Closed || rules.iter().any(|(_, rule)| rule.verdict == Verdict::Allow)
        };
        Self { rules, guarded }
    }

    /// Who gets through the rules for which `speaks` is true.
    fn reading(&self, family: Family, now: Timestamp, speaks: impl Fn(&Rule) -> bool) -> Access {
        let speaking: Vec<(usize, &Rule)> = self.rules.iter().copied().filter(|(_, rule)| speaks(rule)).collect();
        reading(&speaking, family, self.guarded, now)
    }

    /// Who reaches a published port.
    fn access(&self, binding: &Binding, now: Timestamp) -> Access {
        let speaks = |rule: &Rule| rule.ports.speak_of(binding.protocol, binding.container_port, binding.host_port);
        let access = self.reading(Family::of(&binding.host_address), now, speaks);
        if binding.host_address.is_loopback() {
            return Access { who: Who::HostOnly, except: Vec::new(), ..access };
        }
        access
    }
}

/// Who reaches ports of a container on the host's network, over one family.
pub fn named_access(policy: &Policy, named: &NamedPorts, family: Family, now: Timestamp) -> Access {
    let speaking: Vec<(usize, &Rule)> = named.rules.iter().map(|&index| (index + 1, &policy.rules[index])).collect();
    reading(&speaking, family, named.guarded, now)
}

/// Who reaches a port of this family that these rules speak of.
pub(crate) fn reading(speaking: &[(usize, &Rule)], family: Family, guarded: bool, now: Timestamp) -> Access {
    let rules = speaking.iter().map(|(number, _)| *number).collect();
    let mut sources: Vec<String> = Vec::new();
    let mut except: Vec<String> = Vec::new();
    let mut everyone = !guarded;
    for (_, rule) in speaking.iter().filter(|(_, rule)| rule.expires.is_none_or(|at| at > now)) {
        let all = rule.interface.is_none() && rule.sources.iter().any(|source| is_everybody(source, family));
        match rule.verdict {
            Verdict::Allow if all => {
                everyone = true;
                break;
            }
            Verdict::Deny if all => {
                everyone = false;
                break;
            }
            Verdict::Allow => sources.extend(rule.sources.iter().map(|source| label(source, rule))),
            Verdict::Deny => except.extend(rule.sources.iter().map(|source| label(source, rule))),
        }
    }
    let mut seen = BTreeSet::new();
    sources.retain(|source| seen.insert(source.clone()));
    // A deny after every allow that matters takes nothing away from named sources that came before; said all the same,
    // for a reader who sees more than is open is safer than one who sees less.
    let who = match (everyone, sources.is_empty()) {
        (true, _) => Who::Everyone,
        (false, true) => Who::Nobody,
        (false, false) => Who::Sources(sources),
    };
    Access { who, except, rules, guarded }
}
