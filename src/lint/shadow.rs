//! Rules that can never match, because an earlier one always decides first.
//!
//! Judged by what the rules say, not by what containers exist today: a rule is shadowed only if it would be in every
//! world, so nothing is reported that tomorrow's containers would make wrong.

use jiff::Timestamp;

use crate::net::PortSet;
use crate::policy::{Ports, Rule, RuleSource, Target};

/// The index in `earlier` of one rule that takes every packet that `rule` could.
pub(super) fn shadowed_by(earlier: &[Rule], rule: &Rule, now: Timestamp) -> Option<usize> {
    earlier.iter().position(|other| {
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
    })
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
    subset(ports.container.as_ref(), wider.container.as_ref()) && subset(ports.published.as_ref(), wider.published.as_ref())
}

fn subset(inner: Option<&PortSet>, outer: Option<&PortSet>) -> bool {
    let Some(inner) = inner else { return true };
    outer.is_some_and(|outer| {
        inner.ranges().iter().all(|range| {
            // Ranges are merged, so one that is covered lies within a single other.
            outer.ranges().iter().any(|wide| wide.contains(range.protocol, range.first) && wide.contains(range.protocol, range.last))
        })
    })
}
