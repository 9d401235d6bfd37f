//! Three network namespaces in a row: client, router, server. No packet leaves them.
//!
//! One thread sends and receives: its sockets are in the client's and the server's namespace, and the kernel carries a
//! packet through the router within the call that sends it. So a figure is the path's own cost, not the scheduler's.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Result;
use crate::world::{BRIDGE, GATEWAY, SUBNET};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Another address of the client's, which is no friend's.
pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);
/// Where the containers' service listens.
pub(crate) const PORT: u16 = 8080;

/// The namespaces; they go with this value.
pub(crate) struct Wires {
    name: String,
}

impl Wires {
    /// Lays the wires of that name, which no other has at the time.
    pub(crate) fn lay(name: &str) -> Result<Self> {
        let wires = Self { name: format!("dfb{}-{name}", std::process::id()) };
        let [client, router, server] = wires.all();
        for namespace in wires.all() {
            run(&["ip", "netns", "add", &namespace], "")?;
        }
        let router_side = format!(
            "link set lo up\nlink add ext type veth peer name eth0 netns {client}\n\
             link add {BRIDGE} type veth peer name eth0 netns {server}\naddr add 203.0.113.1/24 dev ext\n\
             addr add {GATEWAY}/14 dev {BRIDGE}\nlink set ext up\nlink set {BRIDGE} up\n"
        );
        run(&["ip", "-n", &router, "-batch", "-"], &router_side)?;
        let client_side = format!(
            "link set lo up\nlink set eth0 up\naddr add {CLIENT}/24 dev eth0\naddr add {STRANGER}/24 dev eth0\n\
             route add default via 203.0.113.1\n"
        );
        run(&["ip", "-n", &client, "-batch", "-"], &client_side)?;
        // The server answers for every container's address.
        let server_side = format!(
            "link set lo up\nlink set eth0 up\nroute add {GATEWAY}/32 dev eth0\nroute add default via {GATEWAY}\n\
             route add local {SUBNET} dev lo\n"
        );
        run(&["ip", "-n", &server, "-batch", "-"], &server_side)?;
        wires.at_router(|| Ok(std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
        Ok(wires)
    }

    fn all(&self) -> [String; 3] {
        ["c", "r", "s"].map(|part| format!("{}{part}", self.name))
    }

    /// Runs `act` in the client's namespace.
    pub(crate) fn at_client<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.all()[0], act)
    }

    /// Runs `act` in the router's namespace; programs that it starts are there too.
    pub(crate) fn at_router<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.all()[1], act)
    }

    /// A TCP and a UDP socket that wait at a container's address. Answers come from there, for the sockets are bound to it.
    pub(crate) fn services(&self, address: Ipv4Addr) -> Result<(TcpListener, UdpSocket)> {
        within(&self.all()[2], || {
            let place = SocketAddr::from((address, PORT));
            let (tcp, udp) = (TcpListener::bind(place)?, UdpSocket::bind(place)?);
            udp.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
            Ok((tcp, udp))
        })
    }

    /// Forgets all connections.
    pub(crate) fn flush(&self) -> Result {
        self.at_router(|| run(&["conntrack", "-F"], "").map(drop))
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        for namespace in self.all() {
            let _ = run(&["ip", "netns", "del", &namespace], "");
        }
    }
}

fn within<T: Send>(namespace: &str, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            act()
        });
        thread.join().unwrap_or_else(|_| Err("a measuring thread panicked".into()))
    })
}

/// Runs a program with `input`; what it printed, or what it complained of.
pub(crate) fn run(words: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    let pipe = child.stdin.take();
    let output = thread::scope(|scope| {
        if let Some(mut pipe) = pipe {
            // A program that gives up early says why.
            scope.spawn(move || drop(pipe.write_all(input.as_bytes())));
        }
        child.wait_with_output()
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
}
