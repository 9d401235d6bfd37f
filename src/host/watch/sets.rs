//! Kernel sets tell nobody that they changed. Their heads, asked for over netlink, tell most of it for next to nothing: how
//! many members each set has, how many bytes, and how many rules ask it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

use super::message::{attribute, encoded, messages, request, text};

/// `NFNL_SUBSYS_IPSET` of linux/netfilter/nfnetlink.h and `IPSET_CMD_LIST` of linux/netfilter/ipset/ip_set.h.
const LIST: u16 = (6 << 8) | 7;
/// `NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP` of linux/netlink.h.
const DUMP: u16 = 0x305;
/// `NLMSG_ERROR` and `NLMSG_DONE` of linux/netlink.h.
const ERROR: u8 = 2;
/// See [`ERROR`].
const DONE: u8 = 3;
/// `IPSET_ATTR_PROTOCOL` with 6, which every kernel still speaks, and `IPSET_ATTR_FLAGS` with
/// `IPSET_FLAG_LIST_HEADER`, in the network's byte order.
const PROTOCOL: (u16, [u8; 1]) = (1, [6]);
/// See [`PROTOCOL`].
const HEADS: (u16, [u8; 4]) = (6 | (1 << 14), [0, 0, 0, 4]);
/// `IPSET_ATTR_SETNAME` and `IPSET_ATTR_DATA`.
const NAME: u16 = 2;
/// See [`NAME`].
const DATA: u16 = 7;
/// The kernel answers at once.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// What the kernel says of each set: options, the number of members, of bytes, and of rules that ask it.
pub type SetHeads = BTreeMap<String, Vec<u8>>;

/// A line to this network namespace's sets.
#[derive(Debug)]
pub struct SetProbe(OwnedFd);

impl SetProbe {
    /// Opens it; nothing is asked yet.
    pub fn open() -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Asks for the heads.
    pub fn heads(&self) -> io::Result<SetHeads> {
        let ask = [encoded(PROTOCOL.0, &PROTOCOL.1), encoded(HEADS.0, &HEADS.1)].concat();
        send(&self.0, &request(LIST, DUMP, 2, &ask), SendFlags::empty())?;
        let mut heads = SetHeads::new();
        let mut buffer = vec![0_u8; 64 << 10];
        loop {
            let (length, _) = recv(&self.0, &mut *buffer, RecvFlags::empty())?;
            if read(&buffer[..length], &mut heads)? {
                return Ok(heads);
            }
        }
    }
}

/// Takes in one answer; whether it is the last.
fn read(bytes: &[u8], heads: &mut SetHeads) -> io::Result<bool> {
    for message in messages(bytes) {
        match (message.subsystem, message.kind) {
            (0, DONE) => return Ok(true),
            (0, ERROR) => return Err(io::Error::other("the kernel does not list its sets")),
            _ => {}
        }
        if let Some(name) = attribute(message.attributes, NAME).map(text) {
            heads.entry(name).or_default().extend(attribute(message.attributes, DATA).unwrap_or_default());
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_put_together_until_the_kernel_is_done() {
        let set = |name: &str, data: &[u8]| {
            let name = encoded(NAME, format!("{name}\0").as_bytes());
            request(LIST, 0, 2, &[name, encoded(DATA | (1 << 15), data)].concat())
        };
        let mut heads = SetHeads::new();
        let first = [set("df4-ruled", &[1, 2]), set("ipfriends", &[3])].concat();
        assert!(!read(&first, &mut heads).unwrap());
        assert!(read(&[set("other", &[]), request(DONE.into(), 0, 0, &[])].concat(), &mut heads).unwrap());
        let named: Vec<(&str, &[u8])> = heads.iter().map(|(name, data)| (&**name, &**data)).collect();
        assert_eq!(named, [("df4-ruled", &[1, 2][..]), ("ipfriends", &[3]), ("other", &[])]);
        assert!(read(&request(ERROR.into(), 0, 0, &[]), &mut heads).is_err());
        for length in 0..first.len() {
            let _ = read(&first[..length], &mut heads);
        }
    }
}
