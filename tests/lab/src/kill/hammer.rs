//! The stranger, trying without pause: every success is written down with what was going on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Socket, Type};

use crate::{Client, Lab, Protocol};

/// How long one attempt may take: an open port of the next host answers in a fraction of it.
const BRIEF: Duration = Duration::from_millis(3);

/// After so many successes a thread has shown what there is to show. Through docker-proxy each one takes a port towards the
/// container for a minute, and without end there would be none left for a friend.
const ENOUGH: usize = 3000;

/// How often, by what was going on and what succeeded.
pub type Successes = BTreeMap<(String, String), usize>;

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    attempts: AtomicU64,
    now: Mutex<String>,
    successes: Mutex<Successes>,
}

/// Some threads of the stranger's.
pub struct Hammer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Hammer {
    /// Starts one thread a target.
    ///
    /// # Panics
    /// A thread does, without the stranger's namespace.
    pub fn start(lab: &Lab, targets: &[(Protocol, IpAddr, u16)]) -> Self {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for (protocol, to, port) in targets.iter().copied() {
            let shared = shared.clone();
            let place = lab.place(Client::Stranger);
            threads.push(thread::spawn(move || {
                let entered = File::open(&place).is_ok_and(|file| {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).is_ok()
                });
                assert!(entered, "the stranger's namespace is there");
                match protocol {
                    Protocol::Tcp => knock(&shared, (to, port).into()),
                    Protocol::Udp => shout(&shared, (to, port).into()),
                }
            }));
        }
        Self { shared, threads }
    }

    /// Says what is going on from now on.
    pub fn during(&self, what: String) {
        *self.shared.now.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Ends it: the number of attempts, and the successes.
    pub fn end(mut self) -> (u64, Successes) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        let successes = std::mem::take(&mut *self.shared.successes.lock().unwrap_or_else(PoisonError::into_inner));
        (self.shared.attempts.load(Ordering::Relaxed), successes)
    }
}

impl Drop for Hammer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        !self.stop.load(Ordering::Relaxed)
    }

    fn success(&self, what: &str) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.successes.lock().unwrap_or_else(PoisonError::into_inner).entry((now, what.to_owned())).or_default() += 1;
    }
}

/// Connects, again and again. A connection is a success, whether or not something is said on it.
fn knock(shared: &Shared, to: SocketAddr) {
    let mut successes = 0;
    while successes < ENOUGH && shared.goes_on() {
        let Ok(socket) = Socket::new(Domain::for_address(to), Type::STREAM, None) else { continue };
        // A reset instead of a farewell, so that no port of ours stays taken for a minute.
        let _ = socket.set_linger(Some(Duration::ZERO));
        if socket.connect_timeout(&to.into(), BRIEF).is_ok() {
            successes += 1;
            shared.success(&format!("tcp {to}"));
        }
    }
}

/// Sends and listens.
fn shout(shared: &Shared, to: SocketAddr) {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let Ok(socket) = UdpSocket::bind((any, 0)) else { return };
    if socket.connect(to).and_then(|()| socket.set_read_timeout(Some(BRIEF))).is_err() {
        return;
    }
    let mut buffer = [0; 256];
    while shared.goes_on() {
        let _ = socket.send(b"hello\n");
        match socket.recv(&mut buffer) {
            Ok(_) => shared.success(&format!("udp {to}")),
            // What was refused comes back at once: no need to hurry then.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => thread::sleep(BRIEF),
            Err(_) => {}
        }
    }
}
