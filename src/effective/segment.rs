//! One packet at one hook, and what is known of it.

use std::net::IpAddr;

use crate::net::{Family, Protocol};
use crate::ruleset::{ConnDirection, ConnState, IpSet, Packet, Path, SetDirection, SetKind, Transport, contains};

/// An interface, as a hook sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// There is none at this hook.
    Absent,
    /// There is one; which, nobody said.
    Unknown,
    /// This one.
    Named(String),
}

/// What the connection tracker says of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tracking {
    /// It was not asked yet: in `raw`.
    NotYet,
    /// The first packet.
    New,
    /// The answer to it.
    Answer,
    /// What the caller sends once it was answered.
    Later,
    /// It was told to look away.
    Untracked,
    /// Nobody can tell.
    Unknown,
}

/// The packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it comes from.
    pub source: IpAddr,
    /// `None`: a client's own choice, a port from 1024 on.
    pub source_port: Option<u16>,
    /// Where it goes.
    pub destination: IpAddr,
    /// As above.
    pub destination_port: Option<u16>,
    /// Where it came in.
    pub in_link: Link,
    /// Where it is to go out.
    pub out_link: Link,
    /// What the tracker says.
    pub tracking: Tracking,
    /// Source of the connection's first packet.
    pub original_source: IpAddr,
    /// Destination of the connection's first packet, before it was rewritten.
    pub original: (IpAddr, Option<u16>),
    /// Whether it was rewritten.
    pub translated: bool,
    /// The mark; `None` when a doubtful rule wrote it.
    pub mark: Option<u32>,
    /// The control bits of TCP ([`SYN`], [`ACK`]).
    pub flags: u8,
}

/// Control bits of TCP (RFC 9293, 3.1).
pub const SYN: u8 = 0x02;
/// As above.
pub const ACK: u8 = 0x10;

impl Segment {
    /// The first packet of a connection.
    pub fn opening(protocol: Protocol, source: IpAddr, destination: (IpAddr, u16), in_link: Link) -> Self {
        let (address, port) = destination;
        Self {
            protocol,
            source,
            source_port: None,
            destination: address,
            destination_port: Some(port),
            in_link,
            out_link: Link::Absent,
            tracking: Tracking::New,
            original_source: source,
            original: (address, Some(port)),
            translated: false,
            mark: Some(0),
            flags: SYN,
        }
    }

    /// What answers it, coming in where it went out.
    #[must_use]
    pub fn answer(&self) -> Self {
        let tracked = self.tracking != Tracking::Untracked;
        Self {
            source: self.destination,
            source_port: self.destination_port,
            destination: self.source,
            destination_port: self.source_port,
            in_link: self.out_link.clone(),
            out_link: self.in_link.clone(),
            // Of a connection that it did not see begin, the tracker may think anything.
            tracking: if tracked { Tracking::Answer } else { Tracking::Unknown },
            mark: Some(0),
            flags: SYN | ACK,
            ..self.clone()
        }
    }

    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(&self.destination)
    }

    /// What its sender sends next, once it was answered as `answer` was: on the wire again, and not rewritten yet.
    pub(super) fn next(&self, answer: &Self) -> Self {
        let tracked = self.tracking == Tracking::New && answer.tracking == Tracking::Answer;
        let (destination, destination_port) = self.original;
        Self {
            destination,
            destination_port,
            out_link: Link::Absent,
            tracking: if tracked { Tracking::Later } else { Tracking::Unknown },
            mark: Some(0),
            flags: ACK,
            ..self.clone()
        }
    }

    /// In the words of sets; a port that is not known is 0.
    fn packet(&self) -> Packet {
        let name = |link: &Link| match link {
            Link::Named(name) => name.clone(),
            Link::Absent | Link::Unknown => String::new(),
        };
        let (state, direction) = match self.tracking {
            Tracking::New => (ConnState::New, Some(ConnDirection::Original)),
            Tracking::Answer => (ConnState::Established, Some(ConnDirection::Reply)),
            Tracking::Later => (ConnState::Established, Some(ConnDirection::Original)),
            Tracking::NotYet | Tracking::Unknown => (ConnState::Invalid, None),
            Tracking::Untracked => (ConnState::Untracked, None),
        };
        Packet {
            path: Path::Forward,
            in_interface: name(&self.in_link),
            out_interface: name(&self.out_link),
            source: self.source,
            destination: self.destination,
            transport: Transport::Ports {
                protocol: self.protocol,
                source: self.source_port.unwrap_or_default(),
                destination: self.destination_port.unwrap_or_default(),
                syn: self.flags == SYN,
            },
            state,
            direction,
            published: None,
        }
    }

    /// Whether what a dimension of a set asks for is known.
    fn knows(&self, kind: &SetKind, directions: &[SetDirection]) -> bool {
        let side = |at: usize| directions.get(at) == Some(&SetDirection::Src);
        match kind {
            SetKind::IpPort | SetKind::NetPort | SetKind::IpPortNet => {
                (if side(1) { self.source_port } else { self.destination_port }).is_some()
            }
            SetKind::NetIface => *(if side(1) { &self.in_link } else { &self.out_link }) != Link::Unknown,
            SetKind::Ip | SetKind::Net | SetKind::Other(_) => true,
        }
    }
}

/// Answers whether a kernel set holds a packet.
pub trait Lookup {
    /// `None` when that cannot be told.
    fn holds(&self, name: &str, directions: &[SetDirection], segment: &Segment) -> Option<bool>;
}

/// Looks it up in a set whose members are known.
pub fn held(set: &IpSet, directions: &[SetDirection], segment: &Segment) -> Option<bool> {
    if !segment.knows(&set.shape.kind, directions) {
        return None;
    }
    contains(set, segment.family(), directions, &segment.packet())
}
