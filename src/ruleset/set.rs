//! Kernel sets (ipset): their kinds, options and members.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

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
    /// Any other, by its ipset name; somebody else's.
    Other(String),
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
    /// Its members, sorted; equal entries are one.
    pub members: BTreeMap<SetEntry, Member>,
}
