//! The headers of the kernel's sets, asked over netlink: no process, some 20 µs, cheap enough to ask several times a second.
//! ipset tells nobody when a set changes; its headers say how many members there are.

use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::os::fd::OwnedFd;

use super::netlink::{self, attribute, find, text};

/// `NFNL_SUBSYS_IPSET` of `linux/netfilter/nfnetlink.h` and `IPSET_CMD_LIST` of `linux/netfilter/ipset/ip_set.h`.
const SUBSYSTEM: u16 = 6 << 8;
const LIST: u16 = 7;
/// `NLM_F_REQUEST | NLM_F_DUMP` of `linux/netlink.h`.
const DUMP: u16 = 0x301;
/// `IPSET_ATTR_PROTOCOL`, `IPSET_ATTR_SETNAME`, `IPSET_ATTR_FLAGS` in network byte order, `IPSET_ATTR_DATA`.
const PROTOCOL: u16 = 1;
pub(super) const SETNAME: u16 = 2;
const FLAGS: u16 = 0x4006;
pub(super) const DATA: u16 = 7;
/// `IPSET_FLAG_LIST_HEADER`.
const HEADERS_ONLY: u32 = 1 << 2;
/// `IPSET_ATTR_ELEMENTS`, within the data.
const ELEMENTS: u16 = 24;
/// `AF_INET` in the `nfgenmsg`; the answer holds sets of all families.
const FAMILY: u8 = 2;

/// A line to the sets of this network namespace.
#[derive(Debug)]
pub struct SetHeaders(OwnedFd);

impl SetHeaders {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        netlink::socket().map(Self)
    }

    /// A number that is another one when a set that `wanted` names has come, gone, or has other members in number.
    pub fn digest(&self, wanted: &dyn Fn(&str) -> bool) -> io::Result<u64> {
        let mut found = Vec::new();
        let fault = each(&self.0, &mut |attributes| found.extend(header(attributes).filter(|(name, _)| wanted(name))))?;
        // Also where the kernel has no sets at all.
        if fault.is_some() {
            return Err(io::Error::other("the kernel does not list its sets"));
        }
        found.sort_unstable();
        Ok(digest(found.iter().map(|(name, members)| (&**name, *members))))
    }
}

/// What [`SetHeaders::digest`] answers where the kernel has these sets, sorted by name, with so many members.
pub fn digest<'a>(sets: impl Iterator<Item = (&'a str, u32)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, members) in sets {
        hasher.write(name.as_bytes());
        hasher.write_u32(members);
    }
    hasher.finish()
}

/// A message about sets.
pub(super) fn message(command: u16, flags: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    // Version 6 of the protocol is what every kernel with sets understands.
    let attributes = [attribute(PROTOCOL, &[6]), attributes.concat()].concat();
    netlink::message(SUBSYSTEM + command, flags, [FAMILY, 0, 0, 0], &attributes)
}

/// A set's name, as an attribute.
pub(super) fn named(set: &str) -> Vec<u8> {
    attribute(SETNAME, &[set.as_bytes(), &[0]].concat())
}

/// Calls `take` with the header of each set; the answer is that of [`netlink::list`].
pub(super) fn each(line: &OwnedFd, take: &mut dyn FnMut(&[u8])) -> io::Result<Option<i32>> {
    let question = message(LIST, DUMP, &[attribute(FLAGS, &HEADERS_ONLY.to_be_bytes())]);
    netlink::list(line, &question, &mut |attributes| {
        take(attributes);
        true
    })
}

/// The question for one set and its members.
pub(super) fn whole(set: &str) -> Vec<u8> {
    message(LIST, DUMP, &[named(set)])
}

/// A set's name and the number of its members.
fn header(attributes: &[u8]) -> Option<(String, u32)> {
    Some((find(attributes, SETNAME).map(text)?, members_of(attributes)?))
}

/// The number of a set's members.
pub(super) fn members_of(attributes: &[u8]) -> Option<u32> {
    find(find(attributes, DATA)?, ELEMENTS)?.try_into().map(u32::from_be_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_header_and_no_nonsense() {
        let data = [attribute(0x4012, &[0, 0, 4, 0]), attribute(ELEMENTS | 0x4000, &[0, 0, 1, 2])].concat();
        let whole = [attribute(PROTOCOL, &[6]), attribute(SETNAME, b"df4-ruled\0"), attribute(DATA | 0x8000, &data)];
        let whole = whole.concat();
        assert_eq!(header(&whole), Some(("df4-ruled".to_owned(), 258)));
        for length in 0..whole.len() {
            let _ = header(&whole[..length]);
        }
        for byte in 0..=255 {
            let _ = header(&[byte; 48]);
        }
    }
}
