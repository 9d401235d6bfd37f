//! Peers: in containers on the lab's host, and on the neighbours as servers that containers call.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::probe::Protocol;
use crate::{Lab, LabError};

/// The name of the image that every lab's engine has.
pub const IMAGE: &str = "lab/peer";

const READY: Duration = Duration::from_secs(10);

/// The addresses of a container on one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Its IPv4 address.
    pub v4: Option<IpAddr>,
    /// Its global IPv6 address.
    pub v6: Option<IpAddr>,
}

impl Lab {
    /// Starts a peer in a container and waits until its ports are bound. The name is also what the peer says it is.
    ///
    /// `services` are words of `peer serve`, such as `tcp=80,443`, `stream=81`, `udp=53`; these three ports (without
    /// 443) when empty.
    pub fn run(&self, name: &str, docker_args: &[&str], services: &[&str]) -> Result<(), LabError> {
        let named = format!("name={name}");
        // The first process of a container heeds no other signal: docker would wait ten seconds for it to end.
        let mut words = vec!["run", "--detach", "--stop-signal", "SIGKILL", "--name", name];
        words.extend(docker_args);
        words.extend([IMAGE, "serve", &named]);
        words.extend(services);
        self.docker(&words)?.require(&format!("docker {}", words.join(" ")))?;
        self.wait_ready(name)
    }

    /// Makes a macvlan network on the wire between the hosts: its containers are neighbours of the neighbours, with
    /// addresses of the same subnets (`--ip 203.0.113.192` and up, `--ip6 fd00:1::192` and up).
    pub fn macvlan(&self, name: &str) -> Result<(), LabError> {
        let words = "network create --driver macvlan --opt parent=br-ext --ipv6 --subnet 203.0.113.0/24 \
                     --ip-range 203.0.113.192/27 --gateway 203.0.113.1 --subnet fd00:1::/64 --gateway fd00:1::1";
        let mut words: Vec<&str> = words.split_ascii_whitespace().collect();
        words.push(name);
        self.docker(&words)?.require(&words.join(" ")).map(drop)
    }

    /// Waits until the peer of a container that was started has bound its ports.
    pub fn wait_ready(&self, name: &str) -> Result<(), LabError> {
        let end = Instant::now() + READY;
        loop {
            let pid = self.docker(&["inspect", "--format", "{{.State.Pid}}", name])?.require("docker inspect")?;
            // The peer takes this name when all is bound; see there.
            let called = fs::read_to_string(self.path(format!("/proc/{pid}/comm"))).unwrap_or_default();
            if called.trim() == "peer-ready" {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(LabError::NoContainer { name: name.to_owned(), log: self.docker(&["logs", name])?.said() });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The addresses that a container has on a network; `bridge` is the default one.
    pub fn addresses(&self, container: &str, network: &str) -> Result<Addresses, LabError> {
        let template = format!(
            "{{{{with index .NetworkSettings.Networks \"{network}\"}}}}{{{{.IPAddress}}}} {{{{.GlobalIPv6Address}}}}{{{{end}}}}"
        );
        let text = self.docker(&["inspect", "--format", &template, container])?.require("docker inspect")?;
        let mut parts = text.split(' ').map(|part| part.parse().ok());
        Ok(Addresses { v4: parts.next().flatten(), v6: parts.next().flatten() })
    }

    /// The network namespace of a running container, for [`Lab::probe_from`].
    pub fn inside(&self, container: &str) -> Result<PathBuf, LabError> {
        let pid = self.docker(&["inspect", "--format", "{{.State.Pid}}", container])?.require("docker inspect")?;
        Ok(self.path(format!("/proc/{pid}/ns/net")))
    }

    /// The network namespace of a client, for [`Lab::probe_from`].
    pub fn place(&self, client: Client) -> PathBuf {
        client.place(&self.name)
    }

    /// Has a client serve as a peer of its own name, for containers to call. It runs until the lab goes.
    pub fn serve_as(&self, client: Client, services: &[&str]) -> Result<(), LabError> {
        let named = format!("name={client}");
        let log = format!("/run/peer-{client}");
        let script = r#"log=$1; shift
            setsid peer serve "$@" > "$log" 2>&1 < /dev/null & pid=$!
            until grep -qsx peer-ready "/proc/$pid/comm"; do
                [ -d "/proc/$pid" ] || { cat "$log" >&2; exit 1; }
                sleep 0.01
            done"#;
        let mut words = vec!["sh", "-c", script, "serve", &log, &named];
        words.extend(services);
        self.exec_as(client, &words)?.require("peer serve").map(drop)
    }

    /// One attempt from inside a container, as `peer connect` or `peer udp` prints it: the other peer's line, or
    /// `refused`, `silent`, `unreachable`, `mute`.
    pub fn from_container(&self, name: &str, protocol: Protocol, to: IpAddr, port: u16) -> Result<String, LabError> {
        let verb = match protocol {
            Protocol::Tcp => "connect",
            Protocol::Udp => "udp",
        };
        let output = self.docker(&["exec", name, "peer", verb, &to.to_string(), &port.to_string()])?;
        if output.stdout.is_empty() { output.require("docker exec") } else { Ok(output.stdout.trim_end().to_owned()) }
    }
}
