//! Addresses of Docker's networks that nobody has placed yet: a container that starts has its address, and is reached
//! there, before anybody can look.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Facts, Owner, Resolved, SHARED, addresses, rule_selects};
use crate::inventory::{Container, Inventory};
use crate::policy::{Policy, Unseen};

/// Whether somebody places containers as they come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Following {
    /// Nobody does: what starts later stays as Docker leaves it, or nobody could ever reach it.
    #[default]
    Nobody,
    /// An agent runs, or is installed and will.
    Agent,
    /// An agent runs and cannot see the engine, and addresses change meanwhile: who has which, nobody knows.
    Blind,
}

impl Following {
    /// Whether addresses that were not seen are closed.
    pub fn closes(self, unseen: Unseen) -> bool {
        self != Self::Nobody && unseen == Unseen::Closed
    }
}

/// Every address that was seen, with a word on whose it is.
pub(super) fn seen(facts: &Facts<'_>) -> BTreeMap<IpAddr, String> {
    let inventory = facts.inventory;
    let running = inventory.containers.iter().filter(|container| container.running);
    let mut seen: BTreeMap<IpAddr, String> = running
        .flat_map(|container| {
            let owner = Owner::of(container).to_string();
            addresses(inventory, container).map(move |address| (address, owner.clone()))
        })
        .collect();
    for address in inventory.ingress.iter().flat_map(|ingress| &ingress.addresses) {
        seen.entry(*address).or_insert_with(|| SHARED.to_owned());
    }
    seen
}

/// See [`Resolved::resting`]: what containers that do not run have, and each rule by itself.
pub(super) fn resting(policy: &Policy, inventory: &Inventory) -> Vec<Vec<usize>> {
    let every = 0..policy.rules.len();
    let of = |container: &Container| -> Vec<usize> {
        every.clone().filter(|&index| rule_selects(&policy.rules[index], container, inventory)).collect()
    };
    let away = inventory.containers.iter().filter(|container| !container.running).map(of);
    let all: BTreeSet<Vec<usize>> = every.clone().map(|index| vec![index]).chain(away).collect();
    all.into_iter().collect()
}

impl Resolved {
    /// The same when nobody can tell any more, or not yet, who has which address: whatever any rule or the default spoke
    /// of is closed for everybody outside, and so are the networks. A friend's access to one container must not become
    /// access to the next one that gets its address.
    #[must_use]
    pub fn blinded(mut self) -> Self {
        if !self.is_active() {
            return self;
        }
        for place in &mut self.places {
            place.rules.clear();
            place.guarded = true;
        }
        for port in self.host_ports.iter_mut().filter(|port| port.is_ruled()) {
            port.rules.clear();
            port.guarded = true;
        }
        for port in &mut self.ingress {
            port.rules.clear();
            port.guarded = true;
        }
        let networks: BTreeSet<_> = self.inside.iter().map(|(subnet, _)| *subnet).collect();
        self.closed = networks.into_iter().collect();
        self.seen = Some(BTreeMap::new());
        self
    }
}
