//! Two readings of our own chains: the trace that `compile` is tested with, and the one that `explain` follows packets with.

use std::collections::BTreeMap;

use docker_firewall::effective::{
    ACK, Answer, Effort, Host, Kernel, Link, Listener, Lookup, SYN, Segment, Tracking, at_hook, held,
};
use docker_firewall::net::Family;
use docker_firewall::policy::Hook;
use docker_firewall::ruleset::{
    ConnDirection, ConnState, Dump, Packet, SetDirection, Transport, WholeRuleset, through,
};
use proptest::prelude::*;

use crate::world::{self};
use crate::{apply, kernel};
use docker_firewall::net::Protocol;

struct Sets<'a>(&'a Dump);

impl Lookup for Sets<'_> {
    fn holds(&self, name: &str, directions: &[SetDirection], segment: &Segment) -> Option<bool> {
        held(self.0.sets.get(name)?, directions, segment)
    }
}

/// The packet in the other reading's words; first packets, answers and what follows, which is all that it speaks of.
fn segment(packet: &Packet) -> Option<Segment> {
    let Transport::Ports { protocol, source, destination, syn } = packet.transport else { return None };
    let tracking = match (packet.state, packet.direction) {
        (ConnState::New, Some(ConnDirection::Original)) if syn || protocol != Protocol::Tcp => Tracking::New,
        (ConnState::Established, Some(ConnDirection::Reply)) if !syn => Tracking::Answer,
        (ConnState::Established, Some(ConnDirection::Original)) if !syn => Tracking::Later,
        _ => return None,
    };
    let flags = match tracking {
        Tracking::New => SYN,
        Tracking::Answer => SYN | ACK,
        _ => ACK,
    };
    let link = |name: &str| if name.is_empty() { Link::Absent } else { Link::Named(name.to_owned()) };
    Some(Segment {
        protocol,
        source: packet.source,
        source_port: Some(source),
        destination: packet.destination,
        destination_port: Some(destination),
        in_link: link(&packet.in_interface),
        out_link: link(&packet.out_interface),
        tracking,
        original_source: packet.source,
        original: (packet.destination, packet.published.or(Some(destination))),
        translated: packet.published.is_some(),
        mark: Some(0),
        flags,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_readings_of_our_chains_agree(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 80),
        hook in prop::sample::select(vec![Hook::DockerUser, Hook::Docker, Hook::Forward]),
    ) {
        let mut world = world;
        world.policy.hook = hook;
        let mut kernel = kernel(&world);
        apply(&mut kernel, &world).unwrap();
        let state = &kernel.state;
        let rulesets: BTreeMap<Family, WholeRuleset> =
            Family::ALL.into_iter().map(|family| (family, WholeRuleset::of_dump(state, family))).collect();
        let (host, sets) = (Host::default(), Sets(state));
        let nobody = |_, _, _| Listener::Nobody;
        let whole = Kernel { rulesets: &rulesets, host: &host, sets: &sets, listeners: &nobody, unread: &[], effort: Effort::default() };
        for packet in &packets {
            let Some(segment) = segment(packet) else { continue };
            let passage = at_hook(&whole, packet.path.chain(), &segment);
            let traced = through(state, Family::of(&packet.source), packet.path.chain(), packet);
            let expected = if traced.outcome.is_drop() { Answer::Denied } else { Answer::Allowed };
            prop_assert_eq!(passage.answer, expected, "{:#?}\n{:#?}\n{:#?}", packet, passage, traced);
        }
    }
}
