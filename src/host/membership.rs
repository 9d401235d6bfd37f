//! Whether the kernel holds an address in a set, asked over netlink: what `ipset test` asks, without a process for each
//! question, and without listing a single member. Some 5 µs a question; the sets' names and types come at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::headers::{DATA, DUMP, FLAGS, HEADERS_ONLY, LIST, SETNAME, message};
use super::netlink::{DONE, ERROR, GENERAL, NESTED, NETWORK, attribute, error_number, find, messages, socket};
use crate::net::{Family, Protocol};
use crate::ruleset::{SetDirection, SetKind};

/// `IPSET_CMD_TEST` of `linux/netfilter/ipset/ip_set.h`.
const TEST: u16 = 11;
/// `NLM_F_REQUEST | NLM_F_ACK`.
pub(super) const ANSWERED: u16 = 0x5;
/// `IPSET_ERR_EXIST`: of a test, that the element is not in the set.
const NOT_IN_SET: i32 = 4103;
/// Attributes of the message.
const TYPENAME: u16 = 3;
const FAMILY: u16 = 5;
pub(super) const ELEMENTS: u16 = 8;
/// Attributes of an element.
pub(super) const IP: u16 = 1;
pub(super) const PORT: u16 = 4;
pub(super) const PROTO: u16 = 7;
pub(super) const IP2: u16 = 20;
pub(super) const IFACE: u16 = 23;
/// `AF_INET6`.
const INET6: u8 = 10;

/// One side of a packet, as sets ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Side<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if that is known.
    pub port: Option<u16>,
    /// The interface on that side, if that is known.
    pub interface: Option<&'a str>,
}

/// What the kernel says of one set besides its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its type.
    pub kind: SetKind,
    /// Its family; kinds without one count as IPv4.
    pub family: Family,
}

/// The sets of this network namespace, at the other end of a line.
#[derive(Debug)]
pub struct KernelSets {
    line: OwnedFd,
    headers: HashMap<String, (usize, Header)>,
    /// What was asked already, by the set's number.
    asked: RefCell<HashMap<(usize, Element), Option<bool>>>,
}

impl KernelSets {
    /// Opens the line and asks which sets there are. A kernel that knows no sets has none.
    pub fn open() -> io::Result<Self> {
        let line = socket()?;
        let headers_only = attribute(FLAGS, &HEADERS_ONLY.to_be_bytes());
        send(&line, &message(LIST, DUMP, &[headers_only]), SendFlags::empty())?;
        let mut headers = HashMap::new();
        each(&line, &mut |attributes| {
            let number = headers.len();
            headers.extend(header(attributes).map(|(name, header)| (name, (number, header))));
            true
        })?;
        Ok(Self { line, headers, asked: RefCell::default() })
    }

    /// What is known of one set; `None`: there is no such set.
    pub fn header(&self, name: &str) -> Option<&Header> {
        self.headers.get(name).map(|(_, header)| header)
    }

    /// Whether a packet with these sides is in a set; `None` when that cannot be told.
    pub fn holds(
        &self,
        name: &str,
        directions: &[SetDirection],
        protocol: Protocol,
        (source, destination): (Side<'_>, Side<'_>),
    ) -> Option<bool> {
        let (number, header) = self.headers.get(name)?;
        // The kernel never looks into a set of the other family.
        if header.kind.name().starts_with("hash:") && header.family != Family::of(&source.address) {
            return Some(false);
        }
        let element = Element::of(&header.kind, directions, protocol, (source, destination))?;
        let key = (*number, element);
        if let Some(answer) = self.asked.borrow().get(&key) {
            return *answer;
        }
        let mut name = name.as_bytes().to_vec();
        name.push(0);
        let parts = [attribute(SETNAME, &name), attribute(DATA | NESTED, &key.1.attributes())];
        let answer = self.ask(&message(TEST, ANSWERED, &parts));
        self.asked.borrow_mut().insert(key, answer);
        answer
    }

    /// Some address in a set, of which the kernel sends no more than the beginning; `None` of an empty one, and where nobody
    /// can tell.
    pub fn somebody_in(&self, name: &str) -> Option<IpAddr> {
        self.headers.get(name)?;
        // What is left of the answer goes with the line.
        let line = socket().ok()?;
        let name = [name.as_bytes(), &[0]].concat();
        send(&line, &message(LIST, DUMP, &[attribute(SETNAME, &name)]), SendFlags::empty()).ok()?;
        let mut found = None;
        each(&line, &mut |attributes| {
            let first = find(attributes, ELEMENTS).and_then(|all| find(all, DATA));
            found = first.and_then(|first| address(find(first, IP)?));
            found.is_none()
        })
        .ok()?;
        found
    }

    fn ask(&self, question: &[u8]) -> Option<bool> {
        send(&self.line, question, SendFlags::empty()).ok()?;
        let mut buffer = [0_u8; 4096];
        loop {
            match recv(&self.line, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let mut answers = messages(buffer.get(..length)?).filter(|(kind, _)| *kind == ERROR);
                    return match answers.next().and_then(|(_, body)| error_number(body))? {
                        0 => Some(true),
                        NOT_IN_SET => Some(false),
                        _ => None,
                    };
                }
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Calls `take` with the attributes of each message of an answer, until it has enough.
pub(super) fn each(line: &OwnedFd, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut buffer = vec![0_u8; 1 << 15];
    loop {
        let length = match recv(line, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for (kind, body) in messages(buffer.get(..length).unwrap_or_default()) {
            // An error also where the kernel has no sets at all.
            if matches!(kind, DONE | ERROR) || !take(body.get(GENERAL..).unwrap_or_default()) {
                return Ok(());
            }
        }
    }
}

pub(super) fn header(attributes: &[u8]) -> Option<(String, Header)> {
    let text = |wanted| {
        let bytes = find(attributes, wanted)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let family = find(attributes, FAMILY)?.first()?;
    let family = if *family == INET6 { Family::V6 } else { Family::V4 };
    Some((text(SETNAME)?, Header { kind: SetKind::from_name(&text(TYPENAME)?), family }))
}

pub(super) fn address(nested: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(find(nested, 1)?).ok()?));
    let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(find(nested, 2)?).ok()?));
    v4().or_else(v6)
}

/// What stands for a packet in a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Element {
    addresses: [Option<IpAddr>; 2],
    port: Option<(Option<Protocol>, u16)>,
    interface: Option<String>,
}

impl Element {
    /// The element of a set of `kind` that stands for a packet; `None` when its parts are not known or nobody knows the
    /// kind.
    fn of(
        kind: &SetKind,
        directions: &[SetDirection],
        protocol: Protocol,
        (source, destination): (Side<'_>, Side<'_>),
    ) -> Option<Self> {
        let (method, parts) = kind.name().split_once(':')?;
        if !matches!(method, "hash" | "bitmap") || directions.len() < parts.split(',').count() {
            return None;
        }
        let mut element = Self::default();
        for (part, direction) in parts.split(',').zip(directions) {
            let side = if *direction == SetDirection::Src { source } else { destination };
            match part {
                "ip" | "net" => *element.addresses.iter_mut().find(|own| own.is_none())? = Some(side.address),
                "port" => element.port = Some(((method == "hash").then_some(protocol), side.port?)),
                "iface" => element.interface = Some(side.interface?.to_owned()),
                _ => return None,
            }
        }
        Some(element)
    }

    /// In the kernel's attributes.
    fn attributes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        for (kind, address) in [IP, IP2].into_iter().zip(self.addresses).filter_map(|(kind, own)| Some((kind, own?))) {
            let inner = match address {
                IpAddr::V4(v4) => attribute(1 | NETWORK, &v4.octets()),
                IpAddr::V6(v6) => attribute(2 | NETWORK, &v6.octets()),
            };
            bytes.extend(attribute(kind | NESTED, &inner));
        }
        if let Some((protocol, port)) = self.port {
            bytes.extend(attribute(PORT | NETWORK, &port.to_be_bytes()));
            bytes.extend(protocol.into_iter().flat_map(|protocol| attribute(PROTO, &[protocol.number()])));
        }
        if let Some(interface) = &self.interface {
            bytes.extend(attribute(IFACE, &[interface.as_bytes(), &[0]].concat()));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_the_parts_of_their_kind() {
        use SetDirection::{Dst, Src};
        let side = |address: &str, port| Side { address: address.parse().unwrap(), port, interface: Some("eth0") };
        let (from, to) = (side("192.0.2.1", None), side("192.0.2.2", Some(80)));
        let element = |kind: &str, directions: &[SetDirection]| {
            let element = Element::of(&SetKind::from_name(kind), directions, Protocol::Tcp, (from, to))?;
            let addresses: Vec<String> = element.addresses.iter().flatten().map(ToString::to_string).collect();
            Some((addresses.join(" "), element.port, element.interface.unwrap_or_default()))
        };
        let said = |addresses: &str, port, interface: &str| Some((addresses.to_owned(), port, interface.to_owned()));
        let tcp = Some((Some(Protocol::Tcp), 80));
        assert_eq!(element("hash:net", &[Src]), said("192.0.2.1", None, ""));
        assert_eq!(element("hash:ip,port", &[Src, Dst]), said("192.0.2.1", tcp, ""));
        assert_eq!(element("hash:ip,port,net", &[Dst, Dst, Src]), said("192.0.2.2 192.0.2.1", tcp, ""));
        assert_eq!(element("hash:ip,port", &[Dst, Src]), None);
        assert_eq!(element("hash:net,iface", &[Src, Src]), said("192.0.2.1", None, "eth0"));
        assert_eq!(element("bitmap:port", &[Dst]), said("", Some((None, 80)), ""));
        assert_eq!(element("list:set", &[Src]), None);
        assert_eq!(element("hash:ip,mark", &[Src, Src]), None);
    }

    #[test]
    fn reads_a_header_and_no_nonsense() {
        let parts = [attribute(SETNAME, b"f2b\0"), attribute(TYPENAME, b"hash:ip\0"), attribute(FAMILY, &[INET6])];
        let whole = parts.concat();
        let expected = Header { kind: SetKind::Ip, family: Family::V6 };
        assert_eq!(header(&whole), Some(("f2b".to_owned(), expected)));
        for length in 0..whole.len() {
            assert_eq!(header(&whole[..length]).is_some(), length > whole.len() - 4, "{length}");
        }
    }
}
