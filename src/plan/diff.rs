//! The same comparison for people: what is there and goes, what is not and comes.

use crate::ruleset::{Desired, DesiredSet, Dump, Line, Member, SetEntry, is_own_chain, is_own_rule, is_own_set};
use crate::ruleset::{render_set_create, render_set_entry};

/// Whether a line comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It will be in the kernel.
    Add,
    /// It will be gone.
    Remove,
}

/// One line of the difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    /// Where: `IPv4 filter/DOCKER-FIREWALL-TO` or `set ipfriends`.
    pub place: String,
    /// Comes or goes.
    pub sign: Sign,
    /// The rule or the member, as `iptables-save` and `ipset save` print it.
    pub text: String,
}

/// All differences, tables first; empty exactly when `plan` has no steps.
pub fn diff(have: &Dump, want: &Desired) -> Vec<DiffLine> {
    let mut lines = Vec::new();
    for (key, present) in &have.tables {
        let wanted = want.tables.get(key);
        let place = |chain: &str| format!("{} {}/{chain}", key.0, key.1);
        let mut names: Vec<&String> = present.chains.keys().collect();
        names.extend(wanted.iter().flat_map(|table| table.chains.keys()));
        names.extend(wanted.iter().flat_map(|table| table.hooks.iter().map(|hook| &hook.chain)));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let now: Vec<&Line> = present.chains.get(name).map_or(Vec::new(), |chain| chain.lines.iter().collect());
            if is_own_chain(name) {
                let then = wanted.and_then(|table| table.chains.get(name));
                if then.is_none() || !present.chains.contains_key(name) {
                    let sign = if then.is_some() { Sign::Add } else { Sign::Remove };
                    lines.push(DiffLine { place: place(name), sign, text: format!("-N {name}") });
                }
                let then: Vec<&Line> = then.map_or(Vec::new(), |lines| lines.iter().collect());
                compare(&mut lines, &place(name), name, &now, &then);
            } else {
                let then: Vec<&Line> = wanted
                    .iter()
                    .flat_map(|table| table.hooks.iter().filter(|hook| hook.chain == *name))
                    .flat_map(|hook| &hook.lines)
                    .collect();
                compare_hook(&mut lines, &place(name), name, &now, &then);
            }
        }
    }
    set_lines(&mut lines, have, want);
    lines
}

fn compare(lines: &mut Vec<DiffLine>, place: &str, chain: &str, now: &[&Line], then: &[&Line]) {
    let same_head = now.iter().zip(then).take_while(|(a, b)| a.text == b.text).count();
    let (now, then) = (&now[same_head..], &then[same_head..]);
    let same_tail = now.iter().rev().zip(then.iter().rev()).take_while(|(a, b)| a.text == b.text).count();
    let mut push = |sign, line: &Line| {
        lines.push(DiffLine { place: place.to_owned(), sign, text: format!("-A {chain} {}", line.text) });
    };
    now[..now.len() - same_tail].iter().for_each(|line| push(Sign::Remove, line));
    then[..then.len() - same_tail].iter().for_each(|line| push(Sign::Add, line));
}

fn compare_hook(lines: &mut Vec<DiffLine>, place: &str, chain: &str, now: &[&Line], then: &[&Line]) {
    let own = |line: &&&Line| line.rule.as_ref().is_some_and(is_own_rule);
    let ours = now.iter().filter(own).count();
    let head_fits = now.len() >= then.len() && now.iter().zip(then).all(|(a, b)| a.text == b.text);
    if head_fits && ours == then.len() {
        return;
    }
    for (index, line) in now.iter().enumerate().filter(|(_, line)| own(line)) {
        let text = format!("-D {chain} {}  # was rule {}", line.text, index + 1);
        lines.push(DiffLine { place: place.to_owned(), sign: Sign::Remove, text });
    }
    for (index, line) in then.iter().enumerate() {
        let text = format!("-I {chain} {} {}", index + 1, line.text);
        lines.push(DiffLine { place: place.to_owned(), sign: Sign::Add, text });
    }
}

fn set_lines(lines: &mut Vec<DiffLine>, have: &Dump, want: &Desired) {
    for (name, change) in super::sets::changes(have, want) {
        let place = format!("set {name}");
        let mut push = |sign, text: String| lines.push(DiffLine { place: place.clone(), sign, text });
        let member = |entry: &SetEntry, member: &Member| format!("add {name} {}", render_set_entry(entry, member));
        match change {
            super::SetChange::Create(set) | super::SetChange::Remake(set) => {
                let old = have.sets.get(&name);
                if let Some(old) = old {
                    push(Sign::Remove, render_set_create(&name, &old.shape));
                }
                push(Sign::Add, render_set_create(&name, &set.shape));
                for (entry, value) in &set.members {
                    if old.is_none_or(|old| !old.members.contains_key(&entry)) {
                        push(Sign::Add, member(&entry, value));
                    }
                }
            }
            super::SetChange::Members { add, remove, .. } => {
                for entry in &remove {
                    push(Sign::Remove, member(entry, &Member::default()));
                }
                for (entry, value) in &add {
                    push(Sign::Add, member(entry, value));
                }
            }
        }
    }
    for (name, set) in have.sets.iter().filter(|(name, _)| !want.sets.contains_key(*name)) {
        if is_own_set(name) || want.gone.contains(name) {
            let text = render_set_create(name, &set.shape);
            lines.push(DiffLine { place: format!("set {name}"), sign: Sign::Remove, text });
        }
    }
}

/// Members that somebody added to a user's set by hand and that no file holds: kept, and worth a remark.
pub fn unsaved(have: &Dump, want: &Desired) -> Vec<(String, Vec<SetEntry>)> {
    want.sets
        .iter()
        .filter_map(|(name, wanted)| {
            let DesiredSet::User { set, removed, .. } = wanted else { return None };
            let present = &have.sets.get(name)?.members;
            let mut extra = present.missing_in(&set.members);
            extra.retain(|entry| !removed.contains(entry));
            (!extra.is_empty()).then(|| (name.clone(), extra))
        })
        .collect()
}
