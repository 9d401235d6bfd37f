//! Who can reach the ports that a swarm publishes on every node.

use jiff::Timestamp;

use super::{Access, reading};
use crate::inventory::{Inventory, Service, ServicePort};
use crate::net::Family;
use crate::policy::{DefaultAccess, Policy, Rule, Verdict};
use crate::resolve::{rule_selects_service, speaks_of};

/// What the rules say of one service.
#[derive(Clone, Debug)]
pub struct ServiceAccess<'a> {
    /// The rules that mean it, with their numbers from 1.
    pub rules: Vec<(usize, &'a Rule)>,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
}

/// Reads the rules for `service`.
pub fn service_access<'a>(policy: &'a Policy, inventory: &Inventory, service: &Service) -> ServiceAccess<'a> {
    let numbered = policy.rules.iter().enumerate().map(|(index, rule)| (index + 1, rule));
    let rules: Vec<_> = numbered.filter(|(_, rule)| rule_selects_service(rule, service, inventory)).collect();
    let guarded =
        policy.default == DefaultAccess::Closed || rules.iter().any(|(_, rule)| rule.verdict == Verdict::Allow);
    ServiceAccess { rules, guarded }
}

impl ServiceAccess<'_> {
    /// Who reaches one published port of it. Only IPv4 is forwarded: for IPv6 dockerd keeps the port and answers nothing.
    pub fn of(&self, port: &ServicePort, now: Timestamp) -> Access {
        let speaking: Vec<_> = self.rules.iter().filter(|(_, rule)| speaks_of(rule, port)).copied().collect();
        reading(&speaking, Family::V4, self.guarded, now)
    }
}
