//! One line an attempt: what is sent again because nobody answers is not written down again.

use std::collections::HashMap;

use super::header::Header;

/// Whoever goes on for so many seconds is heard of again. The kernel repeats a TCP call for a little longer.
const SPAN: i64 = 130;
/// Attempts that are remembered at a time; more than the kernel tells of in [`SPAN`], unless sources are invented.
const MOST: usize = 16 * 1024;

/// What was written down lately.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<Header, i64>);

impl Repeats {
    /// Whether a packet belongs to an attempt that was written down already; if not, it is from now on. `now` is in
    /// seconds.
    pub fn is_known(&mut self, header: &Header, now: i64) -> bool {
        if self.0.get(header).is_some_and(|since| (*since..since + SPAN).contains(&now)) {
            return true;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, since| (*since..*since + SPAN).contains(&now));
        }
        if self.0.len() >= MOST {
            // Then some are written down twice.
            self.0.clear();
        }
        self.0.insert(*header, now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Content;
    use crate::net::Protocol;

    fn call(source: u16, serial: u32) -> Header {
        Header {
            source: "203.0.113.66".parse().unwrap(),
            destination: "172.17.0.2".parse().unwrap(),
            content: Content::Ports { protocol: Protocol::Tcp, source, destination: 80, serial },
        }
    }

    #[test]
    fn what_is_sent_again_is_known() {
        let mut repeats = Repeats::default();
        assert!(!repeats.is_known(&call(1, 7), 100));
        assert!(repeats.is_known(&call(1, 7), 101));
        assert!(!repeats.is_known(&call(1, 8), 101), "another call from the same port");
        assert!(!repeats.is_known(&call(2, 7), 101));
        assert!(!repeats.is_known(&call(1, 7), 100 + SPAN));
        // A clock that was set back forgets, and never silences anybody for long.
        assert!(!repeats.is_known(&call(1, 7), 5));
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let mut repeats = Repeats::default();
        for serial in 0..u32::try_from(MOST).unwrap() * 2 + 10 {
            repeats.is_known(&call(1, serial), 100);
        }
        assert!(repeats.0.len() <= MOST);
    }
}
