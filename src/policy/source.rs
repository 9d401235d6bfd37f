//! Who comes: the sources of a rule, and the names of sets.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

use crate::net::{self, CidrError, Family};

/// One source of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleSource {
    /// Everybody.
    Any,
    /// Addresses written into the rule itself.
    Literal {
        /// As it is shown and stored: `192.0.2.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`.
        text: String,
        /// The blocks it covers, host bits cleared; all of one family.
        blocks: Vec<IpNet>,
    },
    /// One of our sets.
    Set(SetName),
    /// A kernel ipset that some other tool owns, by its kernel name.
    Ipset(String),
}

/// The name of one of our sets: at most 28 characters, so that `NAME-v6` fits into the kernel's 31.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName(String);

/// Why a text cannot name a set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetNameError {
    /// Nothing there.
    #[error("a set name is empty")]
    Empty,
    /// More than 28 characters.
    #[error(
        "set name {0:?} has {1} characters: at most 28 fit, for the kernel takes 31 and the IPv6 half adds \"-v6\""
    )]
    TooLong(String, usize),
    /// Spaces, quotes, signs.
    #[error(
        "set name {0:?} has a character that no set may have: letters, digits, \"_\", \".\" and \"-\" only, a letter first"
    )]
    BadCharacter(String),
    /// `any`, `df4-x`, `x-v6`.
    #[error(
        "set name {0:?} is taken: \"any\", names that begin with \"df4-\" or \"df6-\" and names that end in \"-v6\" have a meaning of their own"
    )]
    Reserved(String),
}

impl SetName {
    /// The name as people write it, which is the kernel's name of the IPv4 half.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kernel's name of one family's half.
    pub fn kernel_name(&self, family: Family) -> String {
        match family {
            Family::V4 => self.0.clone(),
            Family::V6 => format!("{}-v6", self.0),
        }
    }
}

impl FromStr for SetName {
    type Err = SetNameError;

    fn from_str(text: &str) -> Result<Self, SetNameError> {
        let characters = text.chars().count();
        if characters == 0 {
            return Err(SetNameError::Empty);
        }
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') || !text.chars().all(good) {
            return Err(SetNameError::BadCharacter(text.to_owned()));
        }
        if characters > 28 {
            return Err(SetNameError::TooLong(text.to_owned(), characters));
        }
        if text == "any" || text.starts_with("df4-") || text.starts_with("df6-") || text.ends_with("-v6") {
            return Err(SetNameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text names no source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// Nothing between the commas.
    #[error("a source is empty: write any, an address, a CIDR block, a range, a set or ipset:NAME")]
    Empty,
    /// Looks like an address and is none.
    #[error(transparent)]
    Address(#[from] CidrError),
    /// Looks like a set name and is none.
    #[error(transparent)]
    SetName(#[from] SetNameError),
    /// `ipset:` with a name the kernel would refuse.
    #[error("{0:?} is no kernel ipset: write ipset:NAME, with a name of 1 to 31 characters and no spaces")]
    BadIpset(String),
}

impl RuleSource {
    /// Parses one source. The second value is the block that was meant when host bits were set, to be said to the user.
    pub fn parse(text: &str) -> Result<(Self, Option<IpNet>), SourceError> {
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        if text == "any" {
            return Ok((Self::Any, None));
        }
        if let Some(name) = text.strip_prefix("ipset:") {
            let good = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | ',' | ';' | '$' | '`');
            let bad = name.is_empty() || name.len() > 31 || name.starts_with('-') || !name.chars().all(good);
            return if bad {
                Err(SourceError::BadIpset(text.to_owned()))
            } else {
                Ok((Self::Ipset(name.to_owned()), None))
            };
        }
        // Set names begin with a letter; of addresses only IPv6 ones can, and those have a colon.
        let like_a_name =
            text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && !text.contains(':');
        if like_a_name {
            return Ok((Self::Set(text.parse()?), None));
        }
        let source = net::parse_source(text)?;
        let shown = match (&source.normalised, source.blocks.as_slice()) {
            // One host is shown without its prefix, whatever spelling came in.
            (None, [block]) if block.prefix_len() == block.max_prefix_len() => block.addr().to_string(),
            (Some(block), _) | (None, [block]) => block.to_string(),
            _ => text.to_owned(),
        };
        Ok((Self::Literal { text: shown, blocks: source.blocks }, source.normalised))
    }
}

impl fmt::Display for RuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Literal { text, .. } => f.write_str(text),
            Self::Set(name) => f.write_str(name.as_str()),
            Self::Ipset(name) => write!(f, "ipset:{name}"),
        }
    }
}
