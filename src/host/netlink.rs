//! The few bytes around what netlink messages say: attributes, written and read, and how the kernel is asked. Reading fails on
//! nothing.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

/// Bytes of a `nlmsghdr`, and of the `nfgenmsg` that follows in messages of netfilter.
const HEADER: usize = 16;
pub(super) const GENERAL: usize = 4;
/// `NLMSG_ERROR`, also an acknowledgement, and `NLMSG_DONE`.
pub(super) const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A line to netfilter's part of this network namespace.
pub(super) fn socket() -> io::Result<OwnedFd> {
    subscribed(0)
}

/// The same on which its notifications of these groups come, a bit each.
pub(super) fn subscribed(groups: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Two bytes in the host's order.
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Four bytes in the host's order.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`, flags beside an attribute's kind.
pub(super) const NESTED: u16 = 0x8000;
pub(super) const NETWORK: u16 = 0x4000;

/// An attribute, padded.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((4 + value.len()).next_multiple_of(4));
    put(&mut bytes, kind, value);
    bytes
}

/// The same, behind others.
pub(super) fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Attributes within an attribute, behind others.
pub(super) fn nest(bytes: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    put(bytes, kind | NESTED, &[]);
    fill(bytes);
    let length = u16::try_from(bytes.len() - start).unwrap_or(u16::MAX).to_ne_bytes();
    bytes[start..start + 2].copy_from_slice(&length);
}

/// Attributes with their kinds, without flags; up to the first that makes no sense.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(half(rest, 0)?), half(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !(NESTED | NETWORK), value))
    })
}

/// The value of the attribute `wanted`.
pub(super) fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// What an attribute says that is a text, up to the NUL that ends it.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// A message of netfilter: its kind, its flags (`NLM_F_...`), what follows the kind in `nfgenmsg`, its attributes.
pub(super) fn message(kind: u16, flags: u16, general: [u8; GENERAL], attributes: &[u8]) -> Vec<u8> {
    let mut message = u32::try_from(HEADER + GENERAL + attributes.len()).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.resize(HEADER, 0);
    message.extend(general);
    message.extend(attributes);
    message
}

/// The messages of one datagram, each with its kind, and from `nlmsghdr`'s end on; up to the first that makes no sense.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (usize::try_from(word(rest, 0)?).ok()?, half(rest, 4)?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The error number of an acknowledgement, 0 for none.
fn error_number(body: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(body.get(..4)?.try_into().ok()?).wrapping_neg())
}

/// Receives one datagram, whatever interrupts that.
fn received<'a>(line: &OwnedFd, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        match recv(line, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _)) => return Ok(buffer.get(..length).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Asks for a list and calls `take` with the attributes of each message of it, until it has enough: what is left then stays on
/// the line. Answers the number of the error with which the kernel ended, if it did; what was taken is not all then.
pub(super) fn list(line: &OwnedFd, question: &[u8], take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<i32>> {
    send(line, question, SendFlags::empty())?;
    // The kernel fills what the reader has room for, up to half of this.
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        for (kind, body) in messages(received(line, &mut buffer)?) {
            if matches!(kind, DONE | ERROR) {
                return Ok(error_number(body).filter(|number| *number != 0));
            }
            if !take(body.get(GENERAL..).unwrap_or_default()) {
                return Ok(None);
            }
        }
    }
}

/// What the kernel refused.
pub(super) struct Refusal {
    /// The number of its error.
    pub(super) number: i32,
    /// The attributes of the message, as the kernel sends them back.
    pub(super) attributes: Vec<u8>,
}

/// Sends a message that asks to be acknowledged, and waits for that. `buffer` has room for the message and some more.
pub(super) fn acknowledged(line: &OwnedFd, message: &[u8], buffer: &mut [u8]) -> io::Result<Option<Refusal>> {
    send(line, message, SendFlags::empty())?;
    loop {
        // Others are what was subscribed to meanwhile.
        let answer = messages(received(line, buffer)?).find(|(kind, _)| *kind == ERROR);
        let Some((_, body)) = answer else { continue };
        return match error_number(body).ok_or(ErrorKind::InvalidData)? {
            0 => Ok(None),
            number => {
                let attributes = body.get(4 + HEADER + GENERAL..).unwrap_or_default().to_vec();
                Ok(Some(Refusal { number, attributes }))
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written() {
        let attributes = [attribute(3, b"df4-ruled\0"), attribute(0x8000 | 4, &attribute(1, &[7]))].concat();
        let both = [message(9, 1, [2, 0, 0, 0], &attributes), message(8, 1, [0; 4], &[])].concat();
        let read: Vec<_> = messages(&both).collect();
        assert_eq!((read.len(), read[0].0, read[1].0), (2, 9, 8));
        let body = &read[0].1[GENERAL..];
        assert_eq!(find(body, 3), Some(&b"df4-ruled\0"[..]));
        assert_eq!(find(body, 4).and_then(|nested| find(nested, 1)), Some(&[7][..]));
        assert_eq!(find(body, 5), None);
        let mut nested = Vec::new();
        nest(&mut nested, 4, |inner| put(inner, 1, &[7]));
        assert_eq!(nested, attribute(0x8000 | 4, &attribute(1, &[7])));
        for length in 0..both.len() {
            for (_, body) in messages(&both[..length]) {
                let _ = (find(body, 4), error_number(body));
            }
        }
        for byte in 0..=255 {
            assert!(messages(&[byte; 48]).all(|(_, body)| find(body, 1).is_none_or(|value| value.len() < 48)));
        }
    }
}
