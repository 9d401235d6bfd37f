//! Which sets the kernel has, and what their members counted, over netlink: thousands of members in some milliseconds, where
//! the tool's text takes as many of them to write and to read as everything else together.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use super::elements::Parts;
use super::headers::{self, members_of};
use super::listing;
use super::membership::header;
use super::netlink::socket;
use crate::net::Family;
use crate::ruleset::CountedMember;

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
    let mut sets = Vec::new();
    headers::each(&socket()?, &mut |attributes| {
        let entries = members_of(attributes).map(u64::from);
        sets.extend(header(attributes).map(|(name, header)| Listed { name, family: header.family, entries }));
    })?;
    Ok(sets)
}

/// The members of these sets. One that has gone meanwhile has none.
pub(super) fn counted<'a>(names: impl Iterator<Item = &'a str>) -> io::Result<Vec<CountedMember>> {
    let mut members = Vec::new();
    for set in names {
        let listed = listing::elements_of(set, &mut |element| {
            members.extend(member(set, element));
            true
        });
        listed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(members)
}

fn member(set: &str, element: &[u8]) -> Option<CountedMember> {
    let parts = Parts::read(element)?;
    Some(CountedMember {
        set: set.to_owned(),
        entry: entry(&parts)?,
        nomatch: parts.nomatch(),
        counts: parts.counts,
        comment: parts.comment,
    })
}

/// The parts of an element as ipset says them: an address or a block, a port, another block.
fn entry(parts: &Parts) -> Option<String> {
    let block = |text: &mut String, address: IpAddr, length: Option<u8>| {
        let _ = write!(text, "{address}");
        let full = if address.is_ipv4() { 32 } else { 128 };
        if let Some(length) = length.filter(|length| *length != full) {
            let _ = write!(text, "/{length}");
        }
    };
    let mut text = String::with_capacity(32);
    block(&mut text, parts.address?, parts.prefix);
    if let (Some(port), Some(number)) = (parts.port, parts.protocol) {
        match parts.known_protocol() {
            Some(known) => write!(text, ",{known}:{port}").ok()?,
            None => write!(text, ",{number}:{port}").ok()?,
        }
    }
    if let Some(other) = parts.other {
        text.push(',');
        block(&mut text, other, parts.other_prefix);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::elements::{BYTES, CADT_FLAGS, CIDR, CIDR2, COMMENT, IP, IP2, NOMATCH, PACKETS, PORT, PROTO};
    use super::super::netlink::attribute;
    use super::*;
    use crate::ruleset::Counts;

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
