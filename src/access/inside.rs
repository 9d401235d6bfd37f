//! Who reaches a container over a network whose packets come right to it, past the host.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Bound;

use jiff::Timestamp;

use super::{Access, read_off, rules_of, stranger_gets_through};
use crate::inventory::{Container, Inventory, Network};
use crate::net::{Family, PortRange, Protocol};
use crate::policy::Policy;
use crate::ruleset::{Dump, Path, Transport};

/// Who reaches the ports in `ports` of `container` over `network`, whose packets go past the host's chains into the
/// container's own; without `ports` every port that no rule names.
pub fn access_inside(
    policy: &Policy,
    inventory: &Inventory,
    container: &Container,
    (network, family): (&Network, Family),
    ports: Option<PortRange>,
    now: Timestamp,
) -> Access {
    read_off(policy, inventory, container, family, now, |rule| {
        let here = rule.interface.is_none() || rule.interface == network.parent;
        let spoken = match (&rule.ports.container, ports) {
            (None, _) => rule.ports.published.is_none(),
            (Some(own), Some(range)) => own.contains(range.protocol, range.first),
            (Some(_), None) => false,
        };
        here && spoken
    })
}

/// The ports of a container that its rules name, sorted, and cut so that each rule speaks of all of a range or of nothing.
pub fn ports_named(policy: &Policy, inventory: &Inventory, container: &Container) -> Vec<PortRange> {
    let rules = rules_of(policy, inventory, container);
    let sets = rules.iter().filter_map(|(_, rule)| rule.ports.container.as_ref());
    let named: Vec<PortRange> = sets.flat_map(|ports| ports.ranges().iter().copied()).collect();
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

/// As [`super::strangers_pass`], for packets that come to a container's own network namespace, which holds `state`; `port` is one
/// that no rule names when `None`.
pub fn strangers_enter(state: &Dump, own: IpAddr, port: Option<(Protocol, u16)>) -> bool {
    let transport = port.map_or(Transport::Other, |(protocol, destination)| Transport::Ports {
        protocol,
        source: 40_000,
        destination,
        syn: true,
    });
    stranger_gets_through(state, Path::Input, (own, transport), None)
}
