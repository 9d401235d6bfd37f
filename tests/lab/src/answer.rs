//! What came of an attempt to reach a port.

use std::fmt;
use std::io;
use std::net::IpAddr;

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The peer's line.
    Answered(String),
    /// A connection, and nothing said on it: a docker-proxy that took it but could not reach its container.
    Mute,
    /// A reset, or a port-unreachable message.
    Refused,
    /// Nothing at all within the probe's patience.
    Silent,
    /// No way there, or an administrator's prohibition.
    Unreachable,
}

impl Answer {
    /// Whether the peer was reached.
    pub fn reached(&self) -> bool {
        matches!(self, Self::Answered(_))
    }

    /// The name of the peer that answered.
    pub fn peer(&self) -> Option<&str> {
        self.words().map(|(name, _)| name)
    }

    /// The address from which the peer saw the probe come.
    pub fn seen_from(&self) -> Option<IpAddr> {
        self.words().and_then(|(_, address)| address.parse().ok())
    }

    fn words(&self) -> Option<(&str, &str)> {
        let Self::Answered(line) = self else { return None };
        line.strip_prefix("peer ")?.split_once(" from ")
    }

    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Self::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent,
            _ => Self::Unreachable,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered(line) => line,
            Self::Mute => "mute",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
        })
    }
}
