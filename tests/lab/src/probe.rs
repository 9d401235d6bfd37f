//! One attempt to reach a port, from a client's network namespace, and what came of it.
//!
//! Threads, not processes: a thread enters the namespace by itself, so that a table of some hundred cells takes little
//! more than the time of its slowest cell.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::answer::Answer;
use crate::client::{Client, enter_at};
use crate::{Lab, LabError};

/// How long a probe waits before it calls the other side silent: long enough for the kernel to repeat a lost SYN,
/// which it does after one second.
pub const PATIENCE: Duration = Duration::from_millis(1500);

const RESEND: Duration = Duration::from_millis(250);
/// Probes under way at a time: they do little but wait.
const AT_ONCE: usize = 256;

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Connects and reads the peer's line.
    Tcp,
    /// Sends a datagram, again and again, until the peer's line comes.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl FromStr for Protocol {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(LabError::Unknown { what: "protocol", name: text.to_owned(), known: "tcp, udp" }),
        }
    }
}

/// What a datagram says. The peer remembers the words, so that one which came and was not answered is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Say {
    /// A greeting with this word in it.
    Hello(u64),
    /// The question whether such a greeting ever came; answered `yes` or `no`.
    Heard(u64),
}

impl fmt::Display for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(word) => write!(f, "hello {word}"),
            Self::Heard(word) => write!(f, "heard {word}"),
        }
    }
}

/// One attempt to reach a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Who tries.
    pub client: Client,
    /// What it speaks.
    pub protocol: Protocol,
    /// The address it tries.
    pub to: IpAddr,
    /// The port it tries.
    pub port: u16,
    /// The address to try from, where the client has several.
    pub from: Option<IpAddr>,
    /// How long to wait.
    pub patience: Duration,
    /// What it says by UDP.
    pub say: Say,
}

impl Probe {
    /// A probe of usual patience.
    pub fn new(client: Client, protocol: Protocol, to: IpAddr, port: u16) -> Self {
        Self { client, protocol, to, port, from: None, patience: PATIENCE, say: Say::Hello(0) }
    }

    /// From one address of several.
    #[must_use]
    pub fn from(mut self, address: IpAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// With other words.
    #[must_use]
    pub fn say(mut self, say: Say) -> Self {
        self.say = say;
        self
    }

    /// With another patience.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A socket of this probe's kind, not yet connected. The calling thread must be in the client's namespace.
    fn socket(&self) -> io::Result<(Socket, SocketAddr)> {
        let to = scoped(self.to, self.port)?;
        let kind = if self.protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let socket = Socket::new(Domain::for_address(to), kind, None)?;
        if let Some(from) = self.from {
            socket.bind(&scoped(from, 0)?.into())?;
        }
        Ok((socket, to))
    }

    /// Connects as TCP does. The calling thread must be in the client's namespace.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let (socket, to) = self.socket()?;
        socket.connect_timeout(&to.into(), self.patience)?;
        Ok(socket.into())
    }

    /// A UDP socket that hears of ICMP errors. The calling thread must be in the client's namespace.
    pub(crate) fn datagrams(&self) -> io::Result<UdpSocket> {
        let (socket, to) = self.socket()?;
        socket.connect(&to.into())?;
        Ok(socket.into())
    }

    fn tcp(&self) -> Answer {
        let connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) => return Answer::of(&error),
        };
        let mut line = String::new();
        let read = connection
            .set_read_timeout(Some(self.patience))
            .and_then(|()| BufReader::new(connection).read_line(&mut line));
        // Without its end a line may be half a line, and half an address.
        if read.is_ok() && line.ends_with('\n') { Answer::Answered(line.trim_end().to_owned()) } else { Answer::Mute }
    }

    fn udp(&self) -> io::Result<Answer> {
        let socket = self.datagrams()?;
        socket.set_read_timeout(Some(RESEND.min(self.patience)))?;
        let end = Instant::now() + self.patience;
        let mut buffer = [0; 2048];
        while Instant::now() < end {
            socket.send(format!("{}\n", self.say).as_bytes())?;
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    return Ok(Answer::Answered(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::Silent)
    }

    fn run(&self, place: &Path) -> Result<Answer, LabError> {
        enter_at(place)?;
        Ok(match self.protocol {
            Protocol::Tcp => self.tcp(),
            Protocol::Udp => self.udp().unwrap_or_else(|error| Answer::of(&error)),
        })
    }
}

/// A link-local address means nothing without a link: the client's only one, or the host's external one.
fn scoped(address: IpAddr, port: u16) -> io::Result<SocketAddr> {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            let any = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
            let link = ["eth0", "br-ext"]
                .into_iter()
                .find_map(|name| rustix::net::netdevice::name_to_index(&any, name).ok())
                .ok_or(io::ErrorKind::NotFound)?;
            Ok(SocketAddrV6::new(v6, port, 0, link).into())
        }
        _ => Ok((address, port).into()),
    }
}

impl Lab {
    /// Tries a TCP port.
    pub fn tcp(&self, client: Client, to: IpAddr, port: u16) -> Result<Answer, LabError> {
        self.probe(&Probe::new(client, Protocol::Tcp, to, port))
    }

    /// Tries a UDP port.
    pub fn udp(&self, client: Client, to: IpAddr, port: u16) -> Result<Answer, LabError> {
        self.probe(&Probe::new(client, Protocol::Udp, to, port))
    }

    /// Runs one probe.
    pub fn probe(&self, probe: &Probe) -> Result<Answer, LabError> {
        let mut answers = self.probe_all(std::slice::from_ref(probe))?;
        answers.pop().ok_or_else(|| LabError::NoLab(self.name.clone()))
    }

    /// Runs many probes side by side; the answers come in the order of the probes.
    pub fn probe_all(&self, probes: &[Probe]) -> Result<Vec<Answer>, LabError> {
        let placed: Vec<_> = probes.iter().map(|probe| (probe.client.place(&self.name), *probe)).collect();
        self.probe_from(&placed)
    }

    /// Runs many probes side by side, each from the network namespace beside it, whatever client it names; see
    /// [`Lab::inside`].
    pub fn probe_from(&self, probes: &[(PathBuf, Probe)]) -> Result<Vec<Answer>, LabError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut answers = Vec::new();
            while let Some((number, (place, probe))) = {
                let number = next.fetch_add(1, Ordering::Relaxed);
                probes.get(number).map(|probe| (number, probe))
            } {
                answers.push((number, probe.run(place)?));
            }
            Ok::<_, LabError>(answers)
        };
        let mut answers = thread::scope(|scope| {
            let workers: Vec<_> = (0..probes.len().min(AT_ONCE)).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::with_capacity(probes.len());
            for worker in workers {
                all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok::<_, LabError>(all)
        })?;
        answers.sort_by_key(|(number, _)| *number);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// The link-local address of a client, or of the host on the wire between them.
    pub fn link_local(&self, client: Client) -> Result<IpAddr, LabError> {
        let device = if client == Client::Host { "br-ext" } else { "eth0" };
        let words = ["ip", "-6", "-brief", "addr", "show", "dev", device, "scope", "link"];
        let text = self.exec_as(client, &words)?.require("ip addr")?;
        text.split_whitespace().find_map(|word| word.split_once('/')?.0.parse().ok()).ok_or(LabError::Unknown {
            what: "link-local address",
            name: device.to_owned(),
            known: "",
        })
    }
}
