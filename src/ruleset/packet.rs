//! A packet as netfilter sees it at the FORWARD hook.

use std::net::IpAddr;

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
    /// ICMP, `ICMPv6`, GRE and the rest.
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

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Where it came in.
    pub in_interface: String,
    /// Where it is to go out.
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
