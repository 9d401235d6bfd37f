//! Members of sets in the attributes of netlink: those of addresses and blocks (`hash:ip`, `hash:net`) as `ipset` writes
//! them, thousands in one message, and those of every kind that rules use as the kernel lists them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::netlink::{NETWORK, attributes, find, nest, put, text};
use crate::net::Protocol;
use crate::ruleset::{Counts, Member, SetEntry, SetKind};

/// Attributes of an element, of `linux/netfilter/ipset/ip_set.h`.
pub(super) const IP: u16 = 1;
pub(super) const CIDR: u16 = 3;
pub(super) const PORT: u16 = 4;
const TIMEOUT: u16 = 6;
pub(super) const PROTO: u16 = 7;
pub(super) const CADT_FLAGS: u16 = 8;
/// Which line of a text an element is from: the kernel says it again of the one that it refuses.
pub(super) const LINENO: u16 = 9;
pub(super) const IP2: u16 = 20;
pub(super) const CIDR2: u16 = 21;
pub(super) const IFACE: u16 = 23;
pub(super) const BYTES: u16 = 24;
pub(super) const PACKETS: u16 = 25;
pub(super) const COMMENT: u16 = 26;
/// `IPSET_FLAG_NOMATCH`.
pub(super) const NOMATCH: u32 = 1 << 2;
/// `IPSET_ATTR_IPADDR_IPV4`, `IPSET_ATTR_IPADDR_IPV6`.
const V4: u16 = 1;
const V6: u16 = 2;

/// What an `add` or a `del` line does to which set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deed<'a> {
    pub(super) set: &'a str,
    /// The member goes.
    pub(super) del: bool,
    /// It is no error if it is so already.
    pub(super) exist: bool,
}

/// A line of `ipset restore` that says one address or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) deed: Deed<'a>,
    block: IpNet,
    timeout: Option<u32>,
    nomatch: bool,
    comment: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads what [`render_set_entry`](crate::ruleset::render_set_entry) writes; `None` is anything that `ipset` had better
    /// read itself.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (command, rest) = line.split_once(' ')?;
        let del = match command {
            "add" => false,
            "del" => true,
            _ => return None,
        };
        let (set, rest) = rest.split_once(' ')?;
        if set.is_empty() || set.starts_with(['"', '-']) {
            return None;
        }
        let (key, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let block = match key.parse::<Ipv4Addr>() {
            Ok(address) => IpNet::V4(Ipv4Net::from(address)),
            Err(_) if key.contains('/') => key.parse().ok()?,
            Err(_) => IpNet::from(key.parse::<IpAddr>().ok()?),
        };
        let mut line =
            Self { deed: Deed { set, del, exist: false }, block, timeout: None, nomatch: false, comment: None };
        while !rest.is_empty() {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after;
            match word {
                "-exist" => line.deed.exist = true,
                "nomatch" => line.nomatch = true,
                "timeout" => {
                    let (seconds, after) = rest.split_once(' ').unwrap_or((rest, ""));
                    line.timeout = Some(seconds.parse().ok()?);
                    rest = after;
                }
                "comment" => {
                    let (comment, after) = rest.strip_prefix('"')?.split_once('"')?;
                    line.comment = Some(comment);
                    rest = if after.is_empty() { after } else { after.strip_prefix(' ')? };
                }
                _ => return None,
            }
        }
        Some(line)
    }

    /// Appends it, of the line `number`.
    pub(super) fn write(&self, number: u32, bytes: &mut Vec<u8>) {
        nest(bytes, super::headers::DATA, |bytes| {
            put_address(bytes, IP, self.block.addr());
            if self.block.prefix_len() != self.block.max_prefix_len() {
                put(bytes, CIDR, &[self.block.prefix_len()]);
            }
            if let Some(seconds) = self.timeout {
                put(bytes, TIMEOUT | NETWORK, &seconds.to_be_bytes());
            }
            if self.nomatch {
                put(bytes, CADT_FLAGS | NETWORK, &NOMATCH.to_be_bytes());
            }
            if let Some(comment) = self.comment {
                put(bytes, COMMENT, &[comment.as_bytes(), &[0]].concat());
            }
            put(bytes, LINENO, &number.to_ne_bytes());
        });
    }
}

/// Appends an address.
pub(super) fn put_address(bytes: &mut Vec<u8>, kind: u16, address: IpAddr) {
    nest(bytes, kind, |bytes| match address {
        IpAddr::V4(v4) => put(bytes, V4 | NETWORK, &v4.octets()),
        IpAddr::V6(v6) => put(bytes, V6 | NETWORK, &v6.octets()),
    });
}

/// What [`put_address`] wrote.
pub(super) fn address(nested: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(find(nested, V4)?).ok()?));
    let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(find(nested, V6)?).ok()?));
    v4().or_else(v6)
}

/// What the kernel says of a member.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) address: Option<IpAddr>,
    /// The length of its prefix; `None` is all of it.
    pub(super) prefix: Option<u8>,
    /// The protocol's number.
    pub(super) protocol: Option<u8>,
    pub(super) port: Option<u16>,
    /// The second address, and the length of its prefix.
    pub(super) other: Option<IpAddr>,
    pub(super) other_prefix: Option<u8>,
    interface: Option<String>,
    flags: u32,
    timeout: Option<u32>,
    pub(super) comment: Option<String>,
    /// What it counted; nothing where its set does not count.
    pub(super) counts: Counts,
}

impl Parts {
    /// Reads a member as the kernel lists it; `None` is nonsense.
    pub(super) fn read(element: &[u8]) -> Option<Self> {
        let mut parts = Self::default();
        for (kind, value) in attributes(element) {
            let number = || Some(u32::from_be_bytes(value.try_into().ok()?));
            let count = || Some(u64::from_be_bytes(value.try_into().ok()?));
            match kind {
                IP => parts.address = Some(address(value)?),
                CIDR => parts.prefix = value.first().copied(),
                PORT => parts.port = Some(u16::from_be_bytes(value.try_into().ok()?)),
                PROTO => parts.protocol = value.first().copied(),
                IP2 => parts.other = Some(address(value)?),
                CIDR2 => parts.other_prefix = value.first().copied(),
                IFACE => parts.interface = Some(text(value)),
                CADT_FLAGS => parts.flags = number()?,
                TIMEOUT => parts.timeout = Some(number()?),
                COMMENT => parts.comment = Some(text(value)),
                BYTES => parts.counts.bytes = count()?,
                PACKETS => parts.counts.packets = count()?,
                _ => {}
            }
        }
        Some(parts)
    }

    /// Whether it is an exception from a larger block.
    pub(super) fn nomatch(&self) -> bool {
        self.flags & NOMATCH != 0
    }

    /// Its protocol, where rules know it.
    pub(super) fn known_protocol(&self) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|known| Some(known.number()) == self.protocol)
    }

    /// A member of a set of that kind; `None` where something is said that is not known here, such as that the interface is a
    /// bridge's port.
    pub(super) fn member_of(self, set: &SetKind) -> Option<(SetEntry, Member)> {
        if self.flags & !NOMATCH != 0 {
            return None;
        }
        let block = |address: IpAddr, prefix: Option<u8>| {
            let whole = IpNet::from(address);
            Some(prefix.map_or(Ok(whole), |prefix| IpNet::new(address, prefix)).ok()?.trunc())
        };
        let (nomatch, protocol) = (self.nomatch(), self.known_protocol());
        let (address, port) = (self.address?, self.port);
        let entry = match set {
            SetKind::Ip | SetKind::Net => SetEntry::Net(block(address, self.prefix)?),
            SetKind::IpPort => SetEntry::IpPort(address, protocol?, port?),
            SetKind::IpPortNet => {
                SetEntry::IpPortNet(address, protocol?, port?, block(self.other?, self.other_prefix)?)
            }
            SetKind::NetIface => SetEntry::NetIface(block(address, self.prefix)?, self.interface?),
            SetKind::NetPort => SetEntry::NetPort(block(address, self.prefix)?, protocol?, port?),
            SetKind::Other(_) => return None,
        };
        Some((entry, Member { timeout: self.timeout, comment: self.comment, nomatch }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ruleset::render_set_entry;

    fn member_of(kind: &SetKind, element: &[u8]) -> Option<(SetEntry, Member)> {
        Parts::read(element)?.member_of(kind)
    }

    fn member() -> impl Strategy<Value = Member> {
        let comment = proptest::option::of("[ -!#-~ü]{0,60}");
        (proptest::option::of(0..2_147_483_u32), comment, any::<bool>())
            .prop_map(|(timeout, comment, nomatch)| Member { timeout, comment, nomatch })
    }

    fn block() -> impl Strategy<Value = IpNet> {
        let v4 = (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(bytes, prefix)| IpNet::new(bytes.into(), prefix).unwrap());
        let v6 = (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(bytes, prefix)| IpNet::new(bytes.into(), prefix).unwrap());
        prop_oneof![v4, v6].prop_map(|block| block.trunc())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(block in block(), member in member(), del: bool, exist: bool, number: u32) {
            let entry = SetEntry::Net(block);
            let (command, exists) = (if del { "del" } else { "add" }, if exist { " -exist" } else { "" });
            let text = format!("{command} friends {}{exists}", render_set_entry(&entry, &member));
            let line = Line::read(&text).unwrap();
            prop_assert_eq!(line.deed, Deed { set: "friends", del, exist });
            let mut bytes = Vec::new();
            line.write(number, &mut bytes);
            let element = find(&bytes, super::super::headers::DATA).unwrap();
            prop_assert_eq!(member_of(&SetKind::Net, element), Some((entry, member)));
            prop_assert_eq!(find(element, LINENO), Some(&number.to_ne_bytes()[..]));
            for length in 0..element.len() {
                let _ = member_of(&SetKind::Net, &element[..length]);
            }
        }

        #[test]
        fn nonsense_is_nobodys_member(bytes in proptest::collection::vec(any::<u8>(), 0..64), line in "\\PC{0,40}") {
            let _ = Line::read(&line);
            for kind in [SetKind::IpPort, SetKind::IpPortNet, SetKind::NetIface, SetKind::NetPort] {
                let _ = member_of(&kind, &bytes);
            }
        }
    }

    #[test]
    fn what_is_not_plainly_one_address_is_left_to_ipset() {
        for line in [
            "create a hash:ip",
            "add a",
            "add a 192.0.2.1-192.0.2.9",
            "add a 192.0.2.1,tcp:80",
            "add a 192.0.2.1 comment \"open",
            "add a 192.0.2.1 comment word",
            "add a 192.0.2.1 packets 3",
            "add -exist a 192.0.2.1",
            "add \"sp ace\" 192.0.2.1",
            "add a 192.0.2.1 timeout x",
            "add a  192.0.2.1",
            "add a www.example.com",
            "",
        ] {
            assert_eq!(Line::read(line), None, "{line}");
        }
    }
}
