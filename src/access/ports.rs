//! The ports of a container that nobody published, cut where the rules say something else.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::Ruled;
use crate::net::{PortRange, Protocol};
use crate::policy::Rule;

/// The ports that rules or `more` name, sorted, and cut so that each of them speaks of all of a range or of nothing.
pub(super) fn named(ruled: &Ruled<'_>, more: &[PortRange]) -> Vec<PortRange> {
    let sets = ruled.rules.iter().filter_map(|(_, rule)| rule.ports.container.as_ref());
    let named: Vec<PortRange> =
        sets.flat_map(|ports| ports.ranges().iter().copied()).chain(more.iter().copied()).collect();
    let mut ranges = Vec::new();
    for protocol in Protocol::ALL {
        let of_protocol = || named.iter().filter(|range| range.protocol == protocol);
        let begins = of_protocol().flat_map(|range| [Some(range.first), range.last.checked_add(1)]).flatten();
        let begins: BTreeSet<u16> = begins.collect();
        for &first in begins.iter().filter(|port| of_protocol().any(|range| range.contains(protocol, **port))) {
            // The next begin is at the latest where the range ends that holds this one.
            let last =
                begins.range((Bound::Excluded(first), Bound::Unbounded)).next().map_or(u16::MAX, |next| next - 1);
            ranges.push(PortRange { protocol, first, last });
        }
    }
    ranges
}

/// Whether a rule speaks of ports at the container's own address: those in `range`, or without one those that nobody names.
pub(super) fn speaks(rule: &Rule, range: Option<PortRange>) -> bool {
    match (&rule.ports.container, range) {
        (None, _) => rule.ports.published.is_none(),
        (Some(own), Some(range)) => own.contains(range.protocol, range.first),
        (Some(_), None) => false,
    }
}

/// A port to try: of a range its first, otherwise one that is in none of them.
pub(super) fn tried(ranges: &[PortRange], range: Option<PortRange>) -> (Protocol, u16) {
    if let Some(range) = range {
        return (range.protocol, range.first);
    }
    let taken = |port: &u16| ranges.iter().any(|range| range.contains(Protocol::Tcp, *port));
    (Protocol::Tcp, (1..=u16::MAX).rev().step_by(251).find(|port| !taken(port)).unwrap_or(u16::MAX))
}
