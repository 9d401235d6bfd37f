//! Notifications of `nf_tables`: whoever changes a rule of iptables-nft, nft or firewalld is heard of at once.
//!
//! iptables-legacy and ipset notify nobody; those are for the slow tick.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h, as a bit.
const NFTABLES: u32 = 1 << (7 - 1);

/// A subscription to changes of this network namespace's `nf_tables` ruleset.
#[derive(Debug)]
pub struct RulesetWatch(OwnedFd);

impl RulesetWatch {
    /// Subscribes. Fails where the kernel has no `nf_tables`, or forbids it.
    pub fn open() -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, NFTABLES))?;
        Ok(Self(socket))
    }

    /// Blocks until there is a change. What it was is not told: the whole is read again.
    pub fn wait(&self) -> io::Result<()> {
        // What does not fit is cut off, and not missed.
        let mut buffer = [0_u8; 4096];
        loop {
            match recv(&self.0, &mut buffer, RecvFlags::empty()) {
                // The kernel's buffer ran over: there were changes, and many.
                Ok(_) | Err(Errno::NOBUFS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
