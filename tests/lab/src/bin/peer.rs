//! The other end of every probe: a server and a client in one static program.
//!
//! It stands on `std` alone, because the lab compiles this one file with `rustc` and puts it into an image that holds
//! no library. The lines it says (`peer NAME from ADDRESS`) tell a test who answered and whom the answerer saw.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: peer serve [name=NAME] [record=FILE] [tcp=PORT,..] [stream=PORT,..] [udp=PORT,..]
       peer connect ADDRESS PORT [TIMEOUT_MS]
       peer udp ADDRESS PORT [TIMEOUT_MS]
serve    tcp: says who it is, then echoes; stream: says who it is, then pushes data without end;
         udp: answers every datagram, `heard WORD` with whether `hello WORD` ever came, and the datagram `push` with numbered ones, four milliseconds apart, for 20 s or
         until the datagram `stop`; a datagram that begins with `echo ` comes back as it is;
         record: a line `up NAME NANOSECONDS` in the file when all is bound, and `heard NAME WORD NANOSECONDS` for each
         WORD that begins with `stranger` and came as `hello WORD`, by tcp or udp
connect, udp    print the peer's line; exit 1 refused, 2 silent, 3 unreachable, 4 connected but mute";

/// How long a `push` lasts, and how far apart its datagrams are.
const PUSH: Duration = Duration::from_secs(20);
/// Slow enough for some dozens of them at a time on a small machine.
const PACE: Duration = Duration::from_millis(4);
const PATIENCE: Duration = Duration::from_millis(1500);
const RESEND: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", options @ ..] => match serve(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => usage_error(&message),
        },
        ["connect", rest @ ..] => client(rest, connect),
        ["udp", rest @ ..] => client(rest, datagram),
        _ => usage_error(USAGE),
    }
}

fn usage_error(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(125)
}

// --- the server ---

fn serve(options: &[&str]) -> Result<(), String> {
    let mut name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let mut file = None;
    let mut services: Vec<(&str, u16)> = Vec::new();
    for option in options {
        let (key, value) = option.split_once('=').ok_or_else(|| format!("{option}: not KEY=VALUE\n{USAGE}"))?;
        match key {
            "name" => value.clone_into(&mut name),
            "record" => file = Some(PathBuf::from(value)),
            "tcp" | "stream" | "udp" => {
                for port in value.split(',') {
                    services.push((key, port.parse().map_err(|_| format!("{port}: not a port"))?));
                }
            }
            _ => return Err(format!("{key}: unknown\n{USAGE}")),
        }
    }
    if services.is_empty() {
        services = vec![("tcp", 80), ("stream", 81), ("udp", 53)];
    }
    let host = Host { name, file };
    let mut threads = Vec::new();
    for (kind, port) in services {
        let host = host.clone();
        threads.push(if kind == "udp" {
            let socket = bound(UdpSocket::bind, port)?;
            thread::spawn(move || answer_datagrams(&socket, &host))
        } else {
            let listener = bound(TcpListener::bind, port)?;
            let streams = kind == "stream";
            thread::spawn(move || accept(&listener, &host, streams))
        });
    }
    // Everything is bound. A process's name is seen from outside, and unlike a line in a container's log it belongs to
    // this run of it and to no earlier one.
    let _ = std::fs::write("/proc/self/comm", "peer-ready");
    host.record("up", "");
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

/// Who serves, and where it writes down what a caller may never get to know.
#[derive(Clone)]
struct Host {
    name: String,
    file: Option<PathBuf>,
}

impl Host {
    fn greeting(&self, from: SocketAddr) -> String {
        format!("peer {} from {}\n", self.name, from.ip().to_canonical())
    }

    /// What came as a greeting: an answer may have been lost, and then only this tells of it.
    fn hear(&self, words: &[u8]) {
        let Some(word) = words.strip_prefix(b"hello ") else { return };
        if word.starts_with(b"stranger") {
            self.record("heard", &format!(" {}", String::from_utf8_lossy(word.trim_ascii())));
        }
    }

    fn record(&self, what: &str, word: &str) {
        let Some(path) = &self.file else { return };
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        // One write a line, at the end of the file: several peers share it.
        let line = format!("{what} {}{word} {nanoseconds}\n", self.name);
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
        }
    }
}

/// Both families on one socket, or IPv4 alone where there is no IPv6.
fn bound<T>(bind: impl Fn(SocketAddr) -> io::Result<T>, port: u16) -> Result<T, String> {
    bind((Ipv6Addr::UNSPECIFIED, port).into())
        .or_else(|_| bind((Ipv4Addr::UNSPECIFIED, port).into()))
        .map_err(|error| format!("port {port}: {error}"))
}

fn accept(listener: &TcpListener, host: &Host, streams: bool) {
    loop {
        let Ok((connection, from)) = listener.accept() else { continue };
        let host = host.clone();
        let hello = host.greeting(from);
        thread::spawn(move || {
            // The client may go at any time; that ends its thread and is nobody's fault.
            let _ = if streams { stream(connection, &hello) } else { echo(connection, &hello, &host) };
        });
    }
}

fn echo(mut connection: TcpStream, hello: &str, host: &Host) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.write_all(hello.as_bytes())?;
    let mut buffer = [0; 4096];
    loop {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            length => {
                host.hear(&buffer[..length]);
                connection.write_all(&buffer[..length])?;
            }
        }
    }
}

fn stream(mut connection: TcpStream, hello: &str) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.write_all(hello.as_bytes())?;
    let block = [b'.'; 1024];
    loop {
        connection.write_all(&block)?;
        thread::sleep(PACE);
    }
}

fn answer_datagrams(socket: &UdpSocket, host: &Host) {
    // As long as a datagram can be: some come in fragments.
    let mut buffer = vec![0; 65536];
    let mut heard: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut pushing: Vec<(SocketAddr, Arc<AtomicBool>)> = Vec::new();
    loop {
        // An ICMP error about an earlier answer comes up here: the service goes on.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        match buffer[..length].trim_ascii() {
            b"push" => {
                let Ok(own) = socket.try_clone() else { continue };
                let stop = Arc::new(AtomicBool::new(false));
                pushing.push((from, stop.clone()));
                thread::spawn(move || push(&own, from, &stop));
            }
            b"stop" => pushing.retain(|(to, stop)| {
                stop.fetch_or(*to == from, Ordering::Relaxed);
                *to != from
            }),
            words if words.starts_with(b"echo ") => {
                let _ = socket.send_to(&buffer[..length], from);
            }
            words if words.starts_with(b"heard ") => {
                let answer: &[u8] = if heard.contains(&words[6..]) { b"yes" } else { b"no" };
                let _ = socket.send_to(answer, from);
            }
            words => {
                host.hear(words);
                heard.extend(words.strip_prefix(b"hello ").map(<[u8]>::to_vec));
                let _ = socket.send_to(host.greeting(from).as_bytes(), from);
            }
        }
    }
}

fn push(socket: &UdpSocket, to: SocketAddr, stop: &AtomicBool) {
    let end = Instant::now() + PUSH;
    let mut number = 0_u64;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        // Errors are passed over: what a firewall refuses must be tried again and again, that is what the test counts.
        let _ = socket.send_to(format!("{number}\n").as_bytes(), to);
        number += 1;
        thread::sleep(PACE);
    }
}

// --- the client ---

/// What came of one attempt; the numbers are the exit codes.
enum Outcome {
    Answered(String),
    Refused,
    Silent,
    Unreachable,
    Mute,
}

impl From<io::Error> for Outcome {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent,
            _ => Self::Unreachable,
        }
    }
}

fn client(words: &[&str], attempt: fn(SocketAddr, Duration) -> Outcome) -> ExitCode {
    let parsed = match words {
        [address, port] => address_of(address, port).map(|to| (to, PATIENCE)),
        [address, port, timeout] => address_of(address, port)
            .and_then(|to| Some((to, Duration::from_millis(timeout.parse().ok().filter(|ms| *ms > 0)?)))),
        _ => None,
    };
    let Some((to, patience)) = parsed else { return usage_error(USAGE) };
    let (text, code) = match attempt(to, patience) {
        Outcome::Answered(line) => (line, 0),
        Outcome::Refused => ("refused".to_owned(), 1),
        Outcome::Silent => ("silent".to_owned(), 2),
        Outcome::Unreachable => ("unreachable".to_owned(), 3),
        Outcome::Mute => ("mute".to_owned(), 4),
    };
    println!("{text}");
    ExitCode::from(code)
}

fn address_of(address: &str, port: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port.parse().ok()?))
}

fn connect(to: SocketAddr, patience: Duration) -> Outcome {
    let connection = match TcpStream::connect_timeout(&to, patience) {
        Ok(connection) => connection,
        Err(error) => return error.into(),
    };
    if connection.set_read_timeout(Some(patience)).is_err() {
        return Outcome::Unreachable;
    }
    let mut line = String::new();
    match BufReader::new(connection).read_line(&mut line) {
        Ok(length) if length > 0 => Outcome::Answered(line.trim_end().to_owned()),
        _ => Outcome::Mute,
    }
}

fn datagram(to: SocketAddr, patience: Duration) -> Outcome {
    exchange(to, patience).unwrap_or_else(Outcome::from)
}

fn exchange(to: SocketAddr, patience: Duration) -> io::Result<Outcome> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(RESEND))?;
    let end = Instant::now() + patience;
    let mut buffer = [0; 2048];
    while Instant::now() < end {
        socket.send(b"hello\n")?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                return Ok(Outcome::Answered(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Silent)
}
