//! The wire itself: packets put on it as they are, and everything that a namespace sees of it.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::client::enter_at;
use crate::packet::Packet;
use crate::{Lab, LabError};

/// How often the listening thread looks whether it should end.
const GLANCE: Duration = Duration::from_millis(20);
/// `IPPROTO_RAW`: the caller brings the IP header.
const WITH_HEADER: i32 = 255;
/// `ETH_P_ALL`.
const EVERYTHING: u16 = 3;

/// Listens to all packets of a namespace, before any of its rules; ends when dropped.
#[derive(Debug)]
pub struct Tap {
    seen: Arc<Mutex<Vec<Packet>>>,
    leave: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// All packets since the last call, after those still on their way have had the time to come.
    pub fn take(&self) -> Vec<Packet> {
        thread::sleep(Duration::from_millis(200));
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of them with this source.
    pub fn take_from(&self, source: IpAddr) -> Vec<Packet> {
        self.take().into_iter().filter(|packet| packet.from == source).collect()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Lab {
    /// Does something in a network namespace, on a thread made for it; see [`Lab::place`] and [`Lab::inside`]. A socket
    /// opened there stays there.
    pub fn within<T: Send>(&self, place: &Path, act: impl FnOnce() -> io::Result<T> + Send) -> Result<T, LabError> {
        let what = || place.display().to_string();
        thread::scope(|scope| {
            scope
                .spawn(|| enter_at(place).and_then(|()| act().map_err(LabError::io(what()))))
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sends packets as they are from a namespace.
    pub fn inject(&self, place: &Path, packets: &[Packet]) -> Result<(), LabError> {
        self.within(place, || {
            for packet in packets {
                let to = SocketAddr::new(packet.to, 0);
                let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::from(WITH_HEADER)))?;
                socket.send_to(&packet.bytes(), &to.into())?;
            }
            Ok(())
        })
    }

    /// Listens in a namespace from now on.
    pub fn tap(&self, place: &Path) -> Result<Tap, LabError> {
        let socket = self.within(place, || {
            let protocol = Protocol::from(i32::from(EVERYTHING.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
            socket.set_read_timeout(Some(GLANCE))?;
            Ok(socket)
        })?;
        let (seen, leave): (Arc<Mutex<Vec<Packet>>>, Arc<AtomicBool>) = Default::default();
        let (record, ended) = (Arc::clone(&seen), Arc::clone(&leave));
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while !ended.load(Ordering::Relaxed) {
                let Ok(length) = (&socket).read(&mut buffer) else { continue };
                if let Some(packet) = Packet::parse(&buffer[..length]) {
                    record.lock().unwrap_or_else(PoisonError::into_inner).push(packet);
                }
            }
        });
        Ok(Tap { seen, leave, thread: Some(thread) })
    }
}
