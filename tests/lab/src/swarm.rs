//! A swarm in a lab: the host's engine manages it, and `friend` can have an engine of its own that works for it.
//!
//! The kernel has no IPVS, without which dockerd makes the ingress network, its namespace and the redirections inside
//! the tasks, and stops before it rewrites a single packet. [`Lab::stand_in_for_ipvs`] does the rest: on the host the
//! rules that dockerd writes (moby `libnetwork/service_linux.go`), in the namespace a DNAT and SNAT to one task where
//! IPVS would choose among all of them. So the packets are real all the way into the task, whichever node it is on.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::command::Output;
use crate::containers::IMAGE;
use crate::probe::Protocol;
use crate::{Lab, LabError};

const READY: Duration = Duration::from_secs(20);

/// Where the second engine keeps everything.
const WORKER: &str = "/var/lib/lab-worker";

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The lab's host, which makes the swarm and manages it.
    Host,
    /// The neighbour `friend`, once it has joined.
    Friend,
}

/// A port that the ingress network leads to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The protocol.
    pub protocol: Protocol,
    /// The port of every node.
    pub port: u16,
    /// The task's address on the ingress network.
    pub task: IpAddr,
}

impl Lab {
    /// Runs `docker` on a node with these words.
    pub fn docker_on(&self, node: Node, words: &[&str]) -> Result<Output, LabError> {
        let host = format!("DOCKER_HOST=unix://{WORKER}/docker.sock");
        let mut all = vec!["env"];
        if node == Node::Friend {
            all.push(&host);
            all.extend([
                "DOCKER_FIREWALL_CONFIG_DIR=/var/lib/lab-worker/etc",
                "DOCKER_FIREWALL_STATE_DIR=/var/lib/lab-worker/state",
                "DOCKER_FIREWALL_RUN_DIR=/var/lib/lab-worker/run",
            ]);
        }
        all.push("docker");
        all.extend(words);
        self.exec_as(if node == Node::Friend { Client::Friend } else { Client::Host }, &all)
    }

    /// Makes the host the manager of a new swarm.
    pub fn make_swarm(&self) -> Result<(), LabError> {
        // Nodes ask a registry for the image of every task; without a name server they give up at once.
        self.exec(&["sh", "-c", "echo nameserver 127.0.0.1 > /etc/resolv.conf"])?.require("resolv.conf")?;
        let address = Client::Host.v4().to_string();
        self.docker(&["swarm", "init", "--advertise-addr", &address])?.require("docker swarm init")?;
        self.wait_for("the ingress network", || Ok(self.ingress_address(Node::Host)?.is_some()))
    }

    /// Starts an engine in `friend`'s namespace, which joins the host's swarm as a worker.
    pub fn join_swarm(&self) -> Result<(), LabError> {
        let token = self.docker(&["swarm", "join-token", "--quiet", "worker"])?.require("docker swarm join-token")?;
        let start = r#"mkdir -p "$1" && cd "$1"
            setsid dockerd --data-root "$1/data" --exec-root "$1/exec" --host "unix://$1/docker.sock" \
                --pidfile "$1/pid" --storage-driver vfs > "$1/log" 2>&1 < /dev/null &"#;
        self.exec_as(Client::Friend, &["sh", "-c", start, "start", WORKER])?.require("a second dockerd")?;
        self.wait_for("the second engine", || Ok(self.docker_on(Node::Friend, &["version"])?.success()))?;
        let (own, manager) = (Client::Friend.v4().to_string(), format!("{}:2377", Client::Host.v4()));
        let join = ["swarm", "join", "--advertise-addr", &own, "--token", token.trim(), &manager];
        self.docker_on(Node::Friend, &join)?.require("docker swarm join")?;
        self.wait_for("the worker's ingress network", || Ok(self.ingress_address(Node::Friend)?.is_some()))
    }

    /// Makes a service of one task on the host and waits until its ports are bound.
    pub fn serve(&self, service: &str, docker_args: &[&str], services: &[&str]) -> Result<(), LabError> {
        let named = format!("name={service}");
        let id = self.docker(&["info", "--format", "{{.Swarm.NodeID}}"])?.require("docker info")?;
        // Only the host has the image.
        let here = format!("node.id=={}", id.trim());
        let mut words = vec!["service", "create", "--detach", "--no-resolve-image", "--name", service];
        // The first process of a container heeds no other signal than the last one.
        words.extend(["--constraint", &here, "--stop-grace-period", "100ms"]);
        words.extend(docker_args);
        words.extend([IMAGE, "serve", &named]);
        words.extend(services);
        self.docker(&words)?.require(&format!("docker {}", words.join(" ")))?;
        self.wait_for(service, || Ok(!self.task(service)?.is_empty()))?;
        self.wait_ready(&self.task(service)?)
    }

    /// The name of the running task of a service on the host; empty when there is none.
    pub fn task(&self, service: &str) -> Result<String, LabError> {
        let filter = format!("label=com.docker.swarm.service.name={service}");
        let words = ["ps", "--filter", &filter, "--filter", "status=running", "--format", "{{.Names}}"];
        Ok(self.docker(&words)?.require("docker ps")?.trim().to_owned())
    }

    /// The address of a node's ingress namespace on `docker_gwbridge`.
    pub fn ingress_address(&self, node: Node) -> Result<Option<IpAddr>, LabError> {
        let template = r#"{{with index .Containers "ingress-sbox"}}{{.IPv4Address}}{{end}}"#;
        let output = self.docker_on(node, &["network", "inspect", "--format", template, "docker_gwbridge"])?;
        Ok(output.stdout.split('/').next().and_then(|address| address.parse().ok()))
    }

    /// What dockerd and IPVS do where there is IPVS; see the top of this file.
    pub fn stand_in_for_ipvs(&self, node: Node, ports: &[Published]) -> Result<(), LabError> {
        let sandbox = self.ingress_address(node)?.ok_or_else(|| LabError::NoLab("ingress-sbox".to_owned()))?;
        let netns = match node {
            Node::Host => "/var/run/docker/netns/ingress_sbox".to_owned(),
            Node::Friend => format!("{WORKER}/exec/netns/ingress_sbox"),
        };
        let script = r#"set -e; sandbox=$1 netns=$2; shift 2
            inside() { nsenter --net="$netns" "$@"; }
            if ! iptables -t nat -n -L DOCKER-INGRESS > /dev/null 2>&1; then
                for table in nat filter; do
                    iptables -t $table -N DOCKER-INGRESS
                    iptables -t $table -A DOCKER-INGRESS -j RETURN
                done
                for chain in PREROUTING OUTPUT; do
                    iptables -t nat -I $chain -m addrtype --dst-type LOCAL -j DOCKER-INGRESS
                done
                iptables -t nat -I POSTROUTING -m addrtype --src-type LOCAL -o docker_gwbridge -j MASQUERADE
                inside iptables -t nat -A POSTROUTING -d 10.0.0.0/24 -j MASQUERADE
                inside sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
            fi
            # Newer engines put it above DOCKER-USER whenever a service comes (EnsureJumpRule).
            iptables -D FORWARD -j DOCKER-INGRESS 2> /dev/null || true
            iptables -I FORWARD -j DOCKER-INGRESS
            while [ $# -gt 0 ]; do
                iptables -t nat -I DOCKER-INGRESS -p $1 --dport $2 -j DNAT --to-destination $sandbox:$2
                iptables -I DOCKER-INGRESS -p $1 --sport $2 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
                iptables -I DOCKER-INGRESS -p $1 --dport $2 -j ACCEPT
                inside iptables -t nat -I PREROUTING -d $sandbox -p $1 --dport $2 -j DNAT --to-destination $3
                shift 3
            done"#;
        let mut words = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned(), "ingress".to_owned()];
        words.extend([sandbox.to_string(), netns]);
        for published in ports {
            words.extend([published.protocol.to_string(), published.port.to_string(), published.task.to_string()]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let client = if node == Node::Friend { Client::Friend } else { Client::Host };
        self.exec_as(client, &words)?.require("the ingress rules").map(drop)
    }

    /// Waits for something that an engine brings about by itself.
    pub fn wait_for(&self, what: &str, is_there: impl Fn() -> Result<bool, LabError>) -> Result<(), LabError> {
        let end = Instant::now() + READY;
        while !is_there()? {
            if Instant::now() > end {
                return Err(LabError::NoContainer {
                    name: what.to_owned(),
                    log: format!("not there after {} s", READY.as_secs()),
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
