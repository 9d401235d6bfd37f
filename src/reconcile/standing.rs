//! What the kernel holds of containers, told by what the last pass went by; and what changes of it when containers come
//! and go, worked out from those that did and from nobody else.
//!
//! Every member of our sets is some address's or some port's of the host. So who shares neither with a container that
//! changed keeps all of his, and what the others have is compiled twice, as they were and as they are: the difference is
//! what has to be written. `tests/standing.rs` holds it against a pass over everything.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::pass::{foreign, remembered};
use crate::compile::{Ground, ThirdLine, compile, is_of_rule, twin};
use crate::inventory::{Container, Inventory, NetworkMode};
use crate::net::{Family, Protocol};
use crate::plan::{self, Call, Phase, Step};
use crate::policy::Policy;
use crate::resolve::{BootRecord, Facts, Following, Owner, Proof, Resolved, place};
use crate::ruleset::{Chain, Desired, Dump, TableDump, is_own_set};

/// What does not change when containers come and go.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// Kernel names of users' sets.
    pub users: &'a BTreeSet<String>,
    /// Whether somebody follows what comes and goes.
    pub following: Following,
    /// Whether the backstop leaves a proof of what it judged.
    pub proof: Proof,
    /// The kernel cannot log: rules are made without.
    pub mute: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// What the kernel holds.
#[derive(Clone, Debug)]
pub struct Standing {
    inventory: Arc<Inventory>,
    /// For whom the kernel holds rules at which addresses.
    remembered: BTreeMap<IpAddr, Owner>,
    /// Our sets.
    names: BTreeSet<String>,
    /// Other tools' sets.
    ipsets: BTreeMap<String, Family>,
    ground: BTreeMap<Family, Ground>,
    /// What a boot would need.
    record: BootRecord,
    third: Option<ThirdLine>,
}

/// What is different for containers that came or went, and those that share addresses or ports with them.
#[derive(Debug)]
pub struct Change {
    /// Texts for `ipset restore`, in the order in which no instant is wider than before and after.
    pub calls: Vec<String>,
    /// That is all. If not, rules have to change too, and what is here only takes access away.
    pub is_all: bool,
    /// The containers now; where nothing changed, nothing else is known.
    inventory: Arc<Inventory>,
    resolved: Option<(Resolved, Resolved)>,
}

impl Standing {
    /// After a pass over everything that found or made `state` to be what `inventory` asks for. `legacy` is whether
    /// Docker's chains are in iptables-legacy.
    pub fn after(terms: &Terms<'_>, inventory: Arc<Inventory>, state: &Dump, legacy: bool) -> Self {
        let ground: BTreeMap<Family, Ground> =
            Family::ALL.into_iter().map(|family| (family, Ground::of(state, family))).collect();
        let calling = Family::ALL.into_iter().filter(|family| ground[family].docker_user).collect();
        let mut standing = Self {
            inventory,
            remembered: remembered(state),
            names: state.sets.keys().filter(|name| is_own_set(name)).cloned().collect(),
            ipsets: foreign(state, terms.users),
            ground,
            record: BootRecord::default(),
            third: None,
        };
        let resolved = standing.resolved(terms, &standing.inventory);
        standing.record = BootRecord::of(&resolved, legacy, calling);
        standing.third = standing.third_of(&resolved);
        standing
    }

    /// The containers.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// The same in memory of its own.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { inventory: Arc::new(Inventory::clone(&self.inventory)), ..self.clone() }
    }

    /// What a boot needs to know.
    pub fn record(&self) -> &BootRecord {
        &self.record
    }

    /// What the third line has to be.
    pub fn third_line(&self) -> Option<&ThirdLine> {
        self.third.as_ref()
    }

    fn ground(&self) -> impl Fn(Family) -> Ground + Copy + '_ {
        |family| self.ground[&family]
    }

    fn third_of(&self, resolved: &Resolved) -> Option<ThirdLine> {
        ThirdLine::of(resolved, self.ground())
    }

    fn resolved(&self, terms: &Terms<'_>, inventory: &Inventory) -> Resolved {
        let facts = Facts {
            inventory,
            sets: &BTreeSet::new(),
            ipsets: &self.ipsets,
            remembered: &self.remembered,
            // Where a swarm publishes ports there are only passes over everything.
            ingress: &BTreeMap::new(),
            following: terms.following,
            now: terms.now,
        };
        let resolved = place(terms.policy, &facts);
        let resolved = if terms.mute { resolved.muted() } else { resolved };
        Resolved { proof: terms.proof, ..resolved }
    }

    /// What is different with `inventory`, which is not part of a swarm.
    pub fn change(&self, terms: &Terms<'_>, inventory: &Arc<Inventory>) -> Change {
        let nothing = Change { calls: Vec::new(), is_all: true, inventory: Arc::clone(inventory), resolved: None };
        let meant = if self.inventory.networks == inventory.networks {
            match self.concerned(inventory) {
                Some(meant) if meant.is_empty() => return nothing,
                meant => meant,
            }
        } else {
            None
        };
        let (before, after) = (part(&self.inventory, meant.as_ref()), part(inventory, meant.as_ref()));
        let (before, after) = (self.resolved(terms, &before), self.resolved(terms, &after));
        let (have, want) = (compile(&before, self.ground()), compile(&after, self.ground()));
        let is_all = have.tables == want.tables && self.is_whole(&have, &want);
        let steps = plan::plan(&dump(have), &want).steps;
        // What takes access away comes before any rule: a network that is new is closed before the pass over everything.
        let count = steps.len();
        let leading = steps.into_iter().take_while(|step| matches!(step.call, Call::Sets(_)));
        let calls: Vec<String> = leading
            .filter(|step| is_all || step.phase == Phase::Narrow)
            .filter_map(|Step { call, .. }| if let Call::Sets(text) = call { Some(text) } else { None })
            .collect();
        let is_all = is_all && calls.len() == count;
        Change { calls, is_all, resolved: Some((before, after)), ..nothing }
    }

    /// Whether the sets of a part of the containers are those of all of them, but for sets of rules that others have.
    fn is_whole(&self, have: &Desired, want: &Desired) -> bool {
        let names = &self.names;
        let there =
            |name: &String| names.contains(name) && names.contains(&twin(name)) == want.sets.contains_key(&twin(name));
        // A twin's twin is nobody's.
        have.sets.keys().eq(want.sets.keys())
            && want.sets.keys().all(there)
            && names.iter().all(|name| want.sets.contains_key(name) || is_of_rule(name))
    }

    /// Whom a change concerns: those that came, went or are not what they were, and whoever has an address or a port of the
    /// host that one of them has or had. `None` for everybody.
    fn concerned<'a>(&'a self, inventory: &'a Inventory) -> Option<HashSet<&'a str>> {
        let changed = differing(&self.inventory.containers, &inventory.containers);
        if changed.is_empty() {
            return Some(HashSet::new());
        }
        // Which ports are his, rules say.
        if changed.iter().any(|container| container.mode == NetworkMode::Host) {
            return None;
        }
        let mut meant: HashSet<&str> = changed.iter().map(|container| &*container.id).collect();
        let mut addresses: HashSet<IpAddr> = changed.iter().copied().flat_map(addresses).collect();
        let ports: HashSet<(Protocol, u16)> = changed.iter().copied().flat_map(ports).collect();
        let is_of = |owner: &Owner, id: &str| id.starts_with(&owner.id);
        let had = self.remembered.iter().filter(|(_, owner)| changed.iter().any(|one| is_of(owner, &one.id)));
        addresses.extend(had.map(|(address, _)| *address));
        let owners: Vec<&Owner> = addresses.iter().filter_map(|address| self.remembered.get(address)).collect();
        for container in &inventory.containers {
            let shares = container.mode == NetworkMode::Host
                || ports_meet(container, &ports)
                || self::addresses(container).any(|address| addresses.contains(&address))
                || owners.iter().any(|owner| is_of(owner, &container.id));
            if shares {
                meant.insert(&container.id);
            }
        }
        Some(meant)
    }

    /// Once the calls of a change that is all have been made. Answers whether a boot needs to know the same as before.
    pub fn take(&mut self, change: Change, terms: &Terms<'_>) -> bool {
        self.inventory = change.inventory;
        let Some((before, after)) = change.resolved else { return true };
        for gone in before.places.iter().filter(|place| !after.places.contains(place)) {
            self.remembered.remove(&gone.address);
        }
        for new in after.places.iter().filter(|place| !before.places.contains(place)) {
            // As it is read again from a comment.
            match Owner::parse(&new.owner.to_string()) {
                Some(owner) => drop(self.remembered.insert(new.address, owner)),
                None => drop(self.remembered.remove(&new.address)),
            }
        }
        let (old, new) = (self.third_of(&before), self.third_of(&after));
        let calling = self.record.docker_user.clone();
        let of = |resolved| BootRecord::of(resolved, self.record.legacy, calling.clone());
        let (earlier, later) = (of(&before), of(&after));
        let same = earlier == later;
        self.record.replace(&earlier, later);
        if old != new {
            let rules = terms.policy.rules.clone();
            let (closed, inside, proof) = (after.closed, after.inside, after.proof);
            let host_ports = self.record.host_ports.clone();
            self.third = self.third_of(&Resolved { rules, host_ports, closed, inside, proof, ..Resolved::default() });
        }
        same
    }
}

/// Containers of either list that are not in the other one, as they are there; both are sorted by name and ID.
fn differing<'a>(before: &'a [Container], after: &'a [Container]) -> Vec<&'a Container> {
    let mut changed = Vec::new();
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let place = |container: &&'a Container| (&*container.name, &*container.id);
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changed,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => place(old).cmp(&place(new)),
        };
        let old = before.next_if(|_| order.is_le());
        let new = after.next_if(|_| order.is_ge());
        if old != new {
            changed.extend(old.into_iter().chain(new));
        }
    }
}

fn addresses(container: &Container) -> impl Iterator<Item = IpAddr> + '_ {
    let of = |endpoint| {
        Family::ALL.into_iter().filter_map(move |family| crate::inventory::Endpoint::address(endpoint, family))
    };
    container.endpoints.iter().flat_map(of)
}

fn ports(container: &Container) -> impl Iterator<Item = (Protocol, u16)> + '_ {
    container.bindings.iter().filter_map(|binding| Some((binding.protocol, binding.host_port?)))
}

fn ports_meet(container: &Container, ports: &HashSet<(Protocol, u16)>) -> bool {
    self::ports(container).any(|port| ports.contains(&port))
}

/// Those of the containers that are meant, on all networks.
fn part(inventory: &Inventory, meant: Option<&HashSet<&str>>) -> Inventory {
    let is_meant = |container: &&Container| meant.is_none_or(|ids| ids.contains(&*container.id));
    Inventory {
        engine: crate::inventory::Engine::default(),
        containers: inventory.containers.iter().filter(is_meant).cloned().collect(),
        networks: inventory.networks.clone(),
        ingress: None,
    }
}

/// A kernel that holds just that.
fn dump(desired: Desired) -> Dump {
    let mut dump = Dump::default();
    for (key, table) in desired.tables {
        let chains = table.chains.into_iter().chain(table.hooks.into_iter().map(|hook| (hook.chain, hook.lines)));
        let chains = chains.map(|(name, lines)| (name, Chain { policy: None, lines })).collect();
        dump.tables.insert(key, TableDump { chains });
    }
    dump.sets = desired.sets.into_iter().map(|(name, set)| (name, set.into_set())).collect();
    dump
}
