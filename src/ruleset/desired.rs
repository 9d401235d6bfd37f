//! What the kernel shall hold of ours: the value that `compile` makes and `plan` compares with a [`Dump`].

use std::collections::{BTreeMap, BTreeSet};

use super::dump::{Dump, Line};
use super::rule::{Action, Match, Rule, Table, names};
use super::set::{IpSet, SetEntry};
use crate::net::Family;

/// Rules that must be the first ones of a chain that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRules {
    /// The foreign chain.
    pub chain: String,
    /// Ours, in order, from position 1.
    pub lines: Vec<Line>,
}

/// Our part of one table of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredTable {
    /// Our chains by name.
    pub chains: BTreeMap<String, Vec<Line>>,
    /// Where they are called from. No other rule of ours may lie in a foreign chain.
    pub hooks: Vec<HookRules>,
}

/// A set that we keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredSet {
    /// Made by us alone: its members are exactly these.
    Own(IpSet),
    /// A user's: these members must be there; others that somebody added by hand stay.
    User {
        /// Shape and members of the set file.
        set: IpSet,
        /// Members that the file held when it was last in force and holds no more.
        removed: BTreeSet<SetEntry>,
        /// Members that end at a moment which the file names: the kernel's clock has to agree with it.
        dated: BTreeSet<SetEntry>,
    },
}

impl DesiredSet {
    /// Shape and members.
    pub fn set(&self) -> &IpSet {
        match self {
            Self::Own(set) | Self::User { set, .. } => set,
        }
    }

    /// The same, given away.
    pub fn into_set(self) -> IpSet {
        match self {
            Self::Own(set) | Self::User { set, .. } => set,
        }
    }
}

/// Everything of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Tables in which nothing of ours shall be are absent.
    pub tables: BTreeMap<(Family, Table), DesiredTable>,
    /// By kernel name.
    pub sets: BTreeMap<String, DesiredSet>,
    /// Users' sets that were ours to keep and whose owner removed them.
    pub gone: BTreeSet<String>,
}

/// The prefixes of sets that only we make.
pub const SET_PREFIXES: [&str; 2] = ["df4-", "df6-"];

/// Whether a kernel set of that name is one that only we make.
pub fn is_own_set(name: &str) -> bool {
    SET_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The name under which a set is made anew before it takes the place of the old one.
pub fn temporary_set(family: Family, index: usize) -> String {
    match family {
        Family::V4 => format!("df4-new-{index}"),
        Family::V6 => format!("df6-new-{index}"),
    }
}

/// Whether a kernel set is the remains of a change that was killed.
pub fn is_temporary_set(name: &str) -> bool {
    SET_PREFIXES.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("new-")))
}

/// Whether a chain of that name is ours.
pub fn is_own_chain(name: &str) -> bool {
    name == names::MAIN || name.strip_prefix(names::PREFIX).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a rule in a foreign chain is ours: it calls one of our chains or carries our mark.
pub fn is_own_rule(rule: &Rule) -> bool {
    let calls = match &rule.action {
        Action::Jump(chain) | Action::Goto(chain) => is_own_chain(chain),
        _ => false,
    };
    calls || rule.matches.iter().any(|condition| matches!(condition, Match::Comment(text) if text == names::MARK))
}

impl Desired {
    /// Our part of a state that was read, so that it can be restored exactly: `users` are the users' sets we keep.
    pub fn from_dump(dump: &Dump, users: &BTreeSet<String>) -> Self {
        let mut desired = Self::default();
        for (&key, table) in &dump.tables {
            let mut part = DesiredTable::default();
            for (name, chain) in &table.chains {
                if is_own_chain(name) {
                    part.chains.insert(name.clone(), chain.lines.clone());
                    continue;
                }
                let own = |line: &&Line| line.rule.as_ref().is_some_and(is_own_rule);
                let lines: Vec<Line> = chain.lines.iter().filter(own).cloned().collect();
                if !lines.is_empty() {
                    part.hooks.push(HookRules { chain: name.clone(), lines });
                }
            }
            if !part.chains.is_empty() || !part.hooks.is_empty() {
                desired.tables.insert(key, part);
            }
        }
        let ours = |name: &&String| (is_own_set(name) && !is_temporary_set(name)) || users.contains(*name);
        let sets = dump.sets.iter().filter(|(name, _)| ours(name));
        desired.sets = sets.map(|(name, set)| (name.clone(), DesiredSet::Own(set.clone()))).collect();
        desired.gone = users.iter().filter(|name| !dump.sets.contains_key(*name)).cloned().collect();
        desired
    }
}
