//! What a rule asks about a packet.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::ruleset::rule::SetDirection;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `!`: holds where the question's answer is no.
    pub negated: bool,
    /// The question.
    pub ask: Ask,
}

impl Condition {
    pub(super) fn new(negated: bool, ask: Ask) -> Self {
        Self { negated, ask }
    }
}

/// A question. Ranges of ports are inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `-s`.
    Source(IpNet),
    /// `-d`.
    Destination(IpNet),
    /// `-m iprange --src-range`.
    SourceRange(IpAddr, IpAddr),
    /// `-m iprange --dst-range`.
    DestinationRange(IpAddr, IpAddr),
    /// `-i`; `+` at the end stands for anything.
    In(String),
    /// `-o`.
    Out(String),
    /// `-p`, by its number (IANA); `None` for one that has no ports here.
    Protocol(Option<u8>),
    /// `--sport`, `--sports`.
    SourcePorts(Vec<(u16, u16)>),
    /// `--dport`, `--dports`.
    DestinationPorts(Vec<(u16, u16)>),
    /// `--ports`: either.
    EitherPorts(Vec<(u16, u16)>),
    /// `--tcp-flags MASK SET`, in the header's bits.
    TcpFlags {
        /// Which bits are looked at.
        mask: u8,
        /// Which of them are set.
        set: u8,
    },
    /// `--ctstate`, `--state`.
    State(States),
    /// `--ctdir REPLY`; `ORIGINAL` is asked as its opposite where connections are tracked.
    Direction {
        /// `REPLY`.
        reply: bool,
    },
    /// `--ctorigsrc`.
    OriginalSource(IpNet),
    /// `--ctorigdst`.
    OriginalDestination(IpNet),
    /// `--ctorigdstport`.
    OriginalDestinationPort(u16, u16),
    /// `--ctproto`.
    ConnectionProtocol(Option<u8>),
    /// `-m addrtype --src-type`, in capitals.
    SourceType(Vec<String>),
    /// `-m addrtype --dst-type`.
    DestinationType(Vec<String>),
    /// `-m set --match-set`.
    Set {
        /// Kernel name.
        name: String,
        /// One a dimension.
        directions: Vec<SetDirection>,
    },
    /// `-m mark`.
    Mark {
        /// Compared with the masked mark.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `-m connmark`.
    ConnMark {
        /// Compared with the masked mark.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `-m rpfilter`: whether the way back to the source leads over the interface that it came by.
    ReversePath {
        /// `--loose`: any way back will do.
        loose: bool,
    },
    /// `-m physdev --physdev-is-bridged`: goes from one port of a bridge to another.
    Bridged,
    /// Holds always: comments, counters, a module without options.
    Always,
    /// Holds for none of the packets in question: whole packets to a port, sent to one host.
    Never,
    /// Not understood.
    Unknown,
}

/// Connection states, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// First packet.
    pub const NEW: Self = Self(1);
    /// Of a known connection.
    pub const ESTABLISHED: Self = Self(2);
    /// About a known connection.
    pub const RELATED: Self = Self(4);
    /// Of none.
    pub const INVALID: Self = Self(8);
    /// Not tracked.
    pub const UNTRACKED: Self = Self(16);
    /// Its source was rewritten.
    pub const SNAT: Self = Self(32);
    /// Its destination was rewritten.
    pub const DNAT: Self = Self(64);

    /// Either's.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have one in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// `NEW,ESTABLISHED`; `None` with a word that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split(',').try_fold(Self::default(), |all, word| {
            let one = match word {
                "NEW" => Self::NEW,
                "ESTABLISHED" => Self::ESTABLISHED,
                "RELATED" => Self::RELATED,
                "INVALID" => Self::INVALID,
                "UNTRACKED" => Self::UNTRACKED,
                "SNAT" => Self::SNAT,
                "DNAT" => Self::DNAT,
                _ => return None,
            };
            Some(all.and(one))
        })
    }
}
