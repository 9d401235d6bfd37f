//! How many packets a rule or a member of a set has matched.

use std::fmt;
use std::ops::{Add, AddAssign};

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counts {
    /// How many.
    pub packets: u64,
    /// Of how many bytes together, headers from the network layer on.
    pub bytes: u64,
}

impl Counts {
    /// Whether nothing was counted.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// What was counted since it was `before`; a counter that went down began anew.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        if self.packets < before.packets || self.bytes < before.bytes {
            return self;
        }
        Self { packets: self.packets - before.packets, bytes: self.bytes - before.bytes }
    }

    /// Reads what `iptables-save` prints between `[` and `]`.
    pub fn parse(text: &str) -> Option<Self> {
        let (packets, bytes) = text.split_once(':')?;
        Some(Self { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? })
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (packets, bytes) = (self.packets.saturating_add(other.packets), self.bytes.saturating_add(other.bytes));
        Self { packets, bytes }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Counts {
    /// As `iptables-restore --counters` reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.packets, self.bytes)
    }
}

/// A member of a set as the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedMember {
    /// The set.
    pub set: String,
    /// The member, as ipset says it.
    pub entry: String,
    /// Its comment.
    pub comment: Option<String>,
    /// It is an exception.
    pub nomatch: bool,
    /// What it matched; nothing where the set does not count.
    pub counts: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_went_down_began_anew() {
        let counts = |packets, bytes| Counts { packets, bytes };
        assert_eq!(counts(5, 50).since(counts(3, 30)), counts(2, 20));
        assert_eq!(counts(2, 20).since(counts(3, 30)), counts(2, 20));
        assert_eq!(counts(u64::MAX, 1) + counts(1, 1), counts(u64::MAX, 2));
        assert_eq!(Counts::parse(&counts(3, 30).to_string()[1..5]), Some(counts(3, 30)));
    }
}
