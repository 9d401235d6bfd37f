//! The sums as people read them: a row for each group of rules and for each container that something was kept from.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use crate::policy::{Policy, Verdict};
use crate::ruleset::Counts;

/// What became of the packets of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A rule allowed them.
    Allow,
    /// A rule denied them.
    Deny,
    /// No rule allowed them, and their container is guarded.
    Closed,
}

impl Fate {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Closed => "closed",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose packets, by name.
    pub containers: Vec<String>,
    /// Numbers of the rules, from 1.
    pub rules: Vec<usize>,
    /// Their IDs.
    pub ids: Vec<String>,
    /// What became of them.
    pub fate: Fate,
    /// In both directions.
    pub counts: Counts,
    /// The same since the sums that it is compared with.
    pub recent: Counts,
}

/// The rows of `sums`, in no order that matters; `before` are the sums to compare with. Who was not there then has no
/// recent packets.
pub fn rows(
    policy: &Policy,
    sums: &BTreeMap<Subject, Counts>,
    before: &BTreeMap<Subject, Counts>,
    containers: &BTreeMap<Vec<String>, BTreeSet<String>>,
) -> Vec<Row> {
    let mut rows: BTreeMap<(Fate, Vec<String>, String), (Counts, Counts)> = BTreeMap::new();
    for (subject, counts) in sums {
        let key = match subject {
            Subject::Rules(group) => {
                let fate = if group.verdict == Verdict::Allow { Fate::Allow } else { Fate::Deny };
                (fate, group.ids.clone(), String::new())
            }
            Subject::Closed(name) => (Fate::Closed, Vec::new(), name.clone()),
            // These are among the others.
            Subject::Backstop => continue,
        };
        let (all, recent) = rows.entry(key).or_default();
        *all += *counts;
        *recent += before.get(subject).map(|before| counts.since(*before)).unwrap_or_default();
    }
    let number = |id: &String| policy.rules.iter().position(|rule| rule.id() == *id).map(|index| index + 1);
    let row = |((fate, ids, name), (counts, recent)): ((Fate, Vec<String>, String), (Counts, Counts))| {
        let spoken_of = || containers.get(&ids).into_iter().flatten().cloned().collect();
        let containers = if fate == Fate::Closed { vec![name] } else { spoken_of() };
        Row { containers, rules: ids.iter().filter_map(number).collect(), ids, fate, counts, recent }
    };
    rows.into_iter().map(row).collect()
}
