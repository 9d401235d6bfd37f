//! Which sets the kernel has, and what their members counted, over netlink: thousands of members in some milliseconds, where
//! the tool's text takes as many of them to write and to read as everything else together.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use rustix::net::{SendFlags, send};

use super::elements::{CADT_FLAGS, CIDR, CIDR2, COMMENT, NOMATCH};
use super::headers::{DUMP, FLAGS, HEADERS_ONLY, LIST, members_of, message};
use super::listing;
use super::membership::{IP, IP2, PORT, PROTO, address, each, header};
use super::netlink::{attribute, find, socket, text};
use crate::net::{Family, Protocol};
use crate::ruleset::{CountedMember, Counts};

/// What an element counted.
const BYTES: u16 = 24;
const PACKETS: u16 = 25;

/// One set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its family; kinds without one count as IPv4.
    pub family: Family,
    /// How many members it has; `None` where the kernel does not say (before 4.10).
    pub entries: Option<u64>,
}

/// All sets.
pub(super) fn list() -> io::Result<Vec<Listed>> {
    let line = socket()?;
    let headers_only = attribute(FLAGS, &HEADERS_ONLY.to_be_bytes());
    send(&line, &message(LIST, DUMP, &[headers_only]), SendFlags::empty())?;
    let mut sets = Vec::new();
    each(&line, &mut |attributes| {
        let entries = members_of(attributes).map(u64::from);
        sets.extend(header(attributes).map(|(name, header)| Listed { name, family: header.family, entries }));
        true
    })?;
    Ok(sets)
}

/// The members of these sets. One that has gone meanwhile has none.
pub(super) fn counted<'a>(names: impl Iterator<Item = &'a str>) -> io::Result<Vec<CountedMember>> {
    let mut members = Vec::new();
    for set in names {
        let listed = listing::elements_of(set, &mut |element| {
            members.extend(member(set, element));
            Ok(())
        });
        listed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(members)
}

fn member(set: &str, element: &[u8]) -> Option<CountedMember> {
    let number = |wanted| find(element, wanted)?.try_into().map(u64::from_be_bytes).ok();
    let flags = find(element, CADT_FLAGS).and_then(|value| value.try_into().ok()).map_or(0, u32::from_be_bytes);
    Some(CountedMember {
        set: set.to_owned(),
        entry: entry(element)?,
        comment: find(element, COMMENT).map(text),
        nomatch: flags & NOMATCH != 0,
        counts: Counts { packets: number(PACKETS).unwrap_or_default(), bytes: number(BYTES).unwrap_or_default() },
    })
}

/// The parts of an element as ipset says them: an address or a block, a port, another block.
fn entry(element: &[u8]) -> Option<String> {
    let block = |text: &mut String, address: IpAddr, length: Option<&[u8]>| {
        let _ = write!(text, "{address}");
        let full = if address.is_ipv4() { 32 } else { 128 };
        if let Some(&[length]) = length.filter(|length| **length != [full]) {
            let _ = write!(text, "/{length}");
        }
    };
    let mut text = String::with_capacity(32);
    block(&mut text, address(find(element, IP)?)?, find(element, CIDR));
    if let (Some(port), Some(&[protocol])) = (find(element, PORT), find(element, PROTO)) {
        let port = u16::from_be_bytes(port.try_into().ok()?);
        match Protocol::ALL.into_iter().find(|known| known.number() == protocol) {
            Some(known) => write!(text, ",{known}:{port}").ok()?,
            None => write!(text, ",{protocol}:{port}").ok()?,
        }
    }
    if let Some(other) = find(element, IP2) {
        text.push(',');
        block(&mut text, address(other)?, find(element, CIDR2));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        attribute(0x8000 | kind, &parts.concat())
    }

    #[test]
    fn members_are_read_with_their_counts_and_no_nonsense() {
        let v4 = |kind, octets: [u8; 4]| nested(kind, &[attribute(0x4001, &octets)]);
        let closed = [
            v4(IP, [172, 17, 0, 2]),
            attribute(CIDR, &[32]),
            attribute(0x4000 | PACKETS, &5_u64.to_be_bytes()),
            attribute(0x4000 | BYTES, &300_u64.to_be_bytes()),
            attribute(COMMENT, b"web 0123456789ab\0"),
        ];
        let closed = closed.concat();
        let read = member("df4-guarded", &closed).unwrap();
        let comment = Some("web 0123456789ab".to_owned());
        let counts = Counts { packets: 5, bytes: 300 };
        let expected = CountedMember {
            set: "df4-guarded".to_owned(),
            entry: "172.17.0.2".to_owned(),
            comment,
            nomatch: false,
            counts,
        };
        assert_eq!(read, expected);
        let port = [
            v4(IP, [128, 0, 0, 0]),
            attribute(CIDR, &[1]),
            attribute(0x4000 | PORT, &443_u16.to_be_bytes()),
            attribute(PROTO, &[6]),
            attribute(0x4000 | CADT_FLAGS, &NOMATCH.to_be_bytes()),
            v4(IP2, [192, 0, 2, 0]),
            attribute(CIDR2, &[24]),
        ];
        let read = member("df4-x", &port.concat()).unwrap();
        assert_eq!((&*read.entry, read.nomatch, read.comment), ("128.0.0.0/1,tcp:443,192.0.2.0/24", true, None));
        for length in 0..closed.len() {
            let _ = member("df4-guarded", &closed[..length]);
        }
        assert_eq!(member("df4-guarded", &[255; 48]), None);
    }
}
