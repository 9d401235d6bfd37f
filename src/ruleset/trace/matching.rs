//! Whether a packet meets a rule's conditions, and whether it is in a set.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::net::{Family, PortRange, Protocol};
use crate::ruleset::dump::Dump;
use crate::ruleset::members::Members;
use crate::ruleset::packet::{ConnDirection, ConnState, Packet, Transport};
use crate::ruleset::rule::{Match, SetDirection};
use crate::ruleset::set::{IpSet, SetEntry, SetKind};

/// Whether all hold; `None` when that cannot be known.
pub(super) fn all(dump: &Dump, family: Family, matches: &[Match], packet: &Packet) -> Option<bool> {
    let mut unknown = false;
    for each in matches {
        match holds(dump, family, each, packet) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => unknown = true,
        }
    }
    (!unknown).then_some(true)
}

fn holds(dump: &Dump, family: Family, condition: &Match, packet: &Packet) -> Option<bool> {
    Some(match condition {
        Match::InInterface(pattern) => interface(pattern, &packet.in_interface),
        Match::OutInterface(pattern) => interface(pattern, &packet.out_interface),
        Match::DestinationPorts(range) => ports(packet).is_some_and(|(p, _, to)| range.contains(p, to)),
        Match::SourcePorts(range) => ports(packet).is_some_and(|(p, from, _)| range.contains(p, from)),
        Match::TcpNotSyn => {
            matches!(packet.transport, Transport::Ports { protocol: Protocol::Tcp, syn: false, .. })
        }
        Match::Icmp6(kind) => packet.transport == Transport::Icmp6(*kind),
        Match::Protocol(protocol) => ports(packet).is_some_and(|(p, _, _)| p == *protocol),
        Match::Related => packet.state == ConnState::Related,
        Match::New => packet.state == ConnState::New,
        // An invalid or untracked packet belongs to no connection, hence has no direction.
        Match::Original => packet.direction == Some(ConnDirection::Original),
        Match::Reply => packet.direction == Some(ConnDirection::Reply),
        Match::Dnat => packet.direction.is_some() && packet.published.is_some(),
        Match::NotDnat => packet.direction.is_none() || packet.published.is_none(),
        Match::Unknown => matches!(packet.state, ConnState::New | ConnState::Invalid | ConnState::Untracked),
        Match::Published(range) => published(packet, *range),
        Match::Set { name, negated, directions } => {
            let inside = contains(dump.sets.get(name)?, family, directions, packet)?;
            inside != *negated
        }
        // Who was logged how often nobody here knows, and nothing hangs on it.
        Match::Comment(_) | Match::Seldom(_) => true,
    })
}

/// `br+` is every interface whose name begins with `br`.
fn interface(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn ports(packet: &Packet) -> Option<(Protocol, u16, u16)> {
    match packet.transport {
        Transport::Ports { protocol, source, destination, .. } => Some((protocol, source, destination)),
        Transport::Icmp6(_) | Transport::Other => None,
    }
}

fn published(packet: &Packet, range: PortRange) -> bool {
    let (Some((protocol, _, _)), Some(port), Some(_)) = (ports(packet), packet.published, packet.direction) else {
        return false;
    };
    range.contains(protocol, port)
}

/// How many directions a rule has to name.
fn dimensions(kind: &SetKind) -> Option<usize> {
    match kind {
        SetKind::Ip | SetKind::Net => Some(1),
        SetKind::IpPort | SetKind::NetIface | SetKind::NetPort => Some(2),
        SetKind::IpPortNet => Some(3),
        SetKind::Other(_) => None,
    }
}

/// Membership as `ip_set_test` decides it; `None` for kinds of set that we do not know.
pub fn contains(set: &IpSet, family: Family, directions: &[SetDirection], packet: &Packet) -> Option<bool> {
    let needed = dimensions(&set.shape.kind)?;
    // Also the kernel takes these for "not in it", so that a negated match holds.
    if directions.len() < needed || set.shape.family != family {
        return Some(false);
    }
    let address = |dimension: usize| match directions.get(dimension) {
        Some(SetDirection::Src) => packet.source,
        _ => packet.destination,
    };
    let port = |dimension: usize| {
        let (protocol, source, destination) = ports(packet)?;
        Some(match directions.get(dimension) {
            Some(SetDirection::Src) => (protocol, source),
            _ => (protocol, destination),
        })
    };
    let link = match directions.get(1) {
        Some(SetDirection::Src) => &packet.in_interface,
        _ => &packet.out_interface,
    };
    most_specific(&set.members, link, |entry| match entry {
        SetEntry::IpPort(ip, protocol, number) => {
            (*ip == address(0) && port(1) == Some((*protocol, *number))).then_some(0)
        }
        SetEntry::IpPortNet(ip, protocol, number, net) => (*ip == address(0) && port(1) == Some((*protocol, *number)))
            .then(|| holds_address(net, address(2)))
            .flatten(),
        // An interface does not help to choose the block: below.
        SetEntry::Net(net) | SetEntry::NetIface(net, _) => holds_address(net, address(0)),
        SetEntry::NetPort(net, protocol, number) => {
            (port(1) == Some((*protocol, *number))).then(|| holds_address(net, address(0))).flatten()
        }
        SetEntry::Other(_) => None,
    })
}

/// The prefix length of a block that holds the address.
fn holds_address(net: &IpNet, address: IpAddr) -> Option<u8> {
    net.contains(&address).then_some(net.prefix_len())
}

/// The longest prefix that fits decides: `nomatch` there is an exception from every larger block. In `hash:net,iface` it
/// is the longest of any interface, so that 10.1.0.0/16 on one bridge hides 10.0.0.0/8 on another (kernel:
/// `mtype_test_cidrs` stops at the first block that has members; tests/netns asks it).
fn most_specific(members: &Members, link: &str, prefix: impl Fn(&SetEntry) -> Option<u8>) -> Option<bool> {
    let mut longest = None;
    let mut found = None;
    let mut foreign = false;
    members.each(|entry, member| {
        let Some(length) = prefix(entry) else {
            foreign |= matches!(entry, SetEntry::Other(_));
            return;
        };
        if Some(length) < longest {
            return;
        }
        if Some(length) > longest {
            (longest, found) = (Some(length), None);
        }
        if !matches!(entry, SetEntry::NetIface(_, name) if name != link) {
            found = Some(!member.nomatch);
        }
    });
    // What an entry of a foreign form matches, nobody here knows.
    found.or((!foreign).then_some(false))
}
