//! Packets that a rule tells of with NFLOG before the next one drops them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, netdevice, recv, sockopt};

use crate::host::netlink::{GENERAL, acknowledged, attribute, find, message, messages, socket, text};
use crate::ruleset::{LOG_BYTES, LOG_GROUP};

/// `NFNL_SUBSYS_ULOG` of `linux/netfilter/nfnetlink.h` with `NFULNL_MSG_PACKET` and `NFULNL_MSG_CONFIG` of
/// `linux/netfilter/nfnetlink_log.h`.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = (4 << 8) + 1;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST: u16 = 5;
/// `NFULA_CFG_CMD`, `NFULA_CFG_MODE`, `NFULA_CFG_TIMEOUT`, `NFULA_CFG_FLAGS`.
const CFG_CMD: u16 = 1;
const CFG_MODE: u16 = 2;
const CFG_TIMEOUT: u16 = 4;
const CFG_FLAGS: u16 = 6;
/// `NFULNL_CFG_CMD_BIND`, `NFULNL_COPY_PACKET`, `NFULNL_CFG_F_SEQ`.
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const SEQUENCE: u16 = 1;
/// Hundredths of a second that the kernel may gather packets for one message: people watch.
const GATHER: u32 = 10;
/// Bytes that the kernel keeps for us while we are busy.
const ROOM: usize = 1 << 20;
/// `NFULA_IFINDEX_INDEV`, `NFULA_PAYLOAD`, `NFULA_PREFIX`, `NFULA_SEQ`.
const IN_DEVICE: u16 = 4;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
const SEQ: u16 = 12;

/// A place in [`LOG_GROUP`] of this network namespace; there is one.
#[derive(Debug)]
pub struct DropWatch {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// The number that the next packet should have.
    next: Option<u32>,
}

/// One packet that the kernel told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// What the rule says of it.
    pub prefix: String,
    /// The interface it came in by; 0 where there was none.
    pub interface: u32,
    /// Its first bytes, from the network header on.
    pub bytes: Vec<u8>,
    /// Its number.
    sequence: Option<u32>,
}

impl DropWatch {
    /// Takes the place. Fails where the kernel has no such log, and where somebody else reads this group.
    pub fn open() -> io::Result<Self> {
        let socket = socket()?;
        // What does not fit is lost, and counted.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, ROOM);
        configure(&socket, &attribute(CFG_CMD, &[BIND]))?;
        let mode = [&LOG_BYTES.to_be_bytes()[..], &[COPY_PACKET, 0]].concat();
        let how = [
            attribute(CFG_MODE, &mode),
            attribute(CFG_TIMEOUT, &GATHER.to_be_bytes()),
            attribute(CFG_FLAGS, &SEQUENCE.to_be_bytes()),
        ];
        configure(&socket, &how.concat())?;
        Ok(Self { socket, buffer: vec![0; 1 << 16], next: None })
    }

    /// Blocks until there are packets; also answers how many were lost before or between them.
    pub fn wait(&mut self) -> io::Result<(Vec<Dropped>, u64)> {
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let found = packets(self.buffer.get(..length).unwrap_or_default());
                    if !found.is_empty() {
                        let lost = missing(&found, &mut self.next);
                        return Ok((found, lost));
                    }
                }
                // The kernel's buffer ran over; the numbers of what comes next say by how much.
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The name of an interface; empty when it has gone.
    pub fn interface_name(&self, index: u32) -> String {
        if index == 0 { String::new() } else { netdevice::index_to_name(&self.socket, index).unwrap_or_default() }
    }
}

/// Sends one message about the group and waits for the answer.
fn configure(socket: &OwnedFd, attributes: &[u8]) -> io::Result<()> {
    let [high, low] = LOG_GROUP.to_be_bytes();
    let question = message(CONFIG, REQUEST, [0, 0, high, low], attributes);
    // Packets may come before the answer, as soon as the place is taken.
    match acknowledged(socket, &question, &mut [0; 8192])? {
        None => Ok(()),
        Some(refusal) => Err(io::Error::from_raw_os_error(refusal.number)),
    }
}

/// The packets of one datagram.
fn packets(datagram: &[u8]) -> Vec<Dropped> {
    let big = |bytes: &[u8]| Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?));
    let packet = |body: &[u8]| {
        let attributes = body.get(GENERAL..)?;
        Some(Dropped {
            prefix: find(attributes, PREFIX).map(text).unwrap_or_default(),
            interface: find(attributes, IN_DEVICE).and_then(big).unwrap_or_default(),
            bytes: find(attributes, PAYLOAD).unwrap_or_default().to_vec(),
            sequence: find(attributes, SEQ).and_then(big),
        })
    };
    messages(datagram).filter(|(kind, _)| *kind == PACKET).filter_map(|(_, body)| packet(body)).collect()
}

/// How many numbers are missing before and between these; `next` is the one that should come first, and then that after.
fn missing(found: &[Dropped], next: &mut Option<u32>) -> u64 {
    let mut lost = 0;
    for sequence in found.iter().filter_map(|dropped| dropped.sequence) {
        // The kernel counts from 0 again after 2^32.
        lost += u64::from(next.map_or(0, |next| sequence.wrapping_sub(next)));
        *next = Some(sequence.wrapping_add(1));
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::ERROR;

    fn told(sequence: u32) -> Vec<u8> {
        let attributes = [
            attribute(1, &[8, 0, 1, 0]),
            attribute(IN_DEVICE, &[0, 0, 0, 7]),
            attribute(PREFIX, b"docker-firewall-dnat-closed\0"),
            attribute(PAYLOAD, &[0x45, 1, 2, 3, 4]),
            attribute(SEQ, &sequence.to_be_bytes()),
        ];
        message(PACKET, 0, [2, 0, 0x16, 0x65], &attributes.concat())
    }

    #[test]
    fn reads_what_the_kernel_tells() {
        let datagram = [told(3), message(ERROR, 0, [0; 4], &[]), told(9)].concat();
        let found = packets(&datagram);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].prefix.as_str(), found[0].interface), ("docker-firewall-dnat-closed", 7));
        assert_eq!(found[0].bytes, [0x45, 1, 2, 3, 4]);
        let mut next = None;
        assert_eq!((missing(&found, &mut next), next), (5, Some(10)));
        assert_eq!(missing(&packets(&told(10)), &mut next), 0);
        next = Some(u32::MAX);
        assert_eq!(missing(&packets(&told(1)), &mut next), 2);
    }

    #[test]
    fn cut_off_or_nonsense_harms_nobody() {
        let whole = told(3);
        for length in 0..whole.len() {
            assert!(packets(&whole[..length]).is_empty(), "half a message is none");
            let mut cut = whole[..length].to_vec();
            // One that claims to be whole: its attributes end in the middle.
            if length >= 4 {
                cut[..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
            }
            let _ = missing(&packets(&cut), &mut Some(1));
        }
        for byte in 0..=255 {
            let _ = packets(&[byte; 96]);
        }
    }
}
