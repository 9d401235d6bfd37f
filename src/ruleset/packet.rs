//! A packet as netfilter sees it at one of the filtering hooks.

use std::net::IpAddr;

use super::rule::names;
use crate::net::Protocol;

/// Transport header, as far as rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A protocol with ports.
    Ports {
        /// Which.
        protocol: Protocol,
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// A TCP packet with SYN and without ACK, RST, FIN.
        syn: bool,
    },
    /// `ICMPv6`, of this type.
    Icmp6(u8),
    /// ICMP, GRE and the rest.
    Other,
}

/// Connection tracking state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnState {
    /// First packet.
    New,
    /// Of a known connection.
    Established,
    /// About a known connection.
    Related,
    /// Makes no sense.
    Invalid,
    /// Not tracked.
    Untracked,
}

/// Direction within the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnDirection {
    /// As the first packet went.
    Original,
    /// Against it.
    Reply,
}

/// Which of netfilter's hooks the packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Through the host, to or from a container.
    Forward,
    /// To the host itself: docker-proxy.
    Input,
    /// From the host itself.
    Output,
}

impl Path {
    /// The built-in chain of that hook.
    pub fn chain(self) -> &'static str {
        match self {
            Self::Forward => names::FORWARD,
            Self::Input => names::INPUT,
            Self::Output => names::OUTPUT,
        }
    }
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Its way.
    pub path: Path,
    /// Where it came in; empty on [`Path::Output`].
    pub in_interface: String,
    /// Where it is to go out; empty on [`Path::Input`].
    pub out_interface: String,
    /// Source address.
    pub source: IpAddr,
    /// Destination address, after DNAT.
    pub destination: IpAddr,
    /// Transport header.
    pub transport: Transport,
    /// State of its connection.
    pub state: ConnState,
    /// Its direction; `None` when not tracked.
    pub direction: Option<ConnDirection>,
    /// Destination port of the connection's first packet before DNAT; `None` when there was no DNAT.
    pub published: Option<u16>,
}
