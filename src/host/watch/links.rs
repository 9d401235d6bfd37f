//! Notifications of network interfaces: a container's goes when the container ends, and another one comes with the next.
//! So whoever cannot ask the engine still hears that addresses may be changing hands.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// `NETLINK_ROUTE` of linux/netlink.h, which is 0.
const ROUTE: Option<Protocol> = None;
/// `RTMGRP_LINK` of linux/rtnetlink.h.
const LINKS: u32 = 1;
/// `RTM_NEWLINK` of linux/rtnetlink.h: an interface is new, or something about it is.
const NEW: u16 = 16;
/// `RTM_DELLINK` of linux/rtnetlink.h.
const GONE: u16 = 17;
/// Bytes of a `nlmsghdr`, before the `ifinfomsg`.
const HEADER: usize = 16;

/// A subscription to interfaces of this network namespace that come and go.
#[derive(Debug)]
pub struct LinkWatch(OwnedFd);

impl LinkWatch {
    /// Subscribes.
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, ROUTE)?;
        bind(&socket, &SocketAddrNetlink::new(0, LINKS))?;
        Ok(Self(socket))
    }

    /// Blocks until an interface came or went.
    pub fn wait(&self) -> io::Result<()> {
        let mut buffer = [0_u8; 8192];
        loop {
            match recv(&self.0, &mut buffer, RecvFlags::empty()) {
                Ok((length, _)) if !buffer.get(..length).is_none_or(comes_or_goes) => {}
                // The kernel's buffer ran over: there were changes, and many.
                Ok(_) | Err(Errno::NOBUFS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether any message tells of an interface that came or went, and not of a cable that was pulled.
fn comes_or_goes(mut messages: &[u8]) -> bool {
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    while let (Some(length), Some(kind)) = (word(messages, 0), messages.get(4..6)) {
        match u16::from_ne_bytes([kind[0], kind[1]]) {
            GONE => return true,
            // `ifi_change` names the flags that changed; of an interface that was just made it is all of them (kernel:
            // `register_netdevice`).
            NEW if word(messages, HEADER + 12) == Some(u32::MAX) => return true,
            _ => {}
        }
        let Ok(length) = usize::try_from(length) else { return true };
        match messages.get(length.next_multiple_of(4).max(HEADER)..) {
            Some(rest) => messages = rest,
            None => break,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, change: u32) -> Vec<u8> {
        let mut bytes = 32_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 22]);
        bytes.extend(change.to_ne_bytes());
        bytes
    }

    #[test]
    fn tells_a_new_interface_from_a_pulled_cable() {
        assert!(comes_or_goes(&message(GONE, 0)));
        assert!(comes_or_goes(&message(NEW, u32::MAX)));
        assert!(!comes_or_goes(&message(NEW, 0x10040)));
        assert!(comes_or_goes(&[message(NEW, 0), message(GONE, 0)].concat()));
        // Cut off, or nonsense: no panic, no endless loop.
        for length in 0..32 {
            assert!(!comes_or_goes(&message(NEW, 0)[..length]));
        }
        assert!(!comes_or_goes(&[0; 40]));
    }
}
