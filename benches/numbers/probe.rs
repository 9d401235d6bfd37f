//! Asks the kernel whether an address is in a set, over netlink: cheap enough to ask all the time.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

/// `NFNL_SUBSYS_IPSET` and `IPSET_CMD_TEST` (`linux/netfilter/nfnetlink.h`, `ipset/ip_set.h`).
const TEST: u16 = (6 << 8) + 11;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const ASK: u16 = 5;
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const FLAGS: [u16; 2] = [1 << 15, 1 << 14];

/// A line to the kernel's sets.
pub(crate) struct Probe(OwnedFd);

impl Probe {
    pub(crate) fn open() -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Whether `set`, a `hash:ip` or `hash:net` of IPv4, holds `address`.
    pub(crate) fn holds(&self, set: &str, address: Ipv4Addr) -> io::Result<bool> {
        let ip = attribute(1 | FLAGS[1], &address.octets());
        let data = attribute(7 | FLAGS[0], &attribute(1 | FLAGS[0], &ip));
        let mut body = vec![2, 0, 0, 0];
        body.extend(attribute(1, &[6]));
        body.extend(attribute(2, format!("{set}\0").as_bytes()));
        body.extend(data);
        let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(TEST.to_ne_bytes());
        message.extend(ASK.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        send(&self.0, &message, SendFlags::empty())?;
        let mut answer = [0_u8; 4096];
        let (length, _) = recv(&self.0, &mut answer, RecvFlags::empty())?;
        let code = answer.get(16..20).filter(|_| length >= 20).and_then(|bytes| bytes.try_into().ok());
        Ok(code.map(i32::from_ne_bytes) == Some(0))
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
