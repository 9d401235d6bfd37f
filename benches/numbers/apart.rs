//! Client and server as two threads, as two processes are: each sleeps until the other's packet wakes it. Each has its
//! processor and keeps it: moved from one to another in the middle of a run, they would measure the scheduler.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;
use crate::figure::{as_f64, median};
use crate::traffic::{New, Traffic};
use crate::wires::{PATIENCE, Way};

/// So many small packets are sent before the client looks for an answer; two such bursts are on their way at a time.
const BURST: usize = 32;

/// Runs the server's end beside the client's, which is in the client's namespace.
fn both<C: Send, S: Send>(
    traffic: &Traffic<'_>,
    client: impl FnOnce() -> Result<C> + Send,
    server: impl FnOnce() -> Result<S> + Send,
) -> Result<(C, S)> {
    let [ours, theirs] = processors(traffic.wires.way)?;
    thread::scope(|scope| {
        let server = scope.spawn(move || keep_to(theirs).and_then(|()| server()));
        let client = traffic.wires.at_client(move || keep_to(ours).and_then(|()| client()));
        let server = server.join().unwrap_or_else(|_| Err("the server's thread panicked".into()));
        Ok((client?, server?))
    })
}

/// Those of the client and of the server; one where there is no other, or both shall share it.
fn processors(way: Way) -> Result<[usize; 2]> {
    let allowed = sched_getaffinity(None)?;
    let mut allowed = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
    let first = allowed.next().ok_or("no processor may be used")?;
    let other = allowed.next().filter(|_| way != Way::OneProcessor);
    Ok([first, other.unwrap_or(first)])
}

/// Holds this thread on a processor.
fn keep_to(processor: usize) -> Result {
    let mut only = CpuSet::new();
    only.set(processor);
    Ok(sched_setaffinity(None, &only)?)
}

fn summed(times: &[f64], wholes: &[f64]) -> New {
    New { latency: median(times), rate: 1.0 / median(wholes) }
}

/// UDP, every flow from a port of its own: there and back.
pub(crate) fn udp_new(traffic: &Traffic<'_>, count: usize) -> Result<New> {
    let client = || {
        let (mut times, mut wholes) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut buffer = [0; 64];
        for _ in 0..count {
            let begun = Instant::now();
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(traffic.target)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let sent = Instant::now();
            socket.send(&[1; 16])?;
            socket.recv(&mut buffer)?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
            drop(socket);
            wholes.push(begun.elapsed().as_secs_f64());
        }
        Ok(summed(&times, &wholes))
    };
    let server = || {
        let mut buffer = [0; 64];
        for _ in 0..count {
            let (length, peer) = traffic.udp.recv_from(&mut buffer)?;
            traffic.udp.send_to(&buffer[..length], peer)?;
        }
        Ok(())
    };
    both(traffic, client, server).map(|(new, ())| new)
}

/// TCP, every connection from a port of its own: until the server's first byte has come.
pub(crate) fn tcp_new(traffic: &Traffic<'_>, count: usize) -> Result<New> {
    let client = || {
        let (mut times, mut wholes) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let sent = Instant::now();
            let mut stream = TcpStream::connect_timeout(&traffic.target, PATIENCE)?;
            stream.read_exact(&mut [0])?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
            // A reset leaves nothing to wait for, so ports do not run out.
            set_socket_linger(&stream, Some(Duration::ZERO))?;
            drop(stream);
            wholes.push(sent.elapsed().as_secs_f64());
        }
        Ok(summed(&times, &wholes))
    };
    let server = || {
        // Kept until its client has hung up, so that no end has to wait.
        let mut last = None;
        for _ in 0..count {
            let (mut stream, _) = traffic.tcp.accept()?;
            stream.write_all(&[1])?;
            last = Some(stream);
        }
        drop(last);
        Ok(())
    };
    both(traffic, client, server).map(|(new, ())| new)
}

/// One stream, in megabytes a second, as the server receives it.
pub(crate) fn stream(traffic: &Traffic<'_>, during: Duration) -> Result<f64> {
    let client = || {
        let mut stream = TcpStream::connect_timeout(&traffic.target, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (begun, block) = (Instant::now(), vec![0; 1 << 16]);
        while begun.elapsed() < during {
            stream.write_all(&block)?;
        }
        Ok(())
    };
    let server = || {
        let (mut stream, _) = traffic.tcp.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = vec![0; 1 << 18];
        let mut bytes = stream.read(&mut buffer)?;
        // Not piece by piece: what waited in the socket's buffer is read faster than it came.
        let start = Instant::now();
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(as_f64(bytes) / 1e6 / start.elapsed().as_secs_f64()),
                length => bytes += length,
            }
        }
    };
    both(traffic, client, server).map(|((), rate)| rate)
}

/// Small packets of one flow, a second: bursts that the server answers with one packet each.
pub(crate) fn small(traffic: &Traffic<'_>, during: Duration) -> Result<f64> {
    let client = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(traffic.target)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let burst = || (0..BURST).try_for_each(|_| socket.send(&[1; 18]).map(drop));
        let (begun, mut rates) = (Instant::now(), Vec::new());
        burst()?;
        let mut start = Instant::now();
        while begun.elapsed() < during {
            burst()?;
            socket.recv(&mut [0; 64])?;
            rates.push(as_f64(BURST + 1) / start.elapsed().as_secs_f64());
            start = Instant::now();
        }
        socket.recv(&mut [0; 64])?;
        // The last word.
        socket.send(&[])?;
        Ok(median(&rates))
    };
    let server = || {
        let mut buffer = [0; 64];
        let mut count = 0;
        loop {
            let (length, peer) = traffic.udp.recv_from(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            count += 1;
            if count % BURST == 0 {
                traffic.udp.send_to(&[3; 18], peer)?;
            }
        }
    };
    both(traffic, client, server).map(|(rate, ())| rate)
}
