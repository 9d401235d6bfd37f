//! Attempts to reach a container that were dropped: what is known of one, and how it is written down.
//!
//! The kernel tells of packets; here they become entries, a line of JSON each. Nothing fails on any bytes: packets come from
//! whoever likes to send some.

mod census;
mod header;
mod repeats;

use serde::{Deserialize, Serialize};

pub use census::Census;
pub use header::{Content, Header};
pub use repeats::Repeats;

use crate::ruleset::LogPrefix;

/// What the kernel told of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which rule of the kernel told of it.
    pub prefix: LogPrefix,
    /// Where it came in; empty where that is not known.
    pub interface: String,
    /// Whose and whereto.
    pub header: Header,
}

/// One attempt as it is written down, in the words of Docker's lists: everything is text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attempt {
    /// When it was heard of (RFC 3339).
    pub time: String,
    /// The address it came from.
    pub source: String,
    /// The port it came from; empty for protocols without.
    pub source_port: String,
    /// The sets that hold the address, joined by commas.
    pub sets: String,
    /// Where it came in.
    pub interface: String,
    /// The container's name, or `service:NAME`; empty where nobody is known to have the address.
    pub container: String,
    /// The address it went to, the container's or the host's.
    pub address: String,
    /// The container's port; empty for protocols without.
    pub port: String,
    /// `tcp`, `icmp` and so on.
    pub protocol: String,
    /// The port of the host, if that is known.
    pub published: String,
    /// `dnat`, `direct`, `proxy`, `host` or `ingress`.
    pub path: String,
    /// The number of the rule that denied it, at that time; empty where none did.
    pub rule: String,
    /// Its ID.
    #[serde(rename = "RuleID")]
    pub rule_id: String,
    /// What it said, or that no rule allows it.
    pub rule_text: String,
    /// The table of the kernel in which it was dropped: `security` for what only the backstop kept out.
    pub table: String,
    /// Of a line that stands for others: so many were not written down.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lost: String,
}

impl Attempt {
    /// A line that says that others are missing.
    pub fn lost(time: String, count: u64) -> Self {
        Self { time, lost: count.to_string(), ..Self::default() }
    }

    /// As a line, without its end. Whatever names say, it is one.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line; `None` for one that was cut off.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_a_line() {
        let hostile = "a\nb\r\u{2028}\"\\\u{1b}[31m\u{0}".to_owned();
        let attempt = Attempt { container: hostile.clone(), rule_text: hostile.clone(), ..Attempt::default() };
        let line = attempt.line();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(Attempt::parse(&line), Some(attempt));
        for length in 0..line.len() {
            assert_eq!(line.get(..length).and_then(Attempt::parse), None);
        }
        assert!(!line.contains("Lost"));
    }
}
