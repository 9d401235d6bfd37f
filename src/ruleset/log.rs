//! What drops are told by: an NFLOG group, how often a source may be told of, and the word that says which rule it was.

use std::fmt;

use super::rule::{Match, names};

/// The group of NFLOG whose packets the agent reads. ulogd's usual ones are small numbers.
pub const LOG_GROUP: u16 = 5733;
/// Bytes of a packet that are told: an IPv6 header, what may follow it, and ports.
pub const LOG_BYTES: u32 = 128;
/// Packets a minute that are told of one source once it has used up [`LOG_BURST`].
pub const LOG_RATE: u32 = 10;
/// Packets of one source that are told of however fast they come.
pub const LOG_BURST: u32 = 20;
/// One source of IPv6 is a block of so many bits: whoever has one address there has them all.
pub const LOG_BLOCK_V6: u8 = 64;
/// Sources that the kernel counts at a time. Of more it tells nothing: a flood of invented ones costs no more.
pub const LOG_SOURCES: u32 = 4096;

/// How a packet came that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPath {
    /// To a port of the host, rewritten to the container's.
    Dnat,
    /// To the container's own address.
    Direct,
    /// To a port of the host that somebody answers there.
    Host,
}

impl LogPath {
    const ALL: [Self; 3] = [Self::Dnat, Self::Direct, Self::Host];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dnat => "dnat",
            Self::Direct => "direct",
            Self::Host => "host",
        }
    }

    /// What a rule asks to know it.
    pub fn condition(self) -> Option<Match> {
        match self {
            Self::Dnat => Some(Match::Dnat),
            Self::Direct => Some(Match::NotDnat),
            Self::Host => None,
        }
    }
}

/// What the kernel says of a packet that it tells of: `docker-firewall-dnat-1918610c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPrefix {
    /// Only the backstop dropped it: our rules in `filter` were passed by.
    pub backstop: bool,
    /// How it came.
    pub path: LogPath,
    /// The ID of the rule that dropped it; `None`: no rule allows it.
    pub rule: Option<String>,
}

const BACKSTOP: &str = "backstop-";
const CLOSED: &str = "closed";

impl LogPrefix {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(names::MARK)?.strip_prefix('-')?;
        let (backstop, rest) = rest.strip_prefix(BACKSTOP).map_or((false, rest), |rest| (true, rest));
        let (path, rule) = rest.split_once('-')?;
        let path = LogPath::ALL.into_iter().find(|known| known.name() == path)?;
        let is_id = rule.len() == 8 && rule.bytes().all(|byte| byte.is_ascii_hexdigit());
        let rule = if rule == CLOSED { None } else { Some(is_id.then(|| rule.to_owned())?) };
        Some(Self { backstop, path, rule })
    }
}

impl fmt::Display for LogPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backstop = if self.backstop { BACKSTOP } else { "" };
        write!(f, "{}-{backstop}{}-{}", names::MARK, self.path.name(), self.rule.as_deref().unwrap_or(CLOSED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_as_written() {
        for path in LogPath::ALL {
            for (backstop, rule) in [(false, None), (true, Some("1918610c".to_owned()))] {
                let prefix = LogPrefix { backstop, path, rule };
                let text = prefix.to_string();
                assert!(text.len() < 64, "{text}: the kernel takes 63 bytes");
                assert_eq!(LogPrefix::parse(&text), Some(prefix), "{text}");
            }
        }
        for text in ["", "docker-firewall", "docker-firewall-dnat-", "docker-firewall-up-closed", "ufw-dnat-closed"] {
            assert_eq!(LogPrefix::parse(text), None, "{text}");
        }
    }
}
