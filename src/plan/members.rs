//! Changes that touch members of sets and nothing else: most containers that come and go make only such.

use super::sets::{self, SetChange};
use super::{Call, plan};
use crate::ruleset::{Desired, Dump};

/// One call that makes such a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersOnly {
    /// The text for `ipset restore`; empty when there is nothing to do. Its lines are in the order of the plan, so no
    /// instant is wider.
    pub text: String,
    /// What the kernel holds afterwards.
    pub after: Dump,
}

/// The change from `have` to `want` in one call; `None` when it takes more than members of sets that are there.
pub fn members_only(have: &Dump, want: &Desired) -> Option<MembersOnly> {
    let mut text = String::new();
    for step in plan(have, want).steps {
        match step.call {
            Call::Sets(lines) if !step.optional => text.push_str(&lines),
            _ => return None,
        }
    }
    let mut after = have.clone();
    for (name, change) in sets::changes(have, want) {
        match change {
            SetChange::Members { add, remove, .. } => {
                let members = &mut after.sets.get_mut(&name)?.members;
                for entry in &remove {
                    members.remove(entry);
                }
                members.extend(add);
            }
            SetChange::Create(_) | SetChange::Remake(_) => return None,
        }
    }
    let goes = text.lines().any(|line| line.starts_with("destroy "));
    (!goes).then_some(MembersOnly { text, after })
}

/// A state that was read `seconds` ago: members end when their time has come.
pub fn aged(mut state: Dump, seconds: u32) -> Dump {
    if seconds == 0 {
        return state;
    }
    for set in state.sets.values_mut() {
        set.members.retain(|_, member| member.timeout.is_none_or(|left| left == 0 || left > seconds));
        for left in set.members.values_mut().filter_map(|member| member.timeout.as_mut()) {
            *left = left.saturating_sub(seconds);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::net::Family;
    use crate::ruleset::{
        Action, DesiredSet, DesiredTable, IpSet, Line, Member, Rule, SetEntry, SetKind, SetShape, Table, names,
    };

    fn set(members: &[(&str, Option<u32>)]) -> IpSet {
        let member = |(text, timeout): &(&str, Option<u32>)| {
            (SetEntry::Net(text.parse().unwrap()), Member { timeout: *timeout, ..Member::default() })
        };
        let shape = SetShape {
            kind: SetKind::Net,
            family: Family::V4,
            hashsize: 1024,
            maxelem: 65536,
            timeout: Some(0),
            comment: false,
        };
        IpSet { shape, members: members.iter().map(member).collect::<BTreeMap<_, _>>() }
    }

    fn have(members: &[(&str, Option<u32>)]) -> Dump {
        let mut dump = Dump::default();
        dump.tables.insert((Family::V4, Table::Filter), crate::ruleset::TableDump::default());
        dump.sets.insert("df4-ruled".to_owned(), set(members));
        dump
    }

    fn want(members: &[(&str, Option<u32>)]) -> Desired {
        let sets = [("df4-ruled".to_owned(), DesiredSet::Own(set(members)))].into();
        Desired { sets, ..Desired::default() }
    }

    #[test]
    fn members_change_in_one_call_and_the_state_after_it_needs_nothing() {
        let (have, want) = (have(&[("10.0.0.2/32", None)]), want(&[("10.0.0.3/32", None)]));
        let change = members_only(&have, &want).unwrap();
        assert_eq!(change.text, "del df4-ruled 10.0.0.2 -exist\nadd df4-ruled 10.0.0.3 -exist\n");
        assert!(plan(&change.after, &want).is_empty());
        assert_eq!(members_only(&change.after, &want).unwrap().text, "");
    }

    #[test]
    fn rules_and_sets_that_come_or_go_are_more_than_members() {
        let same = [("10.0.0.2/32", None)];
        let mut rules = want(&same);
        let lines = vec![Line::of(Rule::new([], Action::Drop))];
        let chains = [(names::MAIN.to_owned(), lines)].into();
        rules.tables.insert((Family::V4, Table::Filter), DesiredTable { chains, hooks: Vec::new() });
        assert_eq!(members_only(&have(&same), &rules), None);
        let mut more = want(&same);
        more.sets.insert("df4-host".to_owned(), DesiredSet::Own(set(&[])));
        assert_eq!(members_only(&have(&same), &more), None);
        assert_eq!(members_only(&have(&same), &Desired::default()), None);
        let mut other = have(&same);
        other.sets.get_mut("df4-ruled").unwrap().shape.kind = SetKind::Ip;
        assert_eq!(members_only(&other, &want(&same)), None);
    }

    #[test]
    fn members_end_while_nobody_looks() {
        let state = have(&[("10.0.0.2/32", None), ("10.0.0.3/32", Some(30)), ("10.0.0.4/32", Some(10))]);
        let aged = aged(state, 10);
        let left: Vec<_> = aged.sets["df4-ruled"].members.values().map(|member| member.timeout).collect();
        assert_eq!(left, [None, Some(20)]);
    }
}
