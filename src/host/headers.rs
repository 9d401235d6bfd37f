//! The headers of the kernel's sets, asked over netlink: no process, some 20 µs, cheap enough to ask several times a second.
//! ipset tells nobody when a set changes; its headers say how many members there are. And whether one holds an address.

use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

use super::netlink::{DONE, ERROR, attribute, error_number, find, message, messages};

/// `NFNL_SUBSYS_IPSET` of `linux/netfilter/nfnetlink.h` and `IPSET_CMD_LIST` of `linux/netfilter/ipset/ip_set.h`.
const LIST: u16 = (6 << 8) + 7;
/// `IPSET_CMD_TEST`.
const TEST: u16 = (6 << 8) + 11;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const ASK: u16 = 5;
/// `NLM_F_REQUEST | NLM_F_DUMP` of `linux/netlink.h`.
const DUMP: u16 = 0x301;
/// `IPSET_ATTR_PROTOCOL`, `IPSET_ATTR_SETNAME`, `IPSET_ATTR_FLAGS` in network byte order, `IPSET_ATTR_DATA`.
const PROTOCOL: u16 = 1;
const SETNAME: u16 = 2;
const FLAGS: u16 = 0x4006;
const DATA: u16 = 7;
/// `IPSET_FLAG_LIST_HEADER`.
const HEADERS_ONLY: u32 = 1 << 2;
/// `IPSET_ATTR_IP`, within the data, and `IPSET_ATTR_IPADDR_IPV4` and `_IPV6`, within that.
const IP: u16 = 1;
const IPADDR: [u16; 2] = [1, 2];
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` of `linux/netlink.h`.
const NESTED: u16 = 0x8000;
const BIG_ENDIAN: u16 = 0x4000;
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
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// A number that is another one when a set that `wanted` names has come, gone, or has other members in number.
    pub fn digest(&self, wanted: &dyn Fn(&str) -> bool) -> io::Result<u64> {
        send(&self.0, &question(), SendFlags::empty())?;
        let mut found = Vec::new();
        let mut buffer = vec![0_u8; 1 << 15];
        'answer: loop {
            let length = match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for (kind, body) in messages(buffer.get(..length).unwrap_or_default()) {
                match kind {
                    DONE => break 'answer,
                    // Also where the kernel has no sets at all.
                    ERROR => return Err(io::Error::other("the kernel does not list its sets")),
                    _ => {}
                }
                if let Some((name, members)) = header(body.get(4..).unwrap_or_default())
                    && wanted(&name)
                {
                    found.push((name, members));
                }
            }
        }
        found.sort_unstable();
        let mut hasher = DefaultHasher::new();
        for (name, members) in found {
            hasher.write(name.as_bytes());
            hasher.write_u32(members);
        }
        Ok(hasher.finish())
    }

    /// Whether the kernel holds an address in a set; also no when there is no such set, or one of another kind.
    pub fn holds(&self, set: &str, address: IpAddr) -> io::Result<bool> {
        send(&self.0, &test(set, address), SendFlags::empty())?;
        let mut buffer = [0_u8; 1024];
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let answer = buffer.get(..length).unwrap_or_default();
                    let answer = messages(answer).find(|(kind, _)| *kind == ERROR);
                    return Ok(answer.and_then(|(_, body)| error_number(body)) == Some(0));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether an address is in the set of that name.
fn test(set: &str, address: IpAddr) -> Vec<u8> {
    let address = match address {
        IpAddr::V4(v4) => attribute(IPADDR[0] | BIG_ENDIAN, &v4.octets()),
        IpAddr::V6(v6) => attribute(IPADDR[1] | BIG_ENDIAN, &v6.octets()),
    };
    let attributes = [
        attribute(PROTOCOL, &[6]),
        attribute(SETNAME, &[set.as_bytes(), &[0]].concat()),
        attribute(DATA | NESTED, &attribute(IP | NESTED, &address)),
    ];
    message(TEST, ASK, [FAMILY, 0, 0, 0], &attributes.concat())
}

fn question() -> Vec<u8> {
    // Version 6 of the protocol is what every kernel with sets understands.
    let attributes = [attribute(PROTOCOL, &[6]), attribute(FLAGS, &HEADERS_ONLY.to_be_bytes())].concat();
    message(LIST, DUMP, [FAMILY, 0, 0, 0], &attributes)
}

/// A set's name and the number of its members.
fn header(attributes: &[u8]) -> Option<(String, u32)> {
    let name = find(attributes, SETNAME)?.split(|byte| *byte == 0).next()?;
    let members = find(find(attributes, DATA)?, ELEMENTS)?.try_into().map(u32::from_be_bytes).ok()?;
    Some((String::from_utf8_lossy(name).into_owned(), members))
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
