//! Whether a packet meets a condition: yes, no, or nobody can tell.

use super::host::Host;
use super::segment::{Link, Lookup, Segment, Tracking};
use crate::net::Protocol;
use crate::ruleset::{Ask, Condition, SetDirection, States};

/// Ports that clients choose for themselves; below it they need privileges.
const CHOSEN: (u16, u16) = (1024, u16::MAX);

/// What conditions are judged with.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) host: &'a Host,
    pub(super) sets: &'a dyn Lookup,
}

impl Judge<'_> {
    /// Whether all hold. Sets are asked last, and those first that only ask for the sender, whose answers are known from
    /// the last packet: each question is one to the kernel.
    pub(super) fn all(self, conditions: &[Condition], segment: &Segment) -> Option<bool> {
        let mut sure = true;
        for turn in 0..=2 {
            for condition in conditions.iter().filter(|condition| cost(&condition.ask, segment) == turn) {
                match self.holds(condition, segment) {
                    Some(true) => {}
                    Some(false) => return Some(false),
                    // A later condition may still rule the rule out.
                    None => sure = false,
                }
            }
        }
        sure.then_some(true)
    }

    /// Whether one does.
    pub(super) fn holds(self, condition: &Condition, segment: &Segment) -> Option<bool> {
        self.ask(&condition.ask, segment).map(|holds| holds != condition.negated)
    }

    fn ask(self, ask: &Ask, segment: &Segment) -> Option<bool> {
        let tracked = matches!(segment.tracking, Tracking::New | Tracking::Answer | Tracking::Later);
        let known = segment.tracking != Tracking::Unknown;
        match ask {
            Ask::Source(net) => Some(net.contains(&segment.source)),
            Ask::Destination(net) => Some(net.contains(&segment.destination)),
            Ask::SourceRange(first, last) => Some((*first..=*last).contains(&segment.source)),
            Ask::DestinationRange(first, last) => Some((*first..=*last).contains(&segment.destination)),
            Ask::In(pattern) => link(pattern, &segment.in_link),
            Ask::Out(pattern) => link(pattern, &segment.out_link),
            Ask::Protocol(number) => Some(*number == Some(segment.protocol.number())),
            Ask::SourcePorts(ranges) => ports(ranges, segment.source_port),
            Ask::DestinationPorts(ranges) => ports(ranges, segment.destination_port),
            Ask::EitherPorts(ranges) => {
                either(ports(ranges, segment.source_port), ports(ranges, segment.destination_port))
            }
            Ask::TcpFlags { mask, set } => Some(segment.protocol == Protocol::Tcp && segment.flags & mask == *set),
            Ask::State(states) => known.then(|| states.meets(states_of(segment))),
            Ask::Direction { reply } => known.then(|| tracked && (segment.tracking == Tracking::Answer) == *reply),
            Ask::OriginalSource(net) => known.then(|| tracked && net.contains(&segment.original_source)),
            Ask::OriginalDestination(net) => known.then(|| tracked && net.contains(&segment.original.0)),
            Ask::OriginalDestinationPort(first, last) => match (known, tracked) {
                (false, _) => None,
                (true, false) => Some(false),
                (true, true) => ports(&[(*first, *last)], segment.original.1),
            },
            Ask::ConnectionProtocol(number) => known.then(|| tracked && *number == Some(segment.protocol.number())),
            Ask::SourceType(kinds) => Some(kinds.iter().any(|kind| kind == self.host.kind_of(&segment.source))),
            Ask::DestinationType(kinds) => {
                Some(kinds.iter().any(|kind| kind == self.host.kind_of(&segment.destination)))
            }
            Ask::Set { name, directions } => self.sets.holds(name, directions, segment),
            Ask::Mark { value, mask } => segment.mark.map(|mark| mark & mask == *value),
            // Marks of connections come from marks of packets and back; nobody follows them here, except that a
            // connection begins without one.
            Ask::ConnMark { .. } | Ask::Unknown => None,
            Ask::ReversePath { loose } => self.leads_back(segment, *loose),
            Ask::Bridged => match (&segment.in_link, &segment.out_link) {
                (Link::Named(from), Link::Named(to)) => Some(from == to && self.host.bridges.contains(from)),
                (Link::Absent, _) | (_, Link::Absent) => Some(false),
                _ => None,
            },
            Ask::Always => Some(true),
            Ask::Never => Some(false),
        }
    }

    fn leads_back(self, segment: &Segment, loose: bool) -> Option<bool> {
        if matches!(segment.source, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            return Some(true);
        }
        let back = self.host.device(&segment.source);
        match (&segment.in_link, loose) {
            (_, true) => Some(back.is_some()),
            (Link::Named(name), false) => Some(back == Some(name)),
            _ => None,
        }
    }
}

/// When a condition's turn comes.
fn cost(ask: &Ask, segment: &Segment) -> u8 {
    match ask {
        Ask::Set { .. } if about_client_alone(ask, segment) => 1,
        Ask::Set { .. } => 2,
        _ => 0,
    }
}

/// Whether a set is asked for nothing but the sender of the first packet, by address and interface.
pub(super) fn about_client_alone(ask: &Ask, segment: &Segment) -> bool {
    let client = if segment.tracking == Tracking::Answer { SetDirection::Dst } else { SetDirection::Src };
    matches!(ask, Ask::Set { directions, .. } if directions.iter().all(|side| *side == client))
}

/// `br+` is every interface whose name begins with `br`; at a hook without one the kernel compares with an empty name.
fn link(pattern: &str, link: &Link) -> Option<bool> {
    let name = match link {
        Link::Absent => "",
        Link::Unknown => return None,
        Link::Named(name) => name,
    };
    Some(match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

/// A port that is not known is one that clients choose.
fn ports(ranges: &[(u16, u16)], port: Option<u16>) -> Option<bool> {
    if let Some(port) = port {
        return Some(ranges.iter().any(|(first, last)| (*first..=*last).contains(&port)));
    }
    if ranges.iter().any(|(first, last)| *first <= CHOSEN.0 && CHOSEN.1 <= *last) {
        return Some(true);
    }
    if ranges.iter().all(|(_, last)| *last < CHOSEN.0) { Some(false) } else { None }
}

fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn states_of(segment: &Segment) -> States {
    let state = match segment.tracking {
        Tracking::New => States::NEW,
        Tracking::Answer | Tracking::Later => States::ESTABLISHED,
        Tracking::Untracked => States::UNTRACKED,
        Tracking::NotYet | Tracking::Unknown => States::INVALID,
    };
    let tracked = matches!(segment.tracking, Tracking::New | Tracking::Answer | Tracking::Later);
    if tracked && segment.translated { state.and(States::DNAT) } else { state }
}
