//! Arbitrary rules and sets, in the canonical order in which the tools print them.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use docker_firewall::net::{Family, PortRange, Protocol};
use docker_firewall::ruleset::{Action, IpSet, Match, Member, Rule, SetDirection, SetEntry, SetKind, SetShape};
use ipnet::IpNet;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// The set names that rules mention.
pub(crate) const SET_NAMES: [&str; 3] = ["df4-guarded", "ipfriends", "a.b_c"];
/// The chains that rules call.
pub(crate) const CHAINS: [&str; 2] = ["DOCKER-FIREWALL-TO", "OTHER_chain.1"];

fn protocol() -> impl Strategy<Value = Protocol> {
    select(&Protocol::ALL[..])
}

fn range(protocol: Protocol) -> impl Strategy<Value = PortRange> {
    (1..=u16::MAX, 1..=u16::MAX, any::<bool>()).prop_map(move |(a, b, single)| {
        let last = if single { a } else { a.max(b) };
        PortRange { protocol, first: a.min(last).min(if single { a } else { b }), last }
    })
}

fn interface() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,12}[+]?"
}

/// The conditions on the transport header, which belong together; none of them, or at least one.
fn header(protocol: Protocol) -> impl Strategy<Value = Vec<Match>> {
    (option::of(range(protocol)), option::of(range(protocol)), any::<bool>()).prop_map(move |(from, to, not_syn)| {
        let mut matches = Vec::new();
        matches.extend(from.map(Match::SourcePorts));
        matches.extend(to.map(Match::DestinationPorts));
        if not_syn && protocol == Protocol::Tcp {
            matches.push(Match::TcpNotSyn);
        }
        matches
    })
}

fn set_match() -> impl Strategy<Value = Match> {
    let side = select(&[SetDirection::Src, SetDirection::Dst][..]);
    (select(&SET_NAMES[..]), any::<bool>(), vec(side, 1..=3)).prop_map(|(name, negated, directions)| Match::Set {
        name: name.to_owned(),
        negated,
        directions,
    })
}

fn modules(protocol: Protocol) -> impl Strategy<Value = Vec<Match>> {
    let states = proptest::sample::subsequence(
        vec![Match::Related, Match::New, Match::Original, Match::Reply, Match::Dnat, Match::NotDnat, Match::Unknown],
        0..=2,
    );
    let comment = option::of("[ -~]{0,40}".prop_map(Match::Comment));
    (header(protocol), option::of(range(protocol).prop_map(Match::Published)), states, vec(set_match(), 0..3), comment)
        .prop_flat_map(move |(header, published, states, sets, comment)| {
            let singles = states.into_iter().chain(sets).chain(published).chain(comment).map(|each| vec![each]);
            let groups: Vec<Vec<Match>> = singles.chain([header]).collect();
            Just(groups).prop_shuffle().prop_map(|groups| groups.concat())
        })
}

/// A rule in canonical order.
pub(crate) fn rule(of: Family) -> impl Strategy<Value = Rule> {
    let jump = select(&CHAINS[..]).prop_map(|name| Action::Jump(name.to_owned()));
    let goto = select(&CHAINS[..]).prop_map(|name| Action::Goto(name.to_owned()));
    let mark = (0..32u32).prop_map(|bit| Action::Mark(1 << bit));
    let action = prop_oneof![Just(Action::Return), Just(Action::Drop), Just(Action::Accept), mark, jump, goto];
    let modules = protocol().prop_flat_map(|protocol| (Just(protocol), modules(protocol), any::<bool>()));
    // What logs may ask how often it did, at the end; `of` is the family of the packets that the rule is for.
    let log = option::weighted(0.3, ("[a-z0-9-]{1,20}|[ -~]{1,60}", option::of(Just(Match::Seldom(of)))));
    (option::of(interface()), option::of(interface()), modules, action, log).prop_map(
        |(in_interface, out_interface, (protocol, mut modules, bare), mut action, log)| {
            if let Some((prefix, limit)) = log {
                action = Action::Log(prefix);
                modules.extend(limit);
            }
            let implied = modules.iter().any(|each| {
                let header = matches!(each, Match::DestinationPorts(_) | Match::SourcePorts(_) | Match::TcpNotSyn);
                header || matches!(each, Match::Published(_))
            });
            let mut matches: Vec<Match> = Vec::new();
            matches.extend(in_interface.map(Match::InInterface));
            matches.extend(out_interface.map(Match::OutInterface));
            if bare && !implied {
                matches.push(Match::Protocol(protocol));
            }
            matches.extend(modules);
            Rule { matches, action }
        },
    )
}

/// Small numbers are as likely as any, for the odd forms of nearly empty addresses.
fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).boxed(),
        Family::V6 => prop_oneof![
            any::<u128>(),
            any::<u32>().prop_map(u128::from),
            any::<u16>().prop_map(u128::from),
            any::<u32>().prop_map(|bits| u128::from(bits) | 0xffff_0000_0000),
            (any::<u16>(), 0..8_u32, any::<u16>(), 0..8_u32)
                .prop_map(|(a, i, b, j)| (u128::from(a) << (16 * i)) | (u128::from(b) << (16 * j))),
        ]
        .prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        .boxed(),
    }
}

fn block(family: Family) -> impl Strategy<Value = IpNet> {
    (address(family), 1..=family.bits()).prop_map(|(address, length)| IpNet::new(address, length).unwrap().trunc())
}

fn entry(kind: &SetKind, family: Family) -> BoxedStrategy<SetEntry> {
    let port = any::<u16>;
    match kind {
        SetKind::Ip => address(family).prop_map(|address| SetEntry::Net(address.into())).boxed(),
        SetKind::Net => block(family).prop_map(SetEntry::Net).boxed(),
        SetKind::IpPort => (address(family), protocol(), port())
            .prop_map(|(address, protocol, port)| SetEntry::IpPort(address, protocol, port))
            .boxed(),
        SetKind::IpPortNet => (address(family), protocol(), port(), block(family))
            .prop_map(|(address, protocol, port, net)| SetEntry::IpPortNet(address, protocol, port, net))
            .boxed(),
        SetKind::NetIface => (block(family), "[a-z][a-z0-9._-]{0,14}")
            .prop_map(|(net, interface)| SetEntry::NetIface(net, interface))
            .boxed(),
        SetKind::NetPort => (block(family), protocol(), port())
            .prop_map(|(net, protocol, port)| SetEntry::NetPort(net, protocol, port))
            .boxed(),
        SetKind::Other(_) => "[0-9]{1,3}".prop_map(SetEntry::Other).boxed(),
    }
}

/// Every kind that we make.
pub(crate) const KINDS: [SetKind; 6] =
    [SetKind::Ip, SetKind::Net, SetKind::IpPort, SetKind::IpPortNet, SetKind::NetIface, SetKind::NetPort];

/// A set that the kernel would print so: members carry only what the set allows, and a timeout where it has them.
pub(crate) fn set() -> impl Strategy<Value = IpSet> {
    let family = select(&Family::ALL[..]);
    let kind = Union::new(KINDS.map(Just));
    (kind, family, option::of(0..100_000_u32), any::<(bool, bool)>()).prop_flat_map(|(kind, family, timeout, also)| {
        let (comment, counters) = also;
        let nomatch_allowed = !matches!(kind, SetKind::Ip | SetKind::IpPort);
        // Long enough that no second passes between two looks; 0 is for ever.
        let left = prop_oneof![Just(0), 10_000..2_000_000_u32];
        let member =
            (left, option::of("[!#-~][ !#-~]{0,20}"), any::<bool>()).prop_map(move |(left, text, nomatch)| Member {
                timeout: timeout.map(|_| left),
                comment: text.filter(|_| comment),
                nomatch: nomatch && nomatch_allowed,
            });
        let entries = entry(&kind, family);
        let shape = SetShape { kind, family, hashsize: 1024, maxelem: 65536, timeout, comment, counters };
        btree_map(entries, member, 0..12).prop_map(move |members: BTreeMap<SetEntry, Member>| IpSet {
            shape: shape.clone(),
            members: members.into_iter().collect(),
        })
    })
}
