//! The headers of a packet, as much of it as there is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Protocol;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A protocol with ports.
    Ports {
        /// Which.
        protocol: Protocol,
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// What stays the same when it is sent again: TCP's sequence number, SCTP's tag, 0 of UDP.
        serial: u32,
    },
    /// A message of ICMP or `ICMPv6`.
    Icmp {
        /// Its type.
        kind: u8,
        /// Of an echo: whose it is.
        id: u16,
    },
    /// Another protocol by its number, or one whose header is not there.
    Other(u8),
}

/// Whose packet it is, and whereto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// What it carries.
    pub content: Content,
}

/// Numbers of protocols (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
const SCTP: u8 = 132;
/// IPv6 headers before the one that counts: hop-by-hop options, routing, fragment, authentication, destination options,
/// mobility, host identity, shim6.
const EXTENSIONS: [u8; 8] = [0, 43, FRAGMENT, AUTHENTICATION, 60, 135, 139, 140];
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

impl Header {
    /// Reads an IPv4 or IPv6 packet from its first byte on, cut off or not; `None` for anything else.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => v4(packet),
            6 => v6(packet),
            _ => None,
        }
    }
}

impl Content {
    /// The protocol's name, or its number.
    pub fn protocol(&self, v6: bool) -> String {
        match self {
            Self::Ports { protocol, .. } => protocol.name().to_owned(),
            Self::Icmp { .. } => if v6 { "ipv6-icmp" } else { "icmp" }.to_owned(),
            Self::Other(number) => match *number {
                ICMP => "icmp".to_owned(),
                TCP => "tcp".to_owned(),
                UDP => "udp".to_owned(),
                47 => "gre".to_owned(),
                50 => "esp".to_owned(),
                51 => "ah".to_owned(),
                ICMP6 => "ipv6-icmp".to_owned(),
                SCTP => "sctp".to_owned(),
                number => format!("protocol {number}"),
            },
        }
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn v4(packet: &[u8]) -> Option<Header> {
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from_bits(word(packet, at)?)));
    let (source, destination, protocol) = (address(12)?, address(16)?, *packet.get(9)?);
    let length = usize::from(packet.first()? & 15) * 4;
    // Only the first fragment begins with a header.
    let later = half(packet, 6)? & 0x1fff != 0;
    let body = packet.get(length.max(20)..).filter(|_| !later);
    Some(Header { source, destination, content: content(protocol, body) })
}

fn v6(packet: &[u8]) -> Option<Header> {
    let address = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let (source, destination) = (address(8)?, address(24)?);
    let (mut protocol, mut rest) = (*packet.get(6)?, packet.get(40..));
    while EXTENSIONS.contains(&protocol) {
        // Each is at least 8 bytes long, so that this ends with the packet.
        let Some((next, size)) = rest.and_then(|rest| rest.first().copied().zip(rest.get(1).copied())) else { break };
        let size = usize::from(size);
        let (length, later) = match protocol {
            FRAGMENT => (8, rest.and_then(|rest| half(rest, 2)).is_none_or(|offset| offset & 0xfff8 != 0)),
            AUTHENTICATION => ((size + 2) * 4, false),
            _ => ((size + 1) * 8, false),
        };
        protocol = next;
        rest = rest.and_then(|rest| rest.get(length..)).filter(|_| !later);
        if later {
            break;
        }
    }
    Some(Header { source, destination, content: content(protocol, rest) })
}

/// `body` begins with the header of `protocol`, if it is there.
fn content(protocol: u8, body: Option<&[u8]>) -> Content {
    let Some(body) = body else { return Content::Other(protocol) };
    let ports = |protocol, serial: Option<u32>| {
        Some(Content::Ports { protocol, source: half(body, 0)?, destination: half(body, 2)?, serial: serial? })
    };
    let found = match protocol {
        TCP => ports(Protocol::Tcp, word(body, 4)),
        UDP => ports(Protocol::Udp, Some(0)),
        SCTP => ports(Protocol::Sctp, word(body, 4)),
        ICMP | ICMP6 => body.first().map(|kind| Content::Icmp { kind: *kind, id: half(body, 4).unwrap_or_default() }),
        _ => None,
    };
    found.unwrap_or(Content::Other(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: [u8; 8] = [0x9c, 0x40, 0x1f, 0x90, 1, 2, 3, 4];
    const CONTENT: Content =
        Content::Ports { protocol: Protocol::Tcp, source: 40000, destination: 8080, serial: 0x0102_0304 };

    fn packet_v4(protocol: u8, options: &[u8], fragment: u16, body: &[u8]) -> Vec<u8> {
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        let mut packet = vec![0x40 | words, 0, 0, 0, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 203, 0, 113, 66, 172, 17, 0, 2]);
        packet.extend(options);
        packet.extend(body);
        packet
    }

    fn packet_v6(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        packet.extend("fd00:1::66".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("fd00:2::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(rest);
        packet
    }

    fn content_of(packet: &[u8]) -> Content {
        Header::parse(packet).unwrap().content
    }

    #[test]
    fn reads_what_is_there() {
        let header = Header::parse(&packet_v4(TCP, &[], 0, &SYN)).unwrap();
        assert_eq!(
            (header.source.to_string(), header.destination.to_string()),
            ("203.0.113.66".into(), "172.17.0.2".into())
        );
        assert_eq!(header.content, CONTENT);
        assert_eq!(content_of(&packet_v4(TCP, &[1; 8], 0x4000, &SYN)), CONTENT, "options, and do not fragment");
        assert_eq!(content_of(&packet_v4(TCP, &[], 7, &SYN)), Content::Other(TCP), "a later fragment");
        assert_eq!(content_of(&packet_v4(TCP, &[], 0, &SYN[..7])), Content::Other(TCP), "cut off");
        assert_eq!(content_of(&packet_v4(1, &[], 0, &[8, 0, 0, 0, 1, 2])), Content::Icmp { kind: 8, id: 258 });
        assert_eq!(content_of(&packet_v4(47, &[], 0, &SYN)).protocol(false), "gre");
        let udp = Content::Ports { protocol: Protocol::Udp, source: 40000, destination: 8080, serial: 0 };
        assert_eq!(content_of(&packet_v4(UDP, &[], 0, &SYN)), udp);
        let v6 = Header::parse(&packet_v6(TCP, &SYN)).unwrap();
        assert_eq!((v6.source.to_string(), v6.content), ("fd00:1::66".into(), CONTENT));
    }

    #[test]
    fn steps_over_headers_of_ipv6() {
        let chain = [&[60, 0, 0, 0, 0, 0, 0, 0], &[44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]].concat();
        let first = [&chain[..], &[TCP, 0, 0, 1, 0, 0, 0, 9], &SYN].concat();
        assert_eq!(content_of(&packet_v6(0, &first)), CONTENT);
        let later = [&chain[..], &[TCP, 0, 0, 9, 0, 0, 0, 9], &SYN].concat();
        assert_eq!(content_of(&packet_v6(0, &later)), Content::Other(TCP));
        let authenticated = [&[TCP, 4][..], &[0; 22], &SYN].concat();
        assert_eq!(content_of(&packet_v6(51, &authenticated)), CONTENT);
        // Headers that say of themselves that they are headers, to the end.
        assert_eq!(content_of(&packet_v6(0, &[0; 64])), Content::Other(0));
    }
}
