//! The members of a set, listed over netlink: what `ipset save` prints, without a process and without the text.

use std::io;

use super::elements::Parts;
use super::headers::{DATA, whole};
use super::membership::ELEMENTS;
use super::netlink::{attributes, find, list, socket};
use crate::net::Family;
use crate::ruleset::{Gathered, Members, SetHeader, SetKind};

/// The members of a set of a kind that is read here; `None` is everything that `ipset` had better list, also where something
/// went wrong.
pub(super) fn of(header: &SetHeader) -> Option<Members> {
    let kind = Some(&header.shape.kind).filter(|kind| !matches!(kind, SetKind::Other(_)))?;
    let count = header.entries.unwrap_or_default();
    let count = usize::try_from(count).unwrap_or_default();
    let mut gathered = Gathered::with_capacity(count, header.shape.family == Family::V6);
    let mut known = true;
    elements_of(&header.name, &mut |element| {
        let member = Parts::read(element).and_then(|parts| parts.member_of(kind));
        known = member.is_some();
        if let Some((entry, member)) = member {
            gathered.push(entry, member);
        }
        known
    })
    .ok()?;
    known.then(|| gathered.members())
}

/// Calls `take` with the attributes of each member of a set, until it has enough; on an error, which is also that there is no
/// such set (`ENOENT`), what was taken is not all.
pub(super) fn elements_of(name: &str, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    // What may be left of an answer goes with the line.
    let fault = list(&socket()?, &whole(name), &mut |header| {
        let all = find(header, ELEMENTS).unwrap_or_default();
        attributes(all).filter(|(kind, _)| *kind == DATA).all(|(_, element)| take(element))
    })?;
    fault.map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(number)))
}
