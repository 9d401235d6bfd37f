//! Packets through the wires: new connections, and an established one. Over the bare way one thread plays both ends; over a
//! published port `apart` does.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::Result;
use crate::apart;
use crate::figure::{as_f64, median};
use crate::wires::{PATIENCE, Way, Wires};

/// How many bytes of a stream are timed at once: short beside a slice of processor time, so that the median is of pieces
/// that nobody interrupted.
const PIECE: usize = 1 << 20;

/// The ends of one way through a router.
pub(crate) struct Traffic<'a> {
    pub(crate) wires: &'a Wires,
    pub(crate) tcp: TcpListener,
    pub(crate) udp: UdpSocket,
    /// Where the client calls.
    pub(crate) target: SocketAddr,
}

/// What new connections cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    /// The median, in microseconds.
    pub(crate) latency: f64,
    /// A second, with making and closing the socket.
    pub(crate) rate: f64,
}

impl<'a> Traffic<'a> {
    pub(crate) fn new(wires: &'a Wires, target: Ipv4Addr) -> Result<Self> {
        let (tcp, udp) = wires.services(target)?;
        Ok(Self { wires, tcp, udp, target: wires.called(target) })
    }

    /// UDP, every flow from a port of its own: there and back.
    pub(crate) fn udp_new(&self, count: usize) -> Result<New> {
        self.wires.flush()?;
        if self.wires.way != Way::Bare {
            return apart::udp_new(self, count);
        }
        self.wires.at_client(|| {
            let (mut times, mut wholes) = (Vec::with_capacity(count), Vec::with_capacity(count));
            let mut buffer = [0; 64];
            for _ in 0..count {
                let begun = Instant::now();
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.connect(self.target)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                let sent = Instant::now();
                socket.send(&[1; 16])?;
                let (length, peer) = self.udp.recv_from(&mut buffer)?;
                self.udp.send_to(&buffer[..length], peer)?;
                socket.recv(&mut buffer)?;
                times.push(sent.elapsed().as_secs_f64() * 1e6);
                drop(socket);
                wholes.push(begun.elapsed().as_secs_f64());
            }
            Ok(New { latency: median(&times), rate: 1.0 / median(&wholes) })
        })
    }

    /// TCP, every connection from a port of its own: until `connect` returns.
    pub(crate) fn tcp_new(&self, count: usize) -> Result<New> {
        self.wires.flush()?;
        if self.wires.way != Way::Bare {
            return apart::tcp_new(self, count);
        }
        self.wires.at_client(|| {
            let (mut times, mut wholes) = (Vec::with_capacity(count), Vec::with_capacity(count));
            for _ in 0..count {
                let sent = Instant::now();
                let stream = TcpStream::connect_timeout(&self.target, PATIENCE)?;
                times.push(sent.elapsed().as_secs_f64() * 1e6);
                drop(self.tcp.accept()?);
                // A reset leaves nothing to wait for, so ports do not run out.
                set_socket_linger(&stream, Some(Duration::ZERO))?;
                drop(stream);
                wholes.push(sent.elapsed().as_secs_f64());
            }
            Ok(New { latency: median(&times), rate: 1.0 / median(&wholes) })
        })
    }

    /// One stream, in megabytes a second.
    pub(crate) fn stream(&self, during: Duration) -> Result<f64> {
        if self.wires.way != Way::Bare {
            return apart::stream(self, during);
        }
        let mut client = self.wires.at_client(|| Ok(TcpStream::connect_timeout(&self.target, PATIENCE)?))?;
        let (mut server, _) = self.tcp.accept()?;
        client.set_nonblocking(true)?;
        server.set_nonblocking(true)?;
        let block = vec![0; 1 << 16];
        let mut buffer = vec![0; 1 << 18];
        let (begun, mut rates) = (Instant::now(), Vec::new());
        while begun.elapsed() < during {
            let (start, mut bytes) = (Instant::now(), 0);
            while bytes < PIECE {
                match client.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
                match server.read(&mut buffer) {
                    Ok(length) => bytes += length,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
                if start.elapsed() > PATIENCE {
                    return Err("the stream stands still".into());
                }
            }
            rates.push(as_f64(bytes) / 1e6 / start.elapsed().as_secs_f64());
        }
        Ok(median(&rates))
    }

    /// Small packets of one flow, a second, those that arrive: two there for one back.
    pub(crate) fn small(&self, during: Duration) -> Result<f64> {
        if self.wires.way != Way::Bare {
            return apart::small(self, during);
        }
        self.wires.at_client(|| {
            let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            client.connect(self.target)?;
            client.set_read_timeout(Some(PATIENCE))?;
            let (begun, mut rates) = (Instant::now(), Vec::new());
            let mut buffer = [0; 64];
            while begun.elapsed() < during {
                let start = Instant::now();
                for _ in 0..16 {
                    client.send(&[1; 18])?;
                    client.send(&[2; 18])?;
                    self.udp.recv(&mut buffer)?;
                    let (_, peer) = self.udp.recv_from(&mut buffer)?;
                    self.udp.send_to(&[3; 18], peer)?;
                    client.recv(&mut buffer)?;
                }
                rates.push(48.0 / start.elapsed().as_secs_f64());
            }
            Ok(median(&rates))
        })
    }

    /// Whether a datagram from `source`, an address of the client, arrives within the time.
    pub(crate) fn arrives(&self, source: Ipv4Addr, within: Duration) -> Result<bool> {
        self.wires.at_client(|| {
            let client = UdpSocket::bind((source, 0))?;
            client.connect(self.target)?;
            client.send(&[1; 18])?;
            self.udp.set_read_timeout(Some(within))?;
            let came = self.udp.recv_from(&mut [0; 64]).is_ok();
            self.udp.set_read_timeout(Some(PATIENCE))?;
            Ok(came)
        })
    }
}
