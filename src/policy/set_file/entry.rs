//! One entry of a set file.

use std::fmt::Write as _;

use ipnet::IpNet;
use jiff::Timestamp;

use super::error::EntryError;
use crate::net::{Family, kernel_blocks, parse_source};

/// The longest timeout the kernel keeps, in seconds (about 24 days).
pub const TIMEOUT_MAX: u32 = 2_147_483;

/// The kernel's limit for the comment of an entry, in bytes.
const COMMENT_BYTES_MAX: usize = 255;

/// One block of addresses and what is said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    block: IpNet,
    // Most entries of large sets say nothing more, so that what they do not say costs eight bytes.
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    comment: Option<String>,
    timeout: Option<u32>,
    expires: Option<Timestamp>,
    nomatch: bool,
}

impl SourceEntry {
    /// A block that stays until it is removed. Host bits are cleared.
    pub fn new(block: IpNet) -> Self {
        Self { block: block.trunc(), details: None }
    }

    /// The entries that an address, a CIDR block or a range stands for, with what was meant when host bits were set.
    /// Everything (`0.0.0.0/0`) becomes two halves, for the kernel's sets take no prefix of 0.
    pub fn parse(text: &str) -> Result<(Vec<Self>, Option<IpNet>), EntryError> {
        let source = parse_source(text)?;
        let entries = source.blocks.into_iter().flat_map(kernel_blocks).map(Self::new).collect();
        Ok((entries, source.normalised))
    }

    /// With a comment that the kernel keeps too.
    pub fn with_comment(mut self, comment: &str) -> Result<Self, EntryError> {
        if let Some(bad) = comment.chars().find(|&c| c == '"' || c.is_control()) {
            return Err(EntryError::BadComment(bad));
        }
        if comment.len() > COMMENT_BYTES_MAX {
            return Err(EntryError::LongComment(comment.len()));
        }
        if !comment.is_empty() {
            self.details_mut().comment = Some(comment.to_owned());
        }
        Ok(self)
    }

    /// Gone from `expires` on, which lies `timeout` seconds ahead when it is written down. The seconds are kept for
    /// those who load the file with `ipset restore`, unless they are more than the kernel takes.
    #[must_use]
    pub fn with_expiry(mut self, expires: Timestamp, timeout: u32) -> Self {
        let details = self.details_mut();
        details.expires = Some(expires);
        details.timeout = (1..=TIMEOUT_MAX).contains(&timeout).then_some(timeout);
        self
    }

    /// With seconds that count from each load; 0 means none.
    pub(super) fn with_timeout(mut self, timeout: u32) -> Self {
        if timeout > 0 {
            self.details_mut().timeout = Some(timeout);
        }
        self
    }

    /// With the moment of which a file says that it ends.
    pub(super) fn with_moment(mut self, expires: Timestamp) -> Self {
        self.details_mut().expires = Some(expires);
        self
    }

    /// An exception from a larger block.
    #[must_use]
    pub fn with_nomatch(mut self) -> Self {
        self.details_mut().nomatch = true;
        self
    }

    /// The same of another block.
    pub(super) fn at(mut self, block: IpNet) -> Self {
        self.block = block;
        self
    }

    fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// The addresses.
    pub fn block(&self) -> IpNet {
        self.block
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        match self.block {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }

    /// The author's words.
    pub fn comment(&self) -> Option<&str> {
        self.details.as_ref()?.comment.as_deref()
    }

    /// Seconds from a load on, as the file has them. With [`Self::expires`] they are only history.
    pub fn timeout(&self) -> Option<u32> {
        self.details.as_ref()?.timeout
    }

    /// When it ends.
    pub fn expires(&self) -> Option<Timestamp> {
        self.details.as_ref()?.expires
    }

    /// Whether it excepts its addresses from a larger block.
    pub fn nomatch(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.nomatch)
    }

    /// Whether it has ended.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }

    /// Seconds that the kernel is to keep it. `None`: until it is removed, also because the end is further away than
    /// the kernel can count.
    pub(super) fn seconds_left(&self, now: Timestamp) -> Option<u32> {
        let Some(expires) = self.expires() else { return self.timeout() };
        let left = expires.duration_since(now);
        // A begun second counts, so that the kernel never ends it before we do.
        let seconds = left.as_secs() + i64::from(left.subsec_nanos() > 0);
        u32::try_from(seconds.max(1)).ok().filter(|&seconds| seconds <= TIMEOUT_MAX)
    }

    /// How many members of the kernel it is in a set of single addresses.
    pub(super) fn addresses(&self) -> u64 {
        1_u64.checked_shl(u32::from(self.block.max_prefix_len() - self.block.prefix_len())).unwrap_or(u64::MAX)
    }

    pub(super) fn is_single(&self) -> bool {
        self.block.prefix_len() == self.block.max_prefix_len()
    }

    /// Takes over the comment of the entry that it replaces, if it has none.
    pub(super) fn keep_comment_of(&mut self, old: &Self) {
        if self.comment().is_none()
            && let Some(comment) = old.comment()
        {
            self.details_mut().comment = Some(comment.to_owned());
        }
    }

    /// Fixes the end of an entry that only has seconds.
    pub(super) fn pin(&mut self, now: Timestamp) -> bool {
        let (Some(timeout), None) = (self.timeout(), self.expires()) else { return false };
        let expires = now.checked_add(jiff::SignedDuration::from_secs(i64::from(timeout)));
        self.details_mut().expires = expires.ok();
        true
    }

    /// What follows the set's name in an `add` line.
    pub(super) fn render(&self, text: &mut String) {
        let _ = if self.is_single() { write!(text, "{}", self.block.addr()) } else { write!(text, "{}", self.block) };
        if let Some(timeout) = self.timeout() {
            let _ = write!(text, " timeout {timeout}");
        }
        if self.nomatch() {
            text.push_str(" nomatch");
        }
        if let Some(comment) = self.comment() {
            let _ = write!(text, " comment \"{comment}\"");
        }
    }
}
