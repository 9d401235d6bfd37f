//! What Docker and the host hold, as plain data: the facts that rules are resolved against.
//!
//! `docker/` fills it from the engine's answers; nothing here knows the API. Addresses, names and ports are as the
//! engine reported them at one moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::net::{Family, Protocol};

mod labels;
mod swarm;

pub use labels::Labels;
pub use swarm::{Ingress, SWARM_SERVICE, Service, ServicePort, Services};

/// Everything known of one engine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The engine itself.
    pub engine: Engine,
    /// All containers, running or not, sorted by name.
    pub containers: Vec<Container>,
    /// All networks, sorted by name.
    pub networks: Vec<Network>,
    /// The part of a swarm's ingress network that is here; `None` outside of swarms.
    pub ingress: Option<Ingress>,
}

/// The engine's own facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Its version, such as `28.5.2`.
    pub version: String,
    /// The API version spoken, such as `1.51`.
    pub api: String,
    /// `iptables`, `nftables`, with `+firewalld`; `None` before API 1.49.
    pub firewall_backend: Option<String>,
    /// Whether it says that it is rootless.
    pub rootless: bool,
    /// `OperatingSystem` of `/info`; Docker Desktop names itself there.
    pub operating_system: String,
    /// The engine's host name.
    pub name: String,
    /// Whether whoever listens on its socket is in our network namespace, where that can be told.
    pub shares_namespace: Option<bool>,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Full ID, 64 hexadecimal digits.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Labels, compose's among them.
    pub labels: Labels,
    /// Whether it runs (a paused one does).
    pub running: bool,
    /// How it is attached.
    pub mode: NetworkMode,
    /// Its addresses, one entry a network.
    pub endpoints: Vec<Endpoint>,
    /// Its published ports: of a running container those in force, of a stopped one those asked for.
    pub bindings: Vec<Binding>,
    /// Its own network namespace; only of those that run and have an address that the host's chains never see.
    pub sandbox: Option<Sandbox>,
}

/// A running container's network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The file that the engine made for it (`NetworkSettings.SandboxKey`). The engine unmounts it when the container
    /// stops and removes it a while later.
    pub path: PathBuf,
    /// The container's first process, in the engine's own process namespace.
    pub pid: u32,
}

/// `HostConfig.NetworkMode`, as far as it changes who owns the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// On networks of its own.
    Own,
    /// On the host's network.
    Host,
    /// In the network namespace of another container, by its full ID or name as the engine stored it.
    Container(String),
    /// No network.
    None,
}

/// One container's place on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The network's full ID, found in [`Inventory::networks`].
    pub network: String,
    /// IPv4 address while it runs.
    pub v4: Option<Ipv4Addr>,
    /// IPv6 address while it runs.
    pub v6: Option<Ipv6Addr>,
}

impl Endpoint {
    /// Its address of `family`, if any.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }
}

/// One published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// The protocol.
    pub protocol: Protocol,
    /// The port inside.
    pub container_port: u16,
    /// The host address it is bound to; unspecified means every address of that family.
    pub host_address: IpAddr,
    /// The host's port; `None` when the engine chooses it at start, or where a routed network has none.
    pub host_port: Option<u16>,
}

/// One network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Full ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// `bridge`, `macvlan`, `overlay`, ...
    pub driver: String,
    /// The host's bridge device, of bridge networks only.
    pub bridge: Option<String>,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
    /// The host's own addresses on the bridge.
    pub gateways: Vec<IpAddr>,
    /// Made with `--internal`.
    pub internal: bool,
    /// The host's interface that a macvlan or ipvlan network stands on.
    pub parent: Option<String>,
    /// `ipvlan_mode` or `macvlan_mode`, where it is given.
    pub mode: Option<String>,
}

impl Network {
    /// Whether packets to its containers cross the host's FORWARD hook: true of bridges only.
    pub fn forwarded(&self) -> bool {
        self.driver == "bridge"
    }

    /// Whether its packets come to a container past the host's chains, but through those of the container's own network
    /// namespace: macvlan and ipvlan. Not so in ipvlan's mode l3s, where they pass the host's INPUT instead (kernel:
    /// `ipvlan_l3s.c`).
    pub fn sandboxed(&self) -> bool {
        match self.driver.as_str() {
            "macvlan" => true,
            "ipvlan" => self.mode.as_deref() != Some("l3s"),
            _ => false,
        }
    }

    /// Whether it is swarm's own plumbing (`docker_gwbridge`, `ingress`): never a target that people name.
    pub fn is_plumbing(&self) -> bool {
        self.name == SWARM_GATEWAY || (self.name == "ingress" && self.driver == "overlay")
    }
}

/// The bridge over which containers on overlay networks reach the world and get their host-mode ports.
pub const SWARM_GATEWAY: &str = "docker_gwbridge";

/// Compose's label of the project.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Compose's label of the service.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";

impl Container {
    /// `project/service` of a compose container.
    pub fn compose_service(&self) -> Option<String> {
        Some(format!("{}/{}", self.labels.get(COMPOSE_PROJECT)?, self.labels.get(COMPOSE_SERVICE)?))
    }
}

/// What a name or ID refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// This container.
    One(&'a Container),
    /// Several, whose IDs begin with it.
    Ambiguous(Vec<&'a Container>),
    /// Nothing.
    None,
}

impl Inventory {
    /// The container meant by `name_or_id`, in docker's order (moby `daemon/container.go`, `GetContainer`): a full ID,
    /// a name, the beginning of an ID. Never the beginning of a name.
    pub fn find(&self, name_or_id: &str) -> Found<'_> {
        let text = name_or_id.strip_prefix('/').unwrap_or(name_or_id);
        if text.is_empty() {
            return Found::None;
        }
        let exact = self
            .containers
            .iter()
            .find(|container| container.id == text)
            .or_else(|| self.containers.iter().find(|container| container.name == text));
        if let Some(container) = exact {
            return Found::One(container);
        }
        let mut matching: Vec<&Container> =
            self.containers.iter().filter(|container| container.id.starts_with(text)).collect();
        match matching.len() {
            0 => Found::None,
            1 => matching.pop().map_or(Found::None, Found::One),
            _ => Found::Ambiguous(matching),
        }
    }

    /// The network of that full ID.
    pub fn network(&self, id: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == id)
    }

    /// The container of that name or full ID.
    pub fn container(&self, name_or_id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name_or_id || container.id == name_or_id)
    }

    /// A container's endpoints that only rules in its own network namespace can guard, with their networks.
    pub fn sandboxed<'a>(&'a self, container: &'a Container) -> impl Iterator<Item = (&'a Endpoint, &'a Network)> {
        container.endpoints.iter().filter_map(|endpoint| {
            let network = self.network(&endpoint.network)?;
            network.sandboxed().then_some((endpoint, network))
        })
    }

    /// A container's endpoints that the host forwards to, with their networks.
    pub fn forwarded<'a>(&'a self, container: &'a Container) -> impl Iterator<Item = (&'a Endpoint, &'a Network)> {
        container.endpoints.iter().filter_map(|endpoint| {
            let network = self.network(&endpoint.network)?;
            network.forwarded().then_some((endpoint, network))
        })
    }
}
