//! A kernel's state, or the part of it that was read: tables with chains in both families, and sets.

use std::collections::{BTreeMap, BTreeSet};

use super::counts::Counts;
use super::render::render_rule;
use super::rule::{Rule, Table};
use super::set::IpSet;
use crate::net::Family;

/// One rule as it lies in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What follows `-A CHAIN `, verbatim as the tool printed it; the form in which foreign rules are kept.
    pub text: String,
    /// The rule it says, when it is of a kind that we write.
    pub rule: Option<Rule>,
    /// What it matched, when that was read.
    pub counts: Counts,
}

impl Line {
    /// A rule of ours with its text.
    pub fn of(rule: Rule) -> Self {
        Self { text: render_rule(&rule), rule: Some(rule), counts: Counts::default() }
    }
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// `ACCEPT` or `DROP` of a built-in chain; `None` of a user-made one.
    pub policy: Option<String>,
    /// Its rules in order.
    pub lines: Vec<Line>,
}

/// One table of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableDump {
    /// By name.
    pub chains: BTreeMap<String, Chain>,
}

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// A table that is missing here does not exist in that family.
    pub tables: BTreeMap<(Family, Table), TableDump>,
    /// By kernel name. Members of foreign sets may have been left unread.
    pub sets: BTreeMap<String, IpSet>,
    /// Families whose connections the kernel tracks, for some rule in some table asks about them or rewrites them.
    pub tracked: BTreeSet<Family>,
}

impl Dump {
    /// One chain, if it exists.
    pub fn chain(&self, family: Family, table: Table, name: &str) -> Option<&Chain> {
        self.tables.get(&(family, table))?.chains.get(name)
    }
}
