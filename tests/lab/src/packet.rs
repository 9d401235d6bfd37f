//! IP packets made by hand, for what no socket of the kernel would send: odd TCP flags, single fragments, forged ICMP
//! errors. And packets taken from a wire, as far as tests ask about them.

use std::net::{IpAddr, SocketAddr};

/// TCP's flags, to be joined with `|`.
pub mod flags {
    /// The sender is done.
    pub const FIN: u8 = 1;
    /// The first packet of a connection.
    pub const SYN: u8 = 2;
    /// The connection is torn down.
    pub const RST: u8 = 4;
    /// The receiver shall hurry.
    pub const PSH: u8 = 8;
    /// It answers something.
    pub const ACK: u8 = 16;
    /// There is urgent data.
    pub const URG: u8 = 32;
}

/// Protocol number of ICMP.
pub const ICMP: u8 = 1;
/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;
/// Protocol number of SCTP.
pub const SCTP: u8 = 132;
/// Next header of an IPv6 fragment.
const FRAGMENT: u8 = 44;
/// Protocol number of ICMP for IPv6.
pub const ICMPV6: u8 = 58;

/// Which part of a datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    id: u16,
    /// In bytes; a multiple of eight.
    offset: u16,
    more: bool,
}

/// One IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its source.
    pub from: IpAddr,
    /// Its destination; of the same family.
    pub to: IpAddr,
    /// The number of what it carries.
    pub protocol: u8,
    /// What it carries, with that protocol's header.
    pub payload: Vec<u8>,
    part: Option<Part>,
}

impl Packet {
    fn new(from: IpAddr, to: IpAddr, protocol: u8, payload: Vec<u8>) -> Self {
        Self { from, to, protocol, payload, part: None }
    }

    /// A TCP packet without data.
    pub fn tcp(from: SocketAddr, to: SocketAddr, flags: u8) -> Self {
        let mut payload = Vec::with_capacity(20);
        payload.extend(from.port().to_be_bytes());
        payload.extend(to.port().to_be_bytes());
        payload.extend(0x1234_5678_u32.to_be_bytes());
        payload.extend(if flags & flags::ACK == 0 { 0 } else { 0x2345_6789_u32 }.to_be_bytes());
        payload.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let mut packet = Self::new(from.ip(), to.ip(), TCP, payload);
        packet.sum(16);
        packet
    }

    /// A datagram.
    pub fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Self {
        let mut payload = Vec::with_capacity(8 + data.len());
        payload.extend(from.port().to_be_bytes());
        payload.extend(to.port().to_be_bytes());
        payload.extend(length(8 + data.len()));
        payload.extend([0, 0]);
        payload.extend(data);
        let mut packet = Self::new(from.ip(), to.ip(), UDP, payload);
        packet.sum(6);
        packet
    }

    /// The first packet of an SCTP association (RFC 9260): one INIT chunk.
    pub fn sctp(from: SocketAddr, to: SocketAddr) -> Self {
        let mut payload = Vec::with_capacity(32);
        payload.extend(from.port().to_be_bytes());
        payload.extend(to.port().to_be_bytes());
        payload.extend([0; 8]);
        // INIT of 20 bytes: tag, window, streams out and in, first number.
        payload.extend([1, 0, 0, 20, 1, 2, 3, 4, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        let sum = crc32c(&payload);
        payload[8..12].copy_from_slice(&sum.to_le_bytes());
        Self::new(from.ip(), to.ip(), SCTP, payload)
    }

    /// A router's word that this packet was too big for its next link.
    pub fn too_big(from: IpAddr, to: IpAddr, mtu: u16, about: &Self) -> Self {
        let (protocol, kind, code) = if from.is_ipv4() { (ICMP, 3, 4) } else { (ICMPV6, 2, 0) };
        let mut payload = vec![kind, code, 0, 0, 0, 0];
        payload.extend(mtu.to_be_bytes());
        payload.extend(about.bytes());
        let mut packet = Self::new(from, to, protocol, payload);
        packet.sum(2);
        packet
    }

    /// Whether it is such a word.
    pub fn is_too_big(&self) -> bool {
        match self.protocol {
            ICMP => self.payload.starts_with(&[3, 4]),
            ICMPV6 => self.payload.starts_with(&[2, 0]),
            _ => false,
        }
    }

    /// Cut in two, the first part `at` bytes long, a multiple of eight.
    pub fn cut(&self, id: u16, at: u16) -> [Self; 2] {
        let (head, tail) = self.payload.split_at(usize::from(at));
        let part = |payload: &[u8], offset, more| Self {
            payload: payload.to_vec(),
            part: Some(Part { id, offset, more }),
            ..self.clone()
        };
        [part(head, 0, true), part(tail, at, false)]
    }

    /// Writes the checksum, which covers addresses too (but for ICMP of IPv4), at this place of the payload.
    fn sum(&mut self, at: usize) {
        let mut covered = Vec::new();
        if self.protocol != ICMP {
            covered.extend(octets(self.from));
            covered.extend(octets(self.to));
            covered.extend([0, self.protocol]);
            covered.extend(length(self.payload.len()));
        }
        covered.extend(&self.payload);
        self.payload[at..at + 2].copy_from_slice(&checksum(&covered));
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = if self.from.is_ipv4() { self.header_v4() } else { self.header_v6() };
        bytes.extend(&self.payload);
        bytes
    }

    fn header_v4(&self) -> Vec<u8> {
        let part = self.part.unwrap_or(Part { id: 1, offset: 0, more: false });
        let mut bytes = vec![0x45, 0];
        bytes.extend(length(20 + self.payload.len()));
        bytes.extend(part.id.to_be_bytes());
        bytes.extend(((part.offset / 8) | (u16::from(part.more) << 13)).to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(octets(self.from));
        bytes.extend(octets(self.to));
        let sum = checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum);
        bytes
    }

    fn header_v6(&self) -> Vec<u8> {
        let extra = if self.part.is_some() { 8 } else { 0 };
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(length(extra + self.payload.len()));
        bytes.extend([if self.part.is_some() { FRAGMENT } else { self.protocol }, 64]);
        bytes.extend(octets(self.from));
        bytes.extend(octets(self.to));
        if let Some(part) = self.part {
            bytes.extend([self.protocol, 0]);
            bytes.extend((part.offset | u16::from(part.more)).to_be_bytes());
            bytes.extend(u32::from(part.id).to_be_bytes());
        }
        bytes
    }

    /// Reads a packet off the wire; `None` for what is no IP.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes[0] & 15) * 4;
                let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
                Some(Self::new(address(12)?, address(16)?, *bytes.get(9)?, bytes.get(header..)?.to_vec()))
            }
            6 => {
                let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
                let (from, to) = (address(8)?, address(24)?);
                let payload = bytes.get(40..)?;
                match (bytes[6], payload) {
                    (FRAGMENT, [next, _, _, _, _, _, _, _, rest @ ..]) => {
                        Some(Self::new(from, to, *next, rest.to_vec()))
                    }
                    (next, _) => Some(Self::new(from, to, next, payload.to_vec())),
                }
            }
            _ => None,
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The checksum of SCTP (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| (u32::from(pair[0]) << 8) | pair.get(1).copied().map_or(0, u32::from));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or(0)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
