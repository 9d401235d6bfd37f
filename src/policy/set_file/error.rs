//! What is wrong with a set file or an entry, and where.

use ipnet::IpNet;
use thiserror::Error;

use crate::net::CidrError;

/// The first fault of a set file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SetFileError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Why a set cannot take an entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Not an address at all.
    #[error(transparent)]
    Address(#[from] CidrError),
    /// A set of single addresses, asked for a large block.
    #[error(
        "{0} is too large for this set: hash:ip keeps every single address, at most 65536 of a block and 1048576 in \
         all; make it a set of type hash:net"
    )]
    TooWide(IpNet),
    /// The kernel's IPv6 `hash:ip` takes no blocks at all.
    #[error("{0} is a block: an IPv6 set of type hash:ip takes single addresses only; make it a set of type hash:net")]
    NotAnAddress(IpNet),
    /// `nomatch` is for blocks.
    #[error("nomatch means nothing in a set of type hash:ip: make it a set of type hash:net")]
    NoMatch,
    /// The kernel's limit.
    #[error("a comment has {0} bytes: an entry's comment takes at most 255")]
    LongComment(usize),
    /// Quotes cannot be written in ipset's syntax.
    #[error("a comment has the character {0:?}, which ipset cannot keep: no double quotes and no control characters")]
    BadComment(char),
}
