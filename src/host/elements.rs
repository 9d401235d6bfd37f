//! Members of sets in the attributes of netlink: those of addresses and blocks (`hash:ip`, `hash:net`) as `ipset` writes
//! them, thousands in one message, and those of every kind that rules use as the kernel lists them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::membership::{IFACE, IP, IP2, PORT, PROTO, address};
use super::netlink::{NETWORK, attributes, nest, put, text};
use crate::net::Protocol;
use crate::ruleset::{Member, SetEntry, SetKind};

/// Attributes of an element, of `linux/netfilter/ipset/ip_set.h`.
pub(super) const CIDR: u16 = 3;
const TIMEOUT: u16 = 6;
pub(super) const CADT_FLAGS: u16 = 8;
pub(super) const CIDR2: u16 = 21;
/// Which line of a text an element is from: the kernel says it again of the one that it refuses.
pub(super) const LINENO: u16 = 9;
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
            nest(bytes, IP, |bytes| match self.block {
                IpNet::V4(block) => put(bytes, V4 | NETWORK, &block.addr().octets()),
                IpNet::V6(block) => put(bytes, V6 | NETWORK, &block.addr().octets()),
            });
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

/// A member of a set of that kind as the kernel lists it; `None` where it says something that is not known here.
pub(super) fn read(set: &SetKind, element: &[u8]) -> Option<(SetEntry, Member)> {
    let (mut at, mut prefix, mut member) = (None, None, Member::default());
    let (mut protocol, mut port, mut interface) = (None, None, None);
    let (mut other, mut other_prefix) = (None, None);
    for (kind, value) in attributes(element) {
        let number = || Some(u32::from_be_bytes(value.try_into().ok()?));
        match kind {
            IP => at = Some(address(value)?),
            CIDR => prefix = value.first().copied(),
            PORT => port = Some(u16::from_be_bytes(value.try_into().ok()?)),
            PROTO => protocol = Protocol::ALL.into_iter().find(|known| [known.number()] == *value),
            IP2 => other = Some(address(value)?),
            CIDR2 => other_prefix = value.first().copied(),
            IFACE => interface = Some(text(value)),
            TIMEOUT => member.timeout = Some(number()?),
            CADT_FLAGS if number()? & !NOMATCH == 0 => member.nomatch = number()? & NOMATCH != 0,
            // Of a bridge's port, for one.
            CADT_FLAGS => return None,
            COMMENT => member.comment = Some(text(value)),
            _ => {}
        }
    }
    let block = |address: IpAddr, prefix: Option<u8>| {
        let whole = IpNet::from(address);
        Some(prefix.map_or(Ok(whole), |prefix| IpNet::new(address, prefix)).ok()?.trunc())
    };
    let entry = match set {
        SetKind::Ip | SetKind::Net => SetEntry::Net(block(at?, prefix)?),
        SetKind::IpPort => SetEntry::IpPort(at?, protocol?, port?),
        SetKind::IpPortNet => SetEntry::IpPortNet(at?, protocol?, port?, block(other?, other_prefix)?),
        SetKind::NetIface => SetEntry::NetIface(block(at?, prefix)?, interface?),
        SetKind::NetPort => SetEntry::NetPort(block(at?, prefix)?, protocol?, port?),
        SetKind::Other(_) => return None,
    };
    Some((entry, member))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::find;
    use super::*;
    use crate::ruleset::render_set_entry;

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
            prop_assert_eq!(read(&SetKind::Net, element), Some((entry, member)));
            prop_assert_eq!(find(element, LINENO), Some(&number.to_ne_bytes()[..]));
            for length in 0..element.len() {
                let _ = read(&SetKind::Net, &element[..length]);
            }
        }

        #[test]
        fn nonsense_is_nobodys_member(bytes in proptest::collection::vec(any::<u8>(), 0..64), line in "\\PC{0,40}") {
            let _ = Line::read(&line);
            for kind in [SetKind::IpPort, SetKind::IpPortNet, SetKind::NetIface, SetKind::NetPort] {
                let _ = read(&kind, &bytes);
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
