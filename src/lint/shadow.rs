//! Rules that can never match, because an earlier one always decides first.
//!
//! Judged by what the rules say, not by what containers exist today: a rule is shadowed only if it would be in every
//! world, so nothing is reported that tomorrow's containers would make wrong.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::net::PortSet;
use crate::policy::{Ports, Rule, RuleSource, Target};

/// The rules before one, by their targets: what covers a rule covers its first target, so few have to be compared.
#[derive(Default)]
pub(super) struct Earlier<'a> {
    rules: Vec<&'a Rule>,
    by_target: HashMap<&'a Target, Vec<usize>>,
}

impl<'a> Earlier<'a> {
    /// Adds the rule that comes next.
    pub(super) fn add(&mut self, rule: &'a Rule) {
        for target in &rule.targets {
            self.by_target.entry(target).or_default().push(self.rules.len());
        }
        self.rules.push(rule);
    }

    /// The index of the first rule that takes every packet that `rule` could.
    pub(super) fn shadows(&self, rule: &Rule, now: Timestamp) -> Option<usize> {
        let first = rule.targets.first()?;
        // Whatever `target_covers` says yes to for this target.
        let mut wider = vec![first.clone(), Target::All];
        if let Target::Label(key, Some(_)) = first {
            wider.push(Target::Label(key.clone(), None));
        }
        let found = wider.iter().filter_map(|target| {
            let known = self.by_target.get(target)?;
            known.iter().copied().find(|&index| takes_all(self.rules[index], rule, now))
        });
        found.min()
    }
}

/// Whether `other` takes every packet that `rule` could.
fn takes_all(other: &Rule, rule: &Rule, now: Timestamp) -> bool {
    // One that ends will let this one through some day, unless this one ends no later.
    let outlives = match (other.expires, rule.expires) {
        (None, _) => true,
        (Some(other), Some(own)) => other >= own && other > now,
        (Some(_), None) => false,
    };
    let same_way_in = other.interface.is_none() || other.interface == rule.interface;
    outlives
        && same_way_in
        && rule.targets.iter().all(|target| other.targets.iter().any(|wider| target_covers(wider, target)))
        && rule.sources.iter().all(|source| source_covered(&other.sources, source))
        && ports_cover(&other.ports, &rule.ports)
}

fn target_covers(wider: &Target, target: &Target) -> bool {
    match (wider, target) {
        (Target::All, _) => true,
        (Target::Label(wide, None), Target::Label(key, _)) => wide == key,
        _ => wider == target,
    }
}

fn source_covered(wider: &[RuleSource], source: &RuleSource) -> bool {
    wider.contains(&RuleSource::Any)
        || wider.contains(source)
        || match source {
            RuleSource::Literal { blocks, .. } => blocks.iter().all(|block| {
                wider.iter().any(|other| match other {
                    RuleSource::Literal { blocks, .. } => blocks.iter().any(|wide| wide.contains(block)),
                    _ => false,
                })
            }),
            _ => false,
        }
}

fn ports_cover(wider: &Ports, ports: &Ports) -> bool {
    if wider.container.is_none() && wider.published.is_none() {
        return true;
    }
    if ports.container.is_none() && ports.published.is_none() {
        return false;
    }
    subset(ports.container.as_ref(), wider.container.as_ref())
        && subset(ports.published.as_ref(), wider.published.as_ref())
}

fn subset(inner: Option<&PortSet>, outer: Option<&PortSet>) -> bool {
    let Some(inner) = inner else { return true };
    outer.is_some_and(|outer| {
        inner.ranges().iter().all(|range| {
            // Ranges are merged, so one that is covered lies within a single other.
            outer
                .ranges()
                .iter()
                .any(|wide| wide.contains(range.protocol, range.first) && wide.contains(range.protocol, range.last))
        })
    })
}
