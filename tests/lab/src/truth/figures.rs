//! What withdrawals came to: for each path how many sessions were cut, and what still arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::Protocol;

/// What is known of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Path {
    sessions: usize,
    /// Bytes that came later than a second after the command.
    bytes: u64,
    /// Datagrams that did.
    datagrams: u64,
    /// The last receipt of all, after the end of the command.
    latest_ms: u128,
}

/// The figures of a run, path by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures(BTreeMap<String, Path>);

impl Figures {
    /// Counts a session that had to end; `late` came later than a second after the command.
    pub(crate) fn cut(&mut self, path: String, protocol: Protocol, late: u64, last: Option<Instant>, typed: Instant) {
        let path = self.0.entry(path).or_default();
        path.sessions += 1;
        match protocol {
            Protocol::Tcp => path.bytes += late,
            Protocol::Udp => path.datagrams += late,
        }
        let after = last.map_or(0, |last| last.saturating_duration_since(typed).as_millis());
        path.latest_ms = path.latest_ms.max(after);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<46} sessions cut   bytes, datagrams after 1 s   last one after", "path")?;
        for (name, Path { sessions, bytes, datagrams, latest_ms }) in &self.0 {
            writeln!(f, "  {name:<46} {sessions:>12}   {bytes:>13}, {datagrams:>9}   {latest_ms:>11} ms")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bytes_and_datagrams_are_counted_apart() {
        let typed = Instant::now();
        let mut figures = Figures::default();
        let later = typed + Duration::from_millis(1200);
        figures.cut("direct".to_owned(), Protocol::Tcp, 1024, Some(later), typed);
        figures.cut("direct".to_owned(), Protocol::Udp, 3, None, typed);
        let direct = Path { sessions: 2, bytes: 1024, datagrams: 3, latest_ms: 1200 };
        assert_eq!(figures, Figures(BTreeMap::from([("direct".to_owned(), direct)])));
    }
}
