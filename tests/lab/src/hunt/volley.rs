//! Attempts without pause and without waiting: each port is tried every so often, whatever became of the last attempt.
//!
//! Servers speak first (TCP) or answer a greeting (UDP), so one `recv` that does not block tells all there is to know.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Protocol;

/// How often attempts under way are looked at, which is how exactly the time of an answer is known.
pub(super) const GLANCE: Duration = Duration::from_millis(3);

/// A port that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub protocol: Protocol,
    pub to: SocketAddr,
    /// Datagrams of one socket, and so of one entry in the connection table, instead of a new one each time.
    pub standing: bool,
    /// Whose answer is expected; empty when nobody's in particular.
    pub peer: &'static str,
}

impl Target {
    pub(super) fn new(protocol: Protocol, to: IpAddr, port: u16) -> Self {
        Self { protocol, to: (to, port).into(), standing: false, peer: "" }
    }

    /// For a report: `tcp 203.0.113.1:8080`.
    pub(super) fn label(&self) -> String {
        format!("{} {}{}", self.protocol, self.to, if self.standing { " (one socket)" } else { "" })
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The name of the peer that answered.
    Answered(String),
    /// A reset or an ICMP error.
    Refused,
    /// Nothing.
    Silent,
    /// Somebody took the connection and the greeting, and said nothing: docker-proxy, to whom the container did not open.
    Mute,
}

struct Attempt {
    target: usize,
    begun: Instant,
    socket: Socket,
    /// The greeting has gone: for TCP that means that there is a connection.
    greeted: bool,
}

/// What one client tries, and the attempts under way.
pub(super) struct Volley {
    targets: Vec<Target>,
    /// Between two attempts at one port.
    pace: Duration,
    /// After this an attempt that nobody took is over.
    patience: Duration,
    /// After this a connection on which nothing is said is over.
    hold: Duration,
    /// How greetings begin.
    word: &'static str,
    count: u64,
    due: Vec<Instant>,
    under_way: Vec<Attempt>,
    standing: Vec<Option<Socket>>,
}

impl Volley {
    pub(super) fn new(targets: Vec<Target>, word: &'static str, times: [Duration; 3]) -> Self {
        let [pace, patience, hold] = times;
        let now = Instant::now();
        let number = u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX);
        // Spread over the pace, so that the machine is never asked for everything at once.
        let due = (0..number).map(|at| now + pace * at / number).collect();
        let standing = targets.iter().map(|_| None).collect();
        Self { targets, pace, patience, hold, word, count: 0, due, under_way: Vec::new(), standing }
    }

    /// Begins what is due and looks at what is under way; tells of each that is over: the target, its beginning, what
    /// came of it.
    pub(super) fn round(&mut self, over: &mut dyn FnMut(&Target, Instant, Outcome)) {
        let now = Instant::now();
        for at in 0..self.targets.len() {
            if self.due[at] > now {
                continue;
            }
            // Lost time is not made up for: that would be a burst.
            self.due[at] = (self.due[at] + self.pace).max(now);
            self.count += 1;
            if self.targets[at].standing {
                self.send_again(at);
                over(&self.targets[at], now, Outcome::Silent);
                continue;
            }
            match open(&self.targets[at]) {
                Some(socket) => {
                    self.under_way.push(Attempt { target: at, begun: Instant::now(), socket, greeted: false });
                }
                None => over(&self.targets[at], now, Outcome::Refused),
            }
        }
        self.listen(over);
        let (word, count) = (self.word, self.count);
        let (patience, hold, targets) = (self.patience, self.hold, &self.targets);
        self.under_way.retain_mut(|attempt| {
            let target = &targets[attempt.target];
            let limit = if attempt.greeted && target.protocol == Protocol::Tcp { hold } else { patience };
            let Some(outcome) = attempt.look(target, word, count, limit) else { return true };
            over(target, attempt.begun, outcome);
            false
        });
    }

    fn send_again(&mut self, at: usize) {
        if self.standing[at].is_none() {
            self.standing[at] = open(&self.targets[at]);
        }
        if let Some(socket) = &self.standing[at] {
            // The error of an earlier datagram comes up here; it ends nothing.
            let _ = socket.send(format!("hello {}-{}\n", self.word, self.count).as_bytes());
        }
    }

    /// What came on the standing sockets; each datagram counts as an attempt of that moment.
    fn listen(&self, over: &mut dyn FnMut(&Target, Instant, Outcome)) {
        for (target, socket) in self.targets.iter().zip(&self.standing) {
            while let Some(Outcome::Answered(name)) = socket.as_ref().and_then(heard) {
                over(target, Instant::now(), Outcome::Answered(name));
            }
        }
    }
}

impl Attempt {
    /// `None` while it goes on.
    fn look(&mut self, target: &Target, word: &str, count: u64, limit: Duration) -> Option<Outcome> {
        if !self.greeted {
            self.greeted = self.socket.send(format!("hello {word}-{count}\n").as_bytes()).is_ok();
        }
        heard(&self.socket).or_else(|| {
            let taken = self.greeted && target.protocol == Protocol::Tcp;
            (self.begun.elapsed() >= limit).then_some(if taken { Outcome::Mute } else { Outcome::Silent })
        })
    }
}

fn open(target: &Target) -> Option<Socket> {
    let kind = if target.protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
    let socket = Socket::new(Domain::for_address(target.to), kind, None).ok()?;
    socket.set_nonblocking(true).ok()?;
    if target.protocol == Protocol::Tcp {
        // A reset instead of a farewell, so that no port of ours stays taken for a minute.
        socket.set_linger(Some(Duration::ZERO)).ok()?;
    }
    match socket.connect(&target.to.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => None,
        _ => Some(socket),
    }
}

/// What a socket has to tell; `None` for nothing yet.
fn heard(socket: &Socket) -> Option<Outcome> {
    let mut buffer = [0_u8; 128];
    let mut reader = socket;
    match reader.read(&mut buffer) {
        Ok(0) => Some(Outcome::Refused),
        Ok(length) => {
            let text = String::from_utf8_lossy(&buffer[..length]);
            let name = text.split(' ').nth(1).unwrap_or_default();
            Some(Outcome::Answered(name.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(_) => Some(Outcome::Refused),
    }
}
