//! Whether the kernel holds an address in a set, asked over netlink: what `ipset test` asks, without a process for each
//! question, and without listing a single member. Some 5 µs a question; the sets' names and types come at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use super::elements::{IFACE, IP, IP2, PORT, PROTO, address, put_address};
use super::headers::{self, DATA, SETNAME, message, named};
use super::listing;
use super::netlink::{NESTED, NETWORK, acknowledged, attribute, find, socket, text};
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
        let mut headers = HashMap::new();
        headers::each(&line, &mut |attributes| {
            let number = headers.len();
            headers.extend(header(attributes).map(|(name, header)| (name, (number, header))));
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
        let parts = [named(name), attribute(DATA | NESTED, &key.1.attributes())];
        let answer = self.ask(&message(TEST, ANSWERED, &parts));
        self.asked.borrow_mut().insert(key, answer);
        answer
    }

    /// Some address in a set, of which the kernel sends no more than the beginning; `None` of an empty one, and where nobody
    /// can tell.
    pub fn somebody_in(&self, name: &str) -> Option<IpAddr> {
        self.headers.get(name)?;
        let mut found = None;
        listing::elements_of(name, &mut |element| {
            found = find(element, IP).and_then(address);
            found.is_none()
        })
        .ok()?;
        found
    }

    fn ask(&self, question: &[u8]) -> Option<bool> {
        match acknowledged(&self.line, question, &mut [0; 4096]).ok()?.map(|refusal| refusal.number) {
            None => Some(true),
            Some(NOT_IN_SET) => Some(false),
            Some(_) => None,
        }
    }
}

pub(super) fn header(attributes: &[u8]) -> Option<(String, Header)> {
    let word = |wanted| find(attributes, wanted).map(text);
    let family = find(attributes, FAMILY)?.first()?;
    let family = if *family == INET6 { Family::V6 } else { Family::V4 };
    Some((word(SETNAME)?, Header { kind: SetKind::from_name(&word(TYPENAME)?), family }))
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
            put_address(&mut bytes, kind, address);
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
