//! Three network namespaces in a row: client, router, server. No packet leaves them.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Result;
use crate::world::{BRIDGE, GATEWAY, SUBNET};

/// The host's address outside.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Another address of the client's, which is no friend's.
pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);
/// Where the containers' service listens.
pub(crate) const PORT: u16 = 8080;

/// What a packet crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Two veth pairs and the router's rules; the client calls the container's address, and one thread plays both ends. So the
    /// kernel carries a packet through within the call that sends it, nobody waits, and each rule weighs as much as it can.
    Bare,
    /// What stands between a client and a container: the host's address and a published port, Docker's DNAT, a Linux
    /// bridge with the container's veth in it, and a server that is a thread of its own and has to be woken.
    Published,
    /// The same, with both ends on one processor: nobody waits for another processor to wake up, which takes longer than
    /// all rules and each time as long as it likes.
    OneProcessor,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Published, Self::OneProcessor, Self::Bare];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare way",
            Self::Published => "published port",
            Self::OneProcessor => "published port, one processor",
        }
    }
}

/// The longest that an end waits for the other.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The namespaces; they go with this value.
pub(crate) struct Wires {
    name: String,
    pub(crate) way: Way,
}

impl Wires {
    /// Lays the wires of that name, which no other has at the time.
    pub(crate) fn lay(name: &str, way: Way) -> Result<Self> {
        let wires = Self { name: format!("dfb{}-{name}", std::process::id()), way };
        let [client, router, server] = wires.all();
        for namespace in wires.all() {
            run(&["ip", "netns", "add", &namespace], "")?;
        }
        let inside = match way {
            Way::Bare => format!("link add {BRIDGE} type veth peer name eth0 netns {server}\n"),
            Way::Published | Way::OneProcessor => format!(
                "link add {BRIDGE} type bridge\nlink add vethc type veth peer name eth0 netns {server}\n\
                 link set vethc master {BRIDGE}\nlink set vethc up\n"
            ),
        };
        let router_side = format!(
            "link set lo up\nlink add ext type veth peer name eth0 netns {client}\n{inside}addr add {HOST}/24 dev ext\n\
             addr add {GATEWAY}/14 dev {BRIDGE}\nlink set ext up\nlink set {BRIDGE} up\n"
        );
        run(&["ip", "-n", &router, "-batch", "-"], &router_side)?;
        let client_side = format!(
            "link set lo up\nlink set eth0 up\naddr add {CLIENT}/24 dev eth0\naddr add {STRANGER}/24 dev eth0\n\
             route add default via {HOST}\n"
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
            udp.set_read_timeout(Some(PATIENCE))?;
            // Of a listener, the longest that `accept` waits.
            set_socket_timeout(&tcp, Timeout::Recv, Some(PATIENCE))?;
            Ok((tcp, udp))
        })
    }

    /// Where the client calls to reach the service at a container's address.
    pub(crate) fn called(&self, address: Ipv4Addr) -> SocketAddr {
        match self.way {
            Way::Bare => SocketAddr::from((address, PORT)),
            Way::Published | Way::OneProcessor => SocketAddr::from((HOST, PORT)),
        }
    }

    /// What Docker writes for the port that a container publishes.
    pub(crate) fn publishing(&self, address: Ipv4Addr) -> String {
        if self.way == Way::Bare {
            return String::new();
        }
        let rule = |protocol: &str| {
            format!(
                "-A DOCKER ! -i {BRIDGE} -p {protocol} -m {protocol} --dport {PORT} -j DNAT --to-destination {address}:{PORT}\n"
            )
        };
        let rules = ["tcp", "udp"].map(rule).concat();
        format!("*nat\n{rules}COMMIT\n")
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
