//! The members of a set, listed over netlink: what `ipset save` prints, without a process and without the text.

use std::io;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::elements;
use super::headers::{DATA, DUMP, LIST, SETNAME, message};
use super::membership::ELEMENTS;
use super::netlink::{DONE, ERROR, GENERAL, attribute, attributes, error_number, find, messages, socket};
use crate::net::Family;
use crate::ruleset::{Gathered, Members, SetHeader, SetKind};

/// The members of a set of a kind that is read here; `None` is everything that `ipset` had better list, also where something
/// went wrong.
pub(super) fn of(header: &SetHeader) -> Option<Members> {
    let kind = Some(&header.shape.kind).filter(|kind| !matches!(kind, SetKind::Other(_)))?;
    let count = header.entries.unwrap_or_default();
    let count = usize::try_from(count).unwrap_or_default();
    let mut gathered = Gathered::with_capacity(count, header.shape.family == Family::V6);
    let take = &mut |element: &[u8]| {
        let (entry, member) =
            elements::read(kind, element).ok_or_else(|| io::Error::other("the kernel said what is not known here"))?;
        gathered.push(entry, member);
        Ok(())
    };
    elements_of(&header.name, take).ok()?;
    Some(gathered.members())
}

/// Calls `take` with the attributes of each member of a set; on an error, which is also that there is no such set (`ENOENT`),
/// what was taken is not all.
pub(super) fn elements_of(name: &str, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    // What may be left of an answer goes with the line.
    let line = socket()?;
    let name = attribute(SETNAME, &[name.as_bytes(), &[0]].concat());
    send(&line, &message(LIST, DUMP, &[name]), SendFlags::empty())?;
    // The kernel fills what the reader has room for, up to half of this.
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let length = match recv(&line, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for (kind, body) in messages(buffer.get(..length).unwrap_or_default()) {
            if matches!(kind, DONE | ERROR) {
                return match error_number(body) {
                    None | Some(0) => Ok(()),
                    Some(number) => Err(io::Error::from_raw_os_error(number)),
                };
            }
            let all = find(body.get(GENERAL..).unwrap_or_default(), ELEMENTS).unwrap_or_default();
            for (_, element) in attributes(all).filter(|(kind, _)| *kind == DATA) {
                take(element)?;
            }
        }
    }
}
