//! How a journey ended, and why.

use std::fmt;
use std::net::IpAddr;

/// Whether somebody gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Yes.
    Allowed,
    /// No.
    Denied,
    /// A rule decides that is not understood.
    Unknown,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        })
    }
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// `iptables`, `ip6tables`: whose family's.
    pub program: &'static str,
    /// Its table.
    pub table: &'static str,
    /// The built-in chain that the walk began in.
    pub hook: &'static str,
    /// Its chain.
    pub chain: String,
    /// Its number there, from 1 as iptables counts.
    pub number: usize,
    /// What follows `-A CHAIN `, verbatim.
    pub text: String,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A rule.
    Rule(Place),
    /// No rule, but the policy of a built-in chain.
    Policy {
        /// `iptables`, `ip6tables`.
        program: &'static str,
        /// Its table.
        table: &'static str,
        /// The chain.
        chain: &'static str,
    },
    /// No table has anything to say.
    Nothing,
    /// Something else than a rule, in words.
    Host(String),
}

/// Whether a rule on the way matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// It did.
    Matched,
    /// It may have.
    Doubtful,
    /// It asked a set, and did not.
    Missed,
}

/// One rule on the way, or one turn of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A rule.
    Rule(Place, Certainty),
    /// Anything else, in words.
    Turn(String),
}

/// A journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// How it ended.
    pub answer: Answer,
    /// What decided.
    pub cause: Cause,
    /// The way, as far as it went.
    pub steps: Vec<Step>,
    /// Where the packet came out: the address and port after all rewriting, and what docker-proxy made of it.
    pub reached: (IpAddr, u16),
    /// Whether docker-proxy carries it.
    pub proxied: bool,
}

impl Passage {
    /// One that never began, for a reason in words.
    pub fn refused(why: &str, to: (IpAddr, u16)) -> Self {
        let cause = Cause::Host(why.to_owned());
        Self { answer: Answer::Denied, cause, steps: Vec::new(), reached: to, proxied: false }
    }
}
