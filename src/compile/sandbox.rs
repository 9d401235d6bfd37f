//! The rules of one container inside its own network namespace.
//!
//! The same judgement as on the host (`chains`), with all addresses for the container's. Kernel sets are each
//! namespace's own, so those that rules name are copied, as the host holds them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ground, atom, chains, sets};
use crate::net::Family;
use crate::resolve::Sandboxed;
use crate::ruleset::{Desired, DesiredSet, Dump, IpSet, Member, SetEntry, SetKind, Table, is_own_set};

/// What the namespace shall hold. `host` are the host's sets as they will be ([`held`]).
pub fn sandbox(sandboxed: &Sandboxed, host: &BTreeMap<String, IpSet>, ground: impl Fn(Family) -> Ground) -> Desired {
    let mut desired = Desired::default();
    for family in Family::ALL {
        let ground = ground(family);
        let tables = [(Table::Filter, ground.filter), (Table::Security, ground.security)];
        if tables.iter().all(|(_, there)| !there) {
            continue;
        }
        let copyable = |name: &str| host.get(name).filter(|set| set.shape.family == family && is_copyable(set));
        let atoms = atom::sandbox_atoms(sandboxed, family, |name| copyable(name).map(|_| sets::copy_of(name, family)));
        for (table, _) in tables.iter().filter(|(_, there)| *there) {
            desired.tables.insert((family, *table), chains::sandbox(&atoms, family));
        }
        let own = sets::sandbox_sets(sandboxed, &atoms, family);
        desired.sets.extend(own.into_iter().map(|(name, set)| (name, DesiredSet::Own(set))));
        let asked: BTreeSet<&String> = atoms.keys().filter_map(atom::Key::named).collect();
        for (name, set) in host {
            let copy = sets::copy_of(name, family);
            if asked.contains(&copy) {
                desired.sets.insert(copy, DesiredSet::Own(set.clone()));
            }
        }
    }
    desired
}

/// Everything as it is in a namespace, with the copies as the host's sets will be: for when nobody can tell what else
/// there should be.
pub fn refresh_copies(state: &Dump, host: &BTreeMap<String, IpSet>) -> Desired {
    let mut desired = Desired::from_dump(state, &BTreeSet::new());
    for (name, set) in host {
        for family in Family::ALL {
            if let Some(copy) = desired.sets.get_mut(&sets::copy_of(name, family)) {
                *copy = DesiredSet::Own(set.clone());
            }
        }
    }
    desired
}

/// The sets of users and of other tools, as the host's kernel will hold them once `desired` is made true.
pub fn held(state: &Dump, desired: &Desired) -> BTreeMap<String, IpSet> {
    let kept = state.sets.iter().filter(|(name, _)| !is_own_set(name) && !desired.gone.contains(*name));
    let mut held: BTreeMap<String, IpSet> = kept.map(|(name, set)| (name.clone(), set.clone())).collect();
    for (name, wanted) in &desired.sets {
        let DesiredSet::User { set, removed, dated } = wanted else { continue };
        let mut after = set.clone();
        if let Some(present) = state.sets.get(name).filter(|present| present.shape.kind == set.shape.kind) {
            // The clock that the kernel runs already is the one that counts, unless there is none yet or the file names the
            // moment.
            let stays = |(entry, member): &(SetEntry, &Member)| {
                let forever = |member: &Member| member.timeout.is_none_or(|seconds| seconds == 0);
                let keeps = |new: &Member| {
                    !dated.contains(entry) && new.nomatch == member.nomatch && forever(new) == forever(member)
                };
                !removed.contains(entry) && set.members.get(entry).is_none_or(keeps)
            };
            let staying = present.members.iter().filter(stays);
            after.members.extend(staying.map(|(entry, member)| (entry, member.clone())));
        }
        held.insert(name.clone(), after);
    }
    held
}

/// Whether a set means the same elsewhere: one made of other sets or of the host's interfaces does not.
fn is_copyable(set: &IpSet) -> bool {
    let SetKind::Other(kind) = &set.shape.kind else { return set.shape.kind != SetKind::NetIface };
    !kind.starts_with("list:set") && !kind.contains("iface")
}
