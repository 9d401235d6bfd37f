//! A session that is held open while something else happens, and a record of when its data came.
//!
//! To show that a withdrawal ends it: take the time, withdraw, wait, and ask what came later than some milliseconds
//! after. A UDP push shows more than a TCP stream does, whose sender stalls by itself once acknowledgements are lost.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Client, within};
use crate::probe::{PATIENCE, Probe, Protocol};
use crate::{Lab, LabError};

/// How often the receiving thread looks whether it should end.
const GLANCE: Duration = Duration::from_millis(50);

/// What came in, each time with its amount.
type Record = Arc<Mutex<Vec<(Instant, u64)>>>;

/// An open session; ends when dropped.
#[derive(Debug)]
pub struct Session {
    record: Record,
    over: Arc<AtomicBool>,
    leave: Arc<AtomicBool>,
    tcp: Option<TcpStream>,
    udp: Option<UdpSocket>,
    thread: Option<JoinHandle<()>>,
}

impl Session {
    /// What was received so far: bytes of TCP, datagrams of UDP.
    pub fn received(&self) -> u64 {
        self.sum(|_| true)
    }

    /// What was received later than this.
    pub fn received_after(&self, moment: Instant) -> u64 {
        self.sum(|at| at > moment)
    }

    /// Waits this long; what was received meanwhile.
    pub fn received_during(&self, interval: Duration) -> u64 {
        let start = Instant::now();
        thread::sleep(interval);
        self.received_after(start)
    }

    /// When something was last received.
    pub fn last(&self) -> Option<Instant> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).last().map(|(at, _)| *at)
    }

    /// Whether the other side closed or reset it.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Sends on a TCP session: the echo of a `tcp` port is then counted as received.
    pub fn say(&self, text: &str) -> io::Result<()> {
        let mut stream = self.tcp.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        stream.write_all(text.as_bytes())
    }

    /// Asks for the push again, as the client of a datagram service does that hears nothing more.
    pub fn ask_again(&self) -> io::Result<()> {
        let socket = self.udp.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        socket.send(b"push\n").map(drop)
    }

    fn sum(&self, counts: impl Fn(Instant) -> bool) -> u64 {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.iter().filter(|(at, _)| counts(*at)).map(|(_, amount)| amount).sum()
    }

    /// Starts the receiving thread; `receive` gives the amount of one receipt, and `None` at the end.
    fn start(tcp: Option<TcpStream>, mut receive: impl FnMut() -> io::Result<Option<u64>> + Send + 'static) -> Self {
        let mut session = Self {
            record: Record::default(),
            over: Arc::default(),
            leave: Arc::default(),
            tcp,
            udp: None,
            thread: None,
        };
        let (record, over, leave) = (session.record.clone(), session.over.clone(), session.leave.clone());
        session.thread = Some(thread::spawn(move || {
            // What came in time must not be read late because the machine is busy. Without the right to it: never mind.
            let _ = rustix::process::nice(-10);
            while !leave.load(Ordering::Relaxed) {
                match receive() {
                    Ok(Some(amount)) => {
                        let at = Instant::now();
                        record.lock().unwrap_or_else(PoisonError::into_inner).push((at, amount));
                    }
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    Ok(None) | Err(_) => {
                        over.store(true, Ordering::Relaxed);
                        break;
                    }
                }
            }
        }));
        session
    }

    /// Waits until something came.
    fn wait_for_first(&self, mut ask: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            ask()?;
            let again = Instant::now() + Duration::from_millis(250);
            while Instant::now() < again {
                if self.last().is_some() {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::Relaxed);
        if let Some(stream) = &self.tcp {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Where this does not arrive any more the pushing ends by itself.
        if let Some(socket) = &self.udp {
            let _ = socket.send(b"stop\n");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Lab {
    /// Opens a TCP session and keeps it: to a `stream` port, whose data then counts, or to a `tcp` port that echoes.
    /// Returns once the peer's line has come.
    pub fn hold_tcp(&self, client: Client, to: IpAddr, port: u16) -> Result<Session, LabError> {
        let what = || format!("tcp session from {client} to {to} port {port}");
        let stream = within(&self.name, client, || {
            Probe::new(client, Protocol::Tcp, to, port).connect().map_err(LabError::io(what()))
        })?;
        tcp_session(stream).map_err(LabError::io(what()))
    }

    /// Asks a `udp` port to push and keeps receiving. Returns once the first datagram has come.
    pub fn hold_udp(&self, client: Client, to: IpAddr, port: u16) -> Result<Session, LabError> {
        let what = || format!("udp push from {to} port {port} to {client}");
        let socket = within(&self.name, client, || {
            Probe::new(client, Protocol::Udp, to, port).datagrams().map_err(LabError::io(what()))
        })?;
        udp_session(socket).map_err(LabError::io(what()))
    }
}

fn tcp_session(stream: TcpStream) -> io::Result<Session> {
    stream.set_read_timeout(Some(GLANCE))?;
    stream.set_nodelay(true)?;
    let mut reader = stream.try_clone()?;
    let mut buffer = vec![0; 65536];
    let session = Session::start(Some(stream), move || {
        let length = reader.read(&mut buffer)?;
        Ok((length > 0).then_some(length as u64))
    });
    session.wait_for_first(|| Ok(()))?;
    Ok(session)
}

fn udp_session(socket: UdpSocket) -> io::Result<Session> {
    socket.set_read_timeout(Some(GLANCE))?;
    let reader = socket.try_clone()?;
    let mut buffer = [0; 2048];
    let mut session = Session::start(None, move || match reader.recv(&mut buffer) {
        // An ICMP refusal is told once and ends nothing: the pushing may go on, which is what is to be counted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(io::ErrorKind::WouldBlock.into()),
        other => other.map(|_| Some(1)),
    });
    session.wait_for_first(|| socket.send(b"push\n").map(drop))?;
    session.udp = Some(socket);
    Ok(session)
}
