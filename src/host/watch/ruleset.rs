//! Notifications of `nf_tables`: whoever changes a rule of iptables-nft, nft or firewalld is heard of at once.
//!
//! iptables-legacy and ipset notify nobody; those are looked at every other second.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::host::netlink::{GENERAL, find, messages, subscribed, text};
use crate::ruleset::{is_own_chain, names};

/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h, as a bit.
const NFTABLES: u32 = 1 << (7 - 1);
/// `NFNL_SUBSYS_NFTABLES` of the same file: the upper half of a message's type.
const SUBSYSTEM: u16 = 10;
/// Messages of `linux/netfilter/nf_tables.h` (`enum nf_tables_msg_types`).
const DELTABLE: u8 = 2;
const NEWCHAIN: u8 = 3;
const DELCHAIN: u8 = 5;
const NEWRULE: u8 = 6;
const DELRULE: u8 = 8;
const NEWGEN: u8 = 15;
/// `NFTA_TABLE_NAME`, `NFTA_RULE_CHAIN`, `NFTA_CHAIN_NAME`, `NFTA_GEN_PROC_PID` and `NFTA_GEN_PROC_NAME` of the same file.
const TABLE_NAME: u16 = 1;
const RULE_CHAIN: u16 = 2;
const CHAIN_NAME: u16 = 3;
const GEN_PROC_PID: u16 = 2;
const GEN_PROC_NAME: u16 = 3;

/// A subscription to changes of this network namespace's `nf_tables` ruleset.
#[derive(Debug)]
pub struct RulesetWatch {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// A change of a chain that concerns us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The chain's name; `None` for a whole table, or when the kernel could not tell.
    pub chain: Option<String>,
    /// Who wrote it: the program's name and process ID, as the kernel knew them.
    pub by: Option<String>,
}

impl RulesetWatch {
    /// Subscribes. Fails where the kernel has no `nf_tables`, or forbids it.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: subscribed(NFTABLES)?, buffer: vec![0; 1 << 16] })
    }

    /// Blocks until a transaction is over that touched a chain of ours, or one that calls ours. What Docker writes into
    /// its own chains is passed over.
    pub fn wait(&mut self) -> io::Result<Touched> {
        let mut touched: Option<Touched> = None;
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC) {
                Ok((_, length)) => {
                    if length > self.buffer.len() {
                        touched = Some(Touched::default());
                    }
                    let read = self.buffer.get(..length.min(self.buffer.len())).unwrap_or_default();
                    for message in changes(read) {
                        // Any other chain says more than the one that Docker writes into all day.
                        if touched.as_ref().is_none_or(|known| known.chain.as_deref() == Some(names::DOCKER)) {
                            touched = concerns(&message).or(touched);
                        }
                        // A generation ends each transaction.
                        if message.kind == NEWGEN
                            && let Some(touched) = touched.take()
                        {
                            return Ok(Touched { by: writer(&message), ..touched });
                        }
                    }
                }
                // The kernel's buffer ran over: there were changes, and many.
                Err(Errno::NOBUFS) => return Ok(Touched::default()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One message: its kind, and its attributes.
struct Message<'a> {
    kind: u8,
    attributes: &'a [u8],
}

/// The `nf_tables` messages of one datagram.
fn changes(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let of_tables = messages(datagram).filter(|(kind, _)| kind >> 8 == SUBSYSTEM);
    of_tables.filter_map(|(kind, body)| Some(Message { kind: kind.to_le_bytes()[0], attributes: body.get(GENERAL..)? }))
}

/// What a message is about if it concerns us. In doubt it does.
fn concerns(message: &Message<'_>) -> Option<Touched> {
    let name = match message.kind {
        // That one is the agent's own.
        DELTABLE if find(message.attributes, TABLE_NAME).map(text).as_deref() == Some(names::THIRD) => {
            return None;
        }
        DELTABLE => return Some(Touched::default()),
        NEWRULE | DELRULE => RULE_CHAIN,
        NEWCHAIN | DELCHAIN => CHAIN_NAME,
        _ => return None,
    };
    let Some(chain) = find(message.attributes, name).map(text) else { return Some(Touched::default()) };
    let calling = [names::FORWARD, names::INPUT, names::OUTPUT, names::DOCKER_USER, names::DOCKER];
    (is_own_chain(&chain) || calling.contains(&&*chain)).then_some(Touched { chain: Some(chain), by: None })
}

/// Who made a transaction: `iptables (process 4711)`.
fn writer(generation: &Message<'_>) -> Option<String> {
    let name = find(generation.attributes, GEN_PROC_NAME).map(text)?;
    let pid = find(generation.attributes, GEN_PROC_PID)?.try_into().map(u32::from_be_bytes).ok()?;
    Some(format!("{name} (process {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::{self, attribute};

    fn message(kind: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        netlink::message(SUBSYSTEM << 8 | u16::from(kind), 0, [0; GENERAL], &attributes.concat())
    }

    fn about(bytes: &[u8]) -> Vec<Option<Touched>> {
        changes(bytes).map(|change| concerns(&change)).collect()
    }

    #[test]
    fn tells_our_chains_from_dockers_own() {
        let rule = |chain: &str| {
            message(NEWRULE, &[attribute(1, b"filter\0"), attribute(RULE_CHAIN, format!("{chain}\0").as_bytes())])
        };
        let both = [rule("DOCKER-CT"), rule("DOCKER-FIREWALL-TO"), rule("FORWARD")].concat();
        let named = |name: &str| Some(Touched { chain: Some(name.to_owned()), by: None });
        assert_eq!(about(&both), [None, named("DOCKER-FIREWALL-TO"), named("FORWARD")]);
        assert_eq!(about(&message(DELTABLE, &[attribute(1, b"filter\0")])), [Some(Touched::default())]);
        assert_eq!(about(&message(DELTABLE, &[attribute(1, b"docker-firewall\0")])), [None]);
        assert_eq!(about(&message(NEWRULE, &[])), [Some(Touched::default())]);
        let who = message(NEWGEN, &[attribute(GEN_PROC_PID, &[0, 0, 1, 2]), attribute(GEN_PROC_NAME, b"nft\0")]);
        assert_eq!(changes(&who).next().and_then(|change| writer(&change)).as_deref(), Some("nft (process 258)"));
    }

    #[test]
    fn cut_off_or_nonsense_harms_nobody() {
        let whole = message(NEWCHAIN, &[attribute(CHAIN_NAME, b"FORWARD\0")]);
        for length in 0..whole.len() {
            let _ = about(&whole[..length]);
        }
        for byte in 0..=255 {
            let _ = about(&[byte; 64]);
        }
    }
}
