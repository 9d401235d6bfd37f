//! How a journey ended, and why.

use std::fmt;
use std::net::IpAddr;

use super::apart::Apart;

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

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(Place { program, table, chain, number, text, .. }) => {
                write!(f, "{program} -t {table}, {chain} rule {number}: {text}")
            }
            Self::Policy { program, table, chain } => write!(f, "{program} -t {table}: the policy of {chain}"),
            Self::Nothing => f.write_str("no rule stands in the way"),
            Self::Host(text) => f.write_str(text),
        }
    }
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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(text) => f.write_str(text),
            Self::Rule(place, certainty) => {
                let word = match certainty {
                    Certainty::Matched => "met",
                    Certainty::Doubtful => "perhaps",
                    Certainty::Missed => "not",
                };
                write!(f, "{word:<7} {} -t {} -A {} {}", place.program, place.table, place.chain, place.text)
            }
        }
    }
}

/// A journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// How it ended.
    pub answer: Answer,
    /// What the answer would be if nothing lay in the kernel that was not read.
    pub read: Answer,
    /// What decided.
    pub cause: Cause,
    /// The way, as far as it went.
    pub steps: Vec<Step>,
    /// Where the packet came out: the address and port after all rewriting, and what docker-proxy made of it.
    pub reached: (IpAddr, u16),
    /// Whether docker-proxy carries it.
    pub proxied: bool,
    /// Whom rules told apart from the sender, if that was wanted.
    pub apart: Apart,
    /// How many rules were asked.
    pub asked: usize,
}

impl Passage {
    /// One that never began, for a reason in words.
    pub fn refused(why: &str, to: (IpAddr, u16)) -> Self {
        Self::ended(Answer::Denied, why, to)
    }

    /// One of which nobody knows anything, for a reason in words.
    pub fn unknown(why: &str, to: (IpAddr, u16)) -> Self {
        Self::ended(Answer::Unknown, why, to)
    }

    fn ended(answer: Answer, why: &str, reached: (IpAddr, u16)) -> Self {
        let cause = Cause::Host(why.to_owned());
        let (steps, apart) = (Vec::new(), Apart::default());
        Self { answer, read: answer, cause, steps, reached, proxied: false, apart, asked: 0 }
    }
}
