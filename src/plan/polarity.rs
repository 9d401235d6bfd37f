//! Which way a change of a set's members can move access.

use std::collections::BTreeMap;

use crate::ruleset::{Action, Desired, Dump, Line, Match, is_own_chain, is_own_rule};

/// What one more member can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polarity {
    /// Only take access away.
    Narrowing,
    /// Only give access.
    Widening,
    /// Either.
    Both,
}

/// The polarity of every set that our rules, old or new, ask.
pub(super) struct Polarities(BTreeMap<String, Polarity>);

impl Polarities {
    pub(super) fn of(have: &Dump, want: &Desired) -> Self {
        let mut all = Self(BTreeMap::new());
        for table in have.tables.values() {
            for (name, chain) in &table.chains {
                let own = is_own_chain(name);
                for line in &chain.lines {
                    if own || line.rule.as_ref().is_some_and(is_own_rule) {
                        all.read(line);
                    }
                }
            }
        }
        for table in want.tables.values() {
            table.chains.values().flatten().for_each(|line| all.read(line));
            table.hooks.iter().flat_map(|hook| &hook.lines).for_each(|line| all.read(line));
        }
        all
    }

    pub(super) fn get(&self, set: &str) -> Option<Polarity> {
        self.0.get(set).copied()
    }

    pub(super) fn is_asked(&self, set: &str) -> bool {
        self.0.contains_key(set)
    }

    fn read(&mut self, line: &Line) {
        let Some(rule) = &line.rule else {
            // A rule that somebody put into our chain: what it does with a set is anybody's guess.
            let mut words = line.text.split_whitespace().peekable();
            while let Some(word) = words.next() {
                if let Some(name) = words.next_if(|_| word == "--match-set") {
                    self.note(name, Polarity::Both);
                }
            }
            return;
        };
        let lets_pass = match rule.action {
            Action::Return | Action::Accept => true,
            // Being judged is never more than not being judged. What logs asks what the drop behind it asks.
            Action::Drop | Action::Reset | Action::Mark(_) | Action::Log(_) | Action::Jump(_) | Action::Goto(_) => {
                false
            }
        };
        for condition in &rule.matches {
            if let Match::Set { name, negated, .. } = condition {
                self.note(name, if lets_pass == *negated { Polarity::Narrowing } else { Polarity::Widening });
            }
        }
    }

    fn note(&mut self, set: &str, polarity: Polarity) {
        self.0
            .entry(set.to_owned())
            .and_modify(|known| {
                if *known != polarity {
                    *known = Polarity::Both;
                }
            })
            .or_insert(polarity);
    }
}
