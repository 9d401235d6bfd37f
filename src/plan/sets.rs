//! What must change in the sets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::net::Family;
use crate::ruleset::{
    Desired, DesiredSet, Dump, IpSet, Member, Members, SetEntry, SetShape, is_own_set, is_temporary_set,
    render_set_entry,
};

/// Seconds by which an expiry may differ before it is written anew: the time between reading and writing. More than that is
/// the wall clock that jumped, or a machine that slept: the kernel's timers know of neither.
const TOLERANCE: u32 = 5;

/// One set's change.
pub(super) enum SetChange {
    /// It does not exist.
    Create(IpSet),
    /// It exists, with options that it cannot keep.
    Remake(IpSet),
    /// Members come and go.
    Members { family: Family, add: Vec<(SetEntry, Member)>, remove: Vec<SetEntry> },
}

/// The changes by name; sets that agree are absent.
pub(super) fn changes(have: &Dump, want: &Desired) -> BTreeMap<String, SetChange> {
    let mut changes = BTreeMap::new();
    for (name, wanted) in &want.sets {
        let set = wanted.set();
        let Some(present) = have.sets.get(name) else {
            changes.insert(name.clone(), SetChange::Create(set.clone()));
            continue;
        };
        if !fits(&present.shape, &set.shape, wanted) {
            changes.insert(name.clone(), SetChange::Remake(with_extras(present, wanted)));
            continue;
        }
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for (entry, then, now) in set.members.differences(&present.members) {
            match (then, now) {
                (Some(then), now) if now.is_none_or(|now| !agrees(now, then, wanted, &entry)) => {
                    add.push((entry, then.clone()));
                }
                (None, Some(_)) if !is_extra(wanted, &entry) => remove.push(entry),
                _ => {}
            }
        }
        if !add.is_empty() || !remove.is_empty() {
            changes.insert(name.clone(), SetChange::Members { family: present.shape.family, add, remove });
        }
    }
    changes
}

/// Whether a member that the desired set does not list may stay.
fn is_extra(wanted: &DesiredSet, entry: &SetEntry) -> bool {
    match wanted {
        DesiredSet::Own(_) => false,
        DesiredSet::User { removed, .. } => !removed.contains(entry),
    }
}

fn with_extras(present: &IpSet, wanted: &DesiredSet) -> IpSet {
    let mut set = wanted.set().clone();
    // Of another kind nothing can be carried over.
    if present.shape.kind == set.shape.kind && present.shape.family == set.shape.family {
        let extra = wanted.set().members.differences(&present.members).into_iter().filter_map(|(entry, then, now)| {
            let stays = then.is_none() && is_extra(wanted, &entry);
            stays.then(|| (entry, now.cloned().unwrap_or_default()))
        });
        set.members.extend(extra);
    }
    set
}

fn fits(present: &SetShape, wanted: &SetShape, set: &DesiredSet) -> bool {
    let enough = u32::try_from(set.set().members.len()).is_ok_and(|count| present.maxelem >= count);
    let room = match set {
        DesiredSet::Own(_) => enough,
        DesiredSet::User { .. } => enough && present.maxelem >= wanted.maxelem,
    };
    present.kind == wanted.kind
        && present.family == wanted.family
        && room
        && present.timeout.is_some() == wanted.timeout.is_some()
        && (present.comment || !wanted.comment)
        && (present.counters || !wanted.counters)
}

fn agrees(present: &Member, wanted: &Member, set: &DesiredSet, entry: &SetEntry) -> bool {
    let (own, dated) = match set {
        DesiredSet::Own(_) => (true, true),
        DesiredSet::User { dated, .. } => (false, dated.contains(entry)),
    };
    let forever = |member: &Member| member.timeout.is_none_or(|seconds| seconds == 0);
    let time = match (forever(present), forever(wanted)) {
        (true, true) => true,
        // Seconds that no moment stands behind keep the clock that the kernel already runs.
        (false, false) => !dated || present.timeout.unwrap_or(0).abs_diff(wanted.timeout.unwrap_or(0)) <= TOLERANCE,
        _ => false,
    };
    // In a user's set a comment made by hand is not ours to take away.
    let comment = present.comment == wanted.comment || (!own && wanted.comment.is_none());
    time && comment && present.nomatch == wanted.nomatch
}

/// The restore lines of one set's members, `present` being those it has: what makes more packets match, and what makes
/// fewer match. A `nomatch` member is an exception, so one more of them makes fewer match. `-exist` because another hand may
/// have been faster; it also turns a member into an exception and back.
pub(super) fn texts(
    name: &str,
    present: &Members,
    add: &[(SetEntry, Member)],
    remove: &[SetEntry],
) -> (String, String) {
    let (mut more, mut fewer) = (String::new(), String::new());
    for (entry, member) in add {
        let text = if member.nomatch { &mut fewer } else { &mut more };
        super::push_add(text, name, entry, member);
        text.push_str(" -exist\n");
    }
    for entry in remove {
        let exception = present.get(entry).is_some_and(|member| member.nomatch);
        let text = if exception { &mut more } else { &mut fewer };
        let _ = writeln!(text, "del {name} {} -exist", render_set_entry(entry, &Member::default()));
    }
    (more, fewer)
}

/// Lines that destroy what is no longer needed: ours, and users' sets that their owner removed.
pub(super) fn stale(have: &Dump, want: &Desired) -> (String, String) {
    let (mut own, mut users) = (String::new(), String::new());
    for name in have.sets.keys().filter(|name| !want.sets.contains_key(*name)) {
        if is_own_set(name) && !is_temporary_set(name) {
            let _ = writeln!(own, "destroy {name}");
        } else if want.gone.contains(name) {
            let _ = writeln!(users, "destroy {name}");
        }
    }
    (own, users)
}
