//! One reading of the world: policy, sets and containers, turned into what the kernel shall hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::compile::{self, Ground, compile};
use crate::inventory::{Container, Inventory};
use crate::net::Family;
use crate::policy::{Policy, SetFile};
use crate::resolve::{
    Facts, Following, IngressMemory, IngressOwner, Interface, Owner, Proof, Resolved, resolve, sandboxed,
};
use crate::ruleset::{Desired, DesiredSet, Dump, IpSet, SetEntry, is_own_set};

/// What a pass works from. Everything was read before; the pass itself is pure.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// Our sets by name.
    pub sets: &'a BTreeMap<String, SetFile>,
    /// Our sets as they were when the kernel was last written, and as a change that was killed wanted them: members of
    /// these that no file holds are not somebody's additions.
    pub earlier_sets: &'a [&'a BTreeMap<String, SetFile>],
    /// The containers.
    pub inventory: &'a Inventory,
    /// Whether somebody follows what comes and goes.
    pub following: Following,
    /// The kernel cannot log: rules are made without.
    pub mute: bool,
    /// Whether the backstop leaves a proof of what it judged.
    pub proof: Proof,
    /// The present moment.
    pub now: Timestamp,
}

impl Pass<'_> {
    /// Kernel names of all users' sets that we keep or kept.
    pub fn users(&self) -> BTreeSet<String> {
        let earlier = self.earlier_sets.iter().flat_map(|sets| sets.values());
        kernel_names(self.sets.values().chain(earlier)).collect()
    }

    /// The policy with its names resolved against the world and the kernel's foreign sets.
    pub fn resolved(&self, state: &Dump) -> Resolved {
        let resolved = self.with_facts(state, |facts| resolve(self.policy, facts));
        let resolved = if self.mute { resolved.muted() } else { resolved };
        Resolved { proof: self.proof, ..resolved }
    }

    /// Reads the facts off the host's kernel.
    fn with_facts<T>(&self, state: &Dump, act: impl FnOnce(&Facts<'_>) -> T) -> T {
        let ipsets = foreign(state, &self.users());
        let sets = self.sets.keys().cloned().collect();
        let (remembered, ingress) = (remembered(state), remembered_ingress(state));
        act(&Facts {
            inventory: self.inventory,
            sets: &sets,
            ipsets: &ipsets,
            remembered: &remembered,
            ingress: &ingress,
            following: self.following,
            now: self.now,
        })
    }

    /// What the network namespace of `container` shall hold. `host` is the host's kernel as it was read, `held` its sets
    /// as they will be ([`compile::held`]), `state` what the namespace holds.
    pub fn sandbox(
        &self,
        container: &Container,
        interfaces: &[Interface],
        (host, held): (&Dump, &BTreeMap<String, IpSet>),
        state: &Dump,
    ) -> Desired {
        let sandboxed = self.with_facts(host, |facts| sandboxed(self.policy, facts, container, interfaces));
        sandboxed.map_or_else(Desired::default, |sandboxed| {
            compile::sandbox(&sandboxed, held, |family| Ground::of(state, family))
        })
    }

    /// What the kernel shall hold, given what it holds.
    pub fn desired(&self, state: &Dump) -> Desired {
        let mut desired = compile(&self.resolved(state), |family| Ground::of(state, family));
        desired.sets.extend(user_sets(self.sets, self.earlier_sets, self.now));
        let kept = |name: &String| desired.sets.contains_key(name);
        desired.gone = self.users().into_iter().filter(|name| !kept(name)).collect();
        desired
    }
}

/// Without an engine everything stays as `state` is but the users' sets; `users` are all those that we keep or kept.
pub fn sets_only(
    state: &Dump,
    users: &BTreeSet<String>,
    sets: &BTreeMap<String, SetFile>,
    earlier: &[&BTreeMap<String, SetFile>],
    now: Timestamp,
) -> Desired {
    let mut desired = Desired::from_dump(state, users);
    desired.sets.extend(user_sets(sets, earlier, now));
    let kept: BTreeSet<String> = kernel_names(sets.values()).collect();
    desired.sets.retain(|name, _| is_own_set(name) || kept.contains(name));
    desired.gone = users.difference(&kept).cloned().collect();
    desired
}

/// Users' sets as the kernel shall hold them: what the files say, without what the files said before and say no more, or
/// say that it has ended.
pub fn user_sets(
    sets: &BTreeMap<String, SetFile>,
    earlier: &[&BTreeMap<String, SetFile>],
    now: Timestamp,
) -> BTreeMap<String, DesiredSet> {
    let mut desired = BTreeMap::new();
    for (name, file) in sets {
        // What has ended by now was a member all the same, and may still be one: its timer runs by another clock.
        let earlier = earlier.iter().filter_map(|sets| sets.get(name));
        let others = earlier.filter(|earlier| !earlier.is_written_like(file) || earlier.has_ended(now));
        let before: Vec<_> = others.map(|file| file.kernel_sets(Timestamp::MIN)).collect();
        for (index, ((kernel_name, set), dated)) in file.kernel_sets(now).into_iter().zip(file.dated(now)).enumerate() {
            let removed = before.iter().flat_map(|halves| halves[index].1.members.missing_in(&set.members)).collect();
            desired.insert(kernel_name, DesiredSet::User { set, removed, dated });
        }
    }
    desired
}

/// The kernel's names of users' sets, both halves of each.
pub(super) fn kernel_names<'a>(sets: impl Iterator<Item = &'a SetFile>) -> impl Iterator<Item = String> {
    sets.flat_map(|set| Family::ALL.map(|family| set.kernel_name(family)))
}

/// Other tools' sets with their families; `users` are the kernel's names of users' sets.
pub(super) fn foreign(state: &Dump, users: &BTreeSet<String>) -> BTreeMap<String, Family> {
    let foreign = state.sets.iter().filter(|(name, _)| !is_own_set(name) && !users.contains(*name));
    foreign.map(|(name, set)| (name.clone(), set.shape.family)).collect()
}

/// A set of ours and its twin, of both families, as far as they are there: what somebody took out of one of them is not
/// forgotten.
fn twins(state: &Dump, set: fn(Family) -> String) -> impl Iterator<Item = &IpSet> {
    let names = Family::ALL.into_iter().map(set).flat_map(|name| [compile::twin(&name), name]);
    names.filter_map(|name| state.sets.get(&name))
}

/// For whom the kernel holds rules at which addresses.
pub fn remembered(state: &Dump) -> BTreeMap<IpAddr, Owner> {
    twins(state, compile::ruled)
        .flat_map(|set| &set.members)
        .filter(|(_, member)| !member.nomatch)
        .filter_map(|(entry, member)| match entry {
            SetEntry::Net(block) if block.prefix_len() == block.max_prefix_len() => {
                Some((block.addr(), Owner::parse(member.comment.as_deref()?)?))
            }
            _ => None,
        })
        .collect()
}

/// For whom a container's own network namespace holds rules.
pub fn sandbox_owner(state: &Dump) -> Option<Owner> {
    let mut sets = Family::ALL.into_iter().filter_map(|family| state.sets.get(&compile::ruled(family)));
    sets.find_map(|set| set.members.values().find_map(|member| Owner::parse(member.comment.as_deref()?)))
}

/// For whom the kernel guards ports of the host.
pub fn port_owners(state: &Dump) -> Vec<Owner> {
    let comments =
        twins(state, compile::host_guarded).flat_map(|set| set.members.values()).filter(|member| !member.nomatch);
    let mut texts: Vec<&str> = comments.filter_map(|member| member.comment.as_deref()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.into_iter().filter_map(Owner::parse).collect()
}

/// For which swarm services the kernel judges which published ports.
pub fn remembered_ingress(state: &Dump) -> IngressMemory {
    let sets = state.sets.iter().filter(|(name, _)| is_own_set(name));
    sets.flat_map(|(_, set)| &set.members)
        .filter_map(|(entry, member)| {
            let (SetEntry::IpPort(address, protocol, port) | SetEntry::IpPortNet(address, protocol, port, _)) = entry
            else {
                return None;
            };
            Some(((address, protocol, port), IngressOwner::parse(member.comment.as_deref()?)?))
        })
        .collect()
}
