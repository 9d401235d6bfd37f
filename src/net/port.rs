//! Protocols with ports, port ranges and the `--port` syntax.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A transport protocol that has ports and that Docker can publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, the protocol of a bare number.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The lower-case name that Docker, iptables and ipset share.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// IANA's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        Self::ALL
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(protocol.name()))
            .ok_or_else(|| PortError::UnknownProtocol(text.to_owned()))
    }
}

/// An inclusive range of ports of one protocol; `first <= last`, `first >= 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The protocol.
    pub protocol: Protocol,
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// One port.
    pub fn single(protocol: Protocol, port: u16) -> Self {
        Self { protocol, first: port, last: port }
    }

    /// Whether the range holds `port` of `protocol`.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }

    /// How many ports it holds, at least 1.
    pub fn count(&self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

impl fmt::Display for PortRange {
    /// `443/tcp` or `8000-8010/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}/{}", self.first, self.protocol)
        } else {
            write!(f, "{}-{}/{}", self.first, self.last, self.protocol)
        }
    }
}

/// A normalised, non-empty list of ranges: sorted, without overlaps or neighbours that could be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Normalises `ranges`; `None` when there are none.
    pub fn new(ranges: impl IntoIterator<Item = PortRange>) -> Option<Self> {
        let mut ranges: Vec<PortRange> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.protocol == range.protocol && u32::from(range.first) <= u32::from(last.last) + 1 => {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        if merged.is_empty() { None } else { Some(Self(merged)) }
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether the set holds `port` of `protocol`.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(protocol, port))
    }
}

impl fmt::Display for PortSet {
    /// `80/tcp,443/tcp`: what `parse_ports` reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{range}")?;
        }
        Ok(())
    }
}

/// Why a port was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// Nothing between the commas, or an empty text.
    #[error("a port is missing: write PORT, PORT/PROTOCOL or FIRST-LAST/PROTOCOL")]
    Empty,
    /// Not a number.
    #[error("\"{0}\" is not a port number")]
    NotANumber(String),
    /// 0 or above 65535.
    #[error("port {0} is out of range: ports go from 1 to 65535")]
    OutOfRange(String),
    /// `9-3`.
    #[error("port range {0}-{1} goes backwards: did you mean {1}-{0}?")]
    Backwards(u16, u16),
    /// Something other than tcp, udp, sctp.
    #[error("unknown protocol \"{0}\": ports have tcp, udp or sctp")]
    UnknownProtocol(String),
}

/// Parses one port number, 1 to 65535, decimal digits only.
fn parse_port(text: &str) -> Result<u16, PortError> {
    if text.is_empty() {
        return Err(PortError::Empty);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError::NotANumber(text.to_owned()));
    }
    match text.parse::<u16>() {
        Ok(0) | Err(_) => Err(PortError::OutOfRange(text.to_owned())),
        Ok(port) => Ok(port),
    }
}

/// Parses `80`, `443/tcp`, `8000-8010/udp` and comma lists of them. A bare number is tcp.
pub fn parse_ports(text: &str) -> Result<PortSet, PortError> {
    let mut ranges = Vec::new();
    for item in text.split(',') {
        let item = item.trim();
        let (numbers, protocol) = match item.split_once('/') {
            Some((numbers, protocol)) => (numbers, protocol.parse()?),
            None => (item, Protocol::Tcp),
        };
        let (first, last) = if let Some((first, last)) = numbers.split_once('-') {
            (parse_port(first)?, parse_port(last)?)
        } else {
            let port = parse_port(numbers)?;
            (port, port)
        };
        if last < first {
            return Err(PortError::Backwards(first, last));
        }
        ranges.push(PortRange { protocol, first, last });
    }
    PortSet::new(ranges).ok_or(PortError::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for (text, canonical) in [
            ("80", "80/tcp"),
            ("443/TCP,80,81-90", "80-90/tcp,443/tcp"),
            ("53/udp,53", "53/tcp,53/udp"),
            ("1-65535/sctp", "1-65535/sctp"),
        ] {
            let ports = parse_ports(text).unwrap();
            assert_eq!(ports.to_string(), canonical);
            assert_eq!(parse_ports(canonical).unwrap(), ports);
        }
    }

    #[test]
    fn refuses_what_is_no_port() {
        for text in ["", "0", "65536", "80abc", "443/foo", "9-3", "80,,81", "-1", "+80", "80/", "1-2-3", "99999999999"]
        {
            assert!(parse_ports(text).is_err(), "{text:?} was accepted");
        }
    }
}
