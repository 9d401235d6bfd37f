//! The whole ruleset of one family, whoever wrote it: every table, every chain, every rule, as far as it can be judged.
//!
//! Unlike [`Dump`], which is about what we write, this is about what a packet meets. Nothing is left out: what is not
//! understood is a condition or a target that says so, and whoever reads the rules must not guess past it.

mod condition;
mod index;
mod options;
mod parse;
mod target;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::dump::Dump;
use crate::net::Family;

pub use condition::{Ask, Condition, States};
pub use index::{Candidates, Traits};
pub use parse::parse_whole;
pub use target::{NewPort, Target};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeRule {
    /// What follows `-A CHAIN `, verbatim.
    pub text: String,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Then this.
    pub target: Target,
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeChain {
    /// `ACCEPT` or `DROP` of a built-in chain; `None` of a user-made one.
    pub policy: Option<String>,
    /// Its rules in order. They do not change any more once somebody asked for [`Self::candidates`].
    pub rules: Vec<WholeRule>,
    index: OnceLock<Option<index::Index>>,
}

impl WholeChain {
    /// A chain.
    pub fn new(policy: Option<String>, rules: Vec<WholeRule>) -> Self {
        Self { policy, rules, index: OnceLock::new() }
    }

    /// The numbers, from 0, of rules that [`Self::candidates`] leaves out for other sources than the one they name.
    pub fn of_single_sources(&self) -> &[usize] {
        let index = self.index.get_or_init(|| index::Index::of(&self.rules));
        index.as_ref().map_or(&[], |index| &index.sourced)
    }

    /// The numbers, from 0, of the rules that a packet with these traits can meet; no other one matches it.
    pub fn candidates(&self, traits: &Traits<'_>) -> Candidates<'_> {
        let index = self.index.get_or_init(|| index::Index::of(&self.rules));
        Candidates::new(index.as_ref(), self.rules.len(), traits)
    }
}

/// All tables of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeRuleset {
    /// Chains by name, by table.
    pub tables: BTreeMap<String, BTreeMap<String, WholeChain>>,
    /// What lies in the kernel and could not be read: tables that hold native nft rules.
    pub unreadable: Vec<String>,
}

impl WholeRuleset {
    /// One chain, if it exists.
    pub fn chain(&self, table: &str, name: &str) -> Option<&WholeChain> {
        self.tables.get(table)?.get(name)
    }

    /// The part of a state that was read for writing: `filter` and `security` only, which is all that a container's own
    /// network namespace holds of ours.
    pub fn of_dump(dump: &Dump, family: Family) -> Self {
        let mut ruleset = Self::default();
        for ((_, table), chains) in dump.tables.iter().filter(|((own, _), _)| *own == family) {
            let whole = chains.chains.iter().map(|(name, chain)| {
                let rules = chain.lines.iter().map(|line| WholeRule::parse(&line.text)).collect();
                (name.clone(), WholeChain::new(chain.policy.clone(), rules))
            });
            let mut whole: BTreeMap<String, WholeChain> = whole.collect();
            parse::settle(&mut whole);
            ruleset.tables.insert(table.name().to_owned(), whole);
        }
        ruleset
    }
}
