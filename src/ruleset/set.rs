//! Kernel sets (ipset): their kinds, options and members.

use std::net::IpAddr;

use ipnet::IpNet;

use super::members::Members;
use crate::net::{Family, Protocol};

/// The kinds of set that we make or understand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKind {
    /// `hash:ip`: addresses.
    Ip,
    /// `hash:net`: blocks.
    Net,
    /// `hash:ip,port`.
    IpPort,
    /// `hash:ip,port,net`.
    IpPortNet,
    /// `hash:net,iface`.
    NetIface,
    /// `hash:net,port`.
    NetPort,
    /// Any other, somebody else's: its ipset name and the options of its `create` line, verbatim. Also a kind above with
    /// an option that changes what its members match (`netmask`).
    Other(String),
}

impl SetKind {
    /// ipset's name of the type, such as `hash:ip,port`.
    pub fn name(&self) -> &str {
        match self {
            Self::Ip => "hash:ip",
            Self::Net => "hash:net",
            Self::IpPort => "hash:ip,port",
            Self::IpPortNet => "hash:ip,port,net",
            Self::NetIface => "hash:net,iface",
            Self::NetPort => "hash:net,port",
            Self::Other(text) => text.split(' ').next().unwrap_or_default(),
        }
    }

    /// The kind of that ipset name.
    pub fn from_name(name: &str) -> Self {
        [Self::Ip, Self::Net, Self::IpPort, Self::IpPortNet, Self::NetIface, Self::NetPort]
            .into_iter()
            .find(|kind| kind.name() == name)
            .unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

/// The options a set was made with, as far as they must agree for a set to be reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetShape {
    /// Its kind.
    pub kind: SetKind,
    /// Its family. Kinds without one (`list:set`, `bitmap:port`) count as IPv4.
    pub family: Family,
    /// Initial buckets; the kernel prints the present number, so it never makes a difference.
    pub hashsize: u32,
    /// Most members it takes.
    pub maxelem: u32,
    /// `timeout N`: members may expire; N seconds is the default, 0 never.
    pub timeout: Option<u32>,
    /// `comment`: members may carry one.
    pub comment: bool,
    /// `counters`: members count what they match.
    pub counters: bool,
}

/// What one member matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetEntry {
    /// An address (a full-length block) or a block, of `hash:ip` and `hash:net`.
    Net(IpNet),
    /// Of `hash:ip,port`.
    IpPort(IpAddr, Protocol, u16),
    /// Of `hash:ip,port,net`.
    IpPortNet(IpAddr, Protocol, u16, IpNet),
    /// Of `hash:net,iface`.
    NetIface(IpNet, String),
    /// Of `hash:net,port`.
    NetPort(IpNet, Protocol, u16),
    /// Anything else, verbatim.
    Other(String),
}

/// What is said beside an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Seconds left, when it expires; `None` or 0 never.
    pub timeout: Option<u32>,
    /// The comment.
    pub comment: Option<String>,
    /// `nomatch`: an exception from a larger block.
    pub nomatch: bool,
}

/// A set with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpSet {
    /// Its options.
    pub shape: SetShape,
    /// Its members.
    pub members: Members,
}
