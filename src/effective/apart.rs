//! Sources that rules tell apart from the one that is under way: others may fare otherwise on the same way.

use std::net::IpAddr;

use ipnet::IpNet;

use super::judge::Judge;
use super::segment::Segment;
use crate::ruleset::{Ask, Condition, SetDirection, Target, WholeRule};

/// More are only counted.
const KEPT: usize = 16;

/// Whom a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Others {
    /// A block.
    Block(IpNet),
    /// A range.
    Range(IpAddr, IpAddr),
    /// A kernel set.
    Set(String),
}

/// Those that rules on the way told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apart {
    /// Those that may get through where others do not.
    pub may_pass: Vec<Others>,
    /// Those that some rule drops.
    pub dropped: Vec<Others>,
    /// How many more of the first kind there were.
    pub more: usize,
    on: bool,
}

impl Apart {
    /// One that takes notes.
    pub(super) fn noting(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Whether it takes notes.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Notes whom `rule` tells apart from the sender of `segment`, if it is about such packets at all. `own`: it is one of
    /// ours, whose sets the policy names.
    pub(super) fn note(&mut self, judge: Judge<'_>, rule: &WholeRule, segment: &Segment, own: bool) {
        if !rule.conditions.iter().any(|condition| others(&condition.ask, own).is_some()) {
            return;
        }
        let about = |condition: &&Condition| others(&condition.ask, own).is_none();
        let rest = rule.conditions.iter().filter(about).all(|each| judge.holds(each, segment) != Some(false));
        if !rest {
            return;
        }
        for condition in &rule.conditions {
            let Some(others) = others(&condition.ask, own) else { continue };
            // The sender is among them.
            if judge.holds(condition, segment) != Some(condition.negated) {
                continue;
            }
            let drops = !condition.negated && rule.target == Target::Drop;
            let list = if drops { &mut self.dropped } else { &mut self.may_pass };
            match list.len() {
                _ if list.contains(&others) => {}
                0..KEPT => list.push(others),
                _ if drops => {}
                _ => self.more += 1,
            }
        }
    }
}

/// Whom a condition speaks of, if it is about the sender alone.
fn others(ask: &Ask, own: bool) -> Option<Others> {
    match ask {
        Ask::Source(block) => Some(Others::Block(*block)),
        Ask::SourceRange(first, last) => Some(Others::Range(*first, *last)),
        Ask::Set { name, directions } if !own && **directions == [SetDirection::Src] => Some(Others::Set(name.clone())),
        _ => None,
    }
}
