//! What a swarm publishes through its ingress network: ports of services, which belong to no container of this host.
//!
//! dockerd rewrites a packet to a published port to one address on `docker_gwbridge`, that of the namespace
//! `ingress-sbox`, and leaves the port as it is (moby libnetwork `service_linux.go`). IPVS in there chooses a task on
//! any node and hides the client from it. So the host that the packet comes to is the only place to judge it.

use std::net::IpAddr;

use super::{Container, Inventory, Labels};
use crate::net::Protocol;

/// Swarm's label on the containers of a service.
pub const SWARM_SERVICE: &str = "com.docker.swarm.service.name";

/// This node's part of a swarm's ingress network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The full ID of the network.
    pub network: String,
    /// Where packets to published ports are rewritten to; empty until the node has such a place.
    pub addresses: Vec<IpAddr>,
    /// What is published there.
    pub services: Services,
}

/// The services of a swarm, as far as this node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Services {
    /// All of them, sorted by name.
    Known(Vec<Service>),
    /// Nothing, with the reason: only managers know.
    Withheld(String),
}

/// One service of a swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The labels that its containers get. Labels of the service itself are not among them: workers do not know those.
    pub labels: Labels,
    /// Full IDs of the networks that its containers are on.
    pub networks: Vec<String>,
    /// Its ports in ingress mode, sorted. Those in host mode are its containers' own.
    pub ports: Vec<ServicePort>,
}

/// One port that a service publishes on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// The port of every node.
    pub published: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The port inside the containers; `None` where only a manager could tell.
    pub target: Option<u16>,
}

impl Container {
    /// The swarm service whose task it is.
    pub fn swarm_service(&self) -> Option<&str> {
        self.labels.get(SWARM_SERVICE)
    }
}

impl Inventory {
    /// The services of the swarm, where this node knows them.
    pub fn services(&self) -> &[Service] {
        match self.ingress.as_ref().map(|ingress| &ingress.services) {
            Some(Services::Known(services)) => services,
            _ => &[],
        }
    }

    /// Why this node's part of a swarm does not know the services, if it does not.
    pub fn services_withheld(&self) -> Option<&str> {
        match self.ingress.as_ref().map(|ingress| &ingress.services) {
            Some(Services::Withheld(reason)) => Some(reason),
            _ => None,
        }
    }
}
