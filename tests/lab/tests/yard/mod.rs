//! A yard: a network of both families whose containers can also be reached directly, as far as the engine permits that
//! at all. `web` lives there.

// Not every file of tests uses all of it.
#![allow(dead_code)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{Client, Engine, Lab};

use crate::desk::{Desk, Result};

/// `allow` with the friend's addresses and nobody else's.
pub const FRIENDS: &str = "203.0.113.10,fd00:1::10";

/// Ports of the host: the echo, the stream and the datagrams of `web`.
pub const PUBLISHED: [&str; 6] = ["-p", "8080:80", "-p", "8081:81", "-p", "5353:53/udp"];

/// A way to `web`: an address and what its ports are there.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub to: IpAddr,
    pub echo: u16,
    pub udp: u16,
    /// To the container's own address instead of the host's.
    pub direct: bool,
}

pub struct Yard<'a> {
    pub desk: &'a Desk,
    pub lab: &'a Lab,
    /// `web`'s network namespace.
    pub web: PathBuf,
    pub v4: IpAddr,
    pub v6: IpAddr,
}

impl<'a> Yard<'a> {
    /// Makes the network and `web` in it.
    pub fn make(desk: &'a Desk) -> Result<Self> {
        let lab = &desk.lab;
        let mut words = vec!["network", "create", "--ipv6", "--subnet", "172.28.0.0/24", "--subnet", "fd00:28::/64"];
        // 28 drops what comes to a container's own address in `raw` unless it is told otherwise.
        if lab.spec().engine >= Engine::V28_5 {
            words.extend(["-o", "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected"]);
            words.extend(["-o", "com.docker.network.bridge.gateway_mode_ipv6=nat-unprotected"]);
        }
        words.push("yard");
        lab.docker(&words)?.require("docker network create")?;
        // Before 27 it is this policy alone, set where dockerd writes IPv6 rules, that keeps direct packets out.
        desk.shell("ip6tables -P FORWARD ACCEPT")?;
        lab.run("web", &[&["--network", "yard"], &PUBLISHED[..]].concat(), &[])?;
        let own = lab.addresses("web", "yard")?;
        let (v4, v6) = (own.v4.expect("an IPv4 address"), own.v6.expect("an IPv6 address"));
        Ok(Self { desk, lab, web: lab.inside("web")?, v4, v6 })
    }

    /// Every way to `web`.
    pub fn ways(&self) -> [Way; 4] {
        let published = |to| Way { to, echo: 8080, udp: 5353, direct: false };
        let direct = |to| Way { to, echo: 80, udp: 53, direct: true };
        [published(Client::Host.v4()), published(Client::Host.v6()), direct(self.v4), direct(self.v6)]
    }

    /// Whether packets that take this way come to `web` itself. On the oldest engine docker-proxy may stand in for DNAT
    /// over IPv6, and the packets end on the host.
    pub fn comes_to_web(&self, way: Way) -> bool {
        way.direct || way.to.is_ipv4() || self.lab.spec().engine > Engine::V20_10
    }

    /// The namespace of a client.
    pub fn place(&self, client: Client) -> PathBuf {
        self.lab.place(client)
    }

    /// Whether `web` answers a ping of its own address.
    pub fn pings(&self, client: Client, to: IpAddr) -> Result<bool> {
        let words = ["busybox", "ping", "-c", "1", "-W", "1", &to.to_string()];
        Ok(self.lab.exec_as(client, &words)?.success())
    }
}

/// A client's address of the family of another.
pub fn own(client: Client, like: IpAddr) -> IpAddr {
    if like.is_ipv4() { client.v4() } else { client.v6() }
}

/// A datagram of that many bytes sent to the echo, and how many came back, if any did.
pub fn echo(lab: &Lab, place: &Path, to: SocketAddr, size: usize) -> Result<Option<usize>> {
    lab.within(place, || {
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(Duration::from_millis(700)))?;
        let mut datagram = b"echo ".to_vec();
        datagram.resize(size, b'x');
        let mut answer = vec![0; 65536];
        socket.send(&datagram)?;
        Ok(socket.recv(&mut answer).ok())
    })
}
