//! The cells of the table: every caller, every target, every way, both protocols, both families.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::foreign::{FORWARDED, FORWARDED_PORT};
use super::target::{Mode, Target};
use super::world::{Caller, World};
use crate::{Answer, Client, LabError, Probe, Protocol};

/// The way an attempt takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To a port of the host.
    Published,
    /// To a port of the host's link-local address.
    LinkLocal,
    /// To a port of the host that a container on the host's network listens on.
    HostNetwork,
    /// To a port of the host's own loopback.
    Loopback,
    /// To a port of the host that the administrator, and not Docker, leads to a container.
    Forwarded,
    /// To the container's address on this network.
    Direct(&'static str),
    /// From a container to a neighbour.
    Outward,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published => f.write_str("published"),
            Self::LinkLocal => f.write_str("published, link-local"),
            Self::HostNetwork => f.write_str("host network"),
            Self::Loopback => f.write_str("published, loopback"),
            Self::Forwarded => f.write_str("forwarded by hand"),
            Self::Direct(network) => write!(f, "direct by {network}"),
            Self::Outward => f.write_str("outward"),
        }
    }
}

/// An attempt that the rules speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbound {
    /// To whom.
    pub(crate) target: &'static Target,
    /// From which address.
    pub(crate) from: IpAddr,
    /// The container's port.
    pub(crate) port: (Protocol, u16),
    /// The host's port, if it comes by one.
    pub(crate) published: Option<u16>,
}

/// One attempt.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) caller: Caller,
    /// Who should answer.
    pub(crate) peer: String,
    pub(crate) way: Way,
    pub(crate) protocol: Protocol,
    pub(crate) to: IpAddr,
    pub(crate) port: u16,
    /// The peer's own port, which that one leads to.
    pub(crate) inner: u16,
    /// What the rules judge; `None` where they have no say.
    pub(crate) inbound: Option<Inbound>,
}

impl Cell {
    pub(crate) fn probe(&self) -> Probe {
        Probe::new(self.caller.outside.unwrap_or(Client::Host), self.protocol, self.to, self.port)
    }

    /// Whether the answer is that of the peer; an answer of anybody else is an error, not a closed cell.
    pub(crate) fn reached(&self, answer: &Answer) -> Result<bool, String> {
        match answer.peer() {
            None => Ok(false),
            Some(name) if name == self.peer => Ok(true),
            Some(name) => Err(format!("{self}: answered by {name}")),
        }
    }

    /// The port of the peer that hears its datagrams.
    pub(crate) fn datagrams(&self) -> Option<u16> {
        (self.protocol == Protocol::Udp).then_some(self.inner)
    }

    /// What tells it from every other cell, whatever addresses the containers have at the moment.
    pub(crate) fn key(&self) -> String {
        let Self { caller, peer, way, protocol, to, port, .. } = self;
        let family = if to.is_ipv4() { "IPv4" } else { "IPv6" };
        format!("{} {peer} {way} {protocol} {family} {port}", caller.name)
    }

    /// Whether a neighbour comes by a port of the host.
    pub(crate) fn is_published(&self) -> bool {
        self.way == Way::Published && self.inbound.is_some()
    }

    /// Whether the short table has it.
    pub(crate) fn is_short(&self) -> bool {
        ["web", "multi", "plain", "friend"].contains(&self.peer.as_str())
            && ["friend", "stranger", "host", "near", "web"].contains(&self.caller.name.as_str())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caller, peer, way, protocol, to, port, .. } = self;
        write!(f, "{} -> {peer}, {way}, {protocol} {to} {port}", caller.name)
    }
}

/// The whole table.
pub(crate) fn table(world: &World<'_>) -> Result<Vec<Cell>, LabError> {
    let mut cells = Vec::new();
    for target in &world.targets {
        for port in target.tried {
            cells.extend(inward(world, target, *port)?);
        }
    }
    for (caller, target) in world.inner.iter().zip(&world.targets) {
        for client in [Client::Friend, Client::Stranger] {
            let both = [Protocol::Tcp, Protocol::Udp].into_iter();
            for (protocol, to) in both.flat_map(|protocol| [client.v4(), client.v6()].map(|to| (protocol, to))) {
                // From where there is no way out there is nothing to see.
                let mut modes = target.networks.iter().map(|name| world.scene.network(name).mode(to));
                let closed = modes.all(|mode| matches!(mode, Mode::None | Mode::Internal | Mode::Isolated));
                if closed && !target.is_on_the_host() {
                    continue;
                }
                let caller = caller.clone();
                let peer = client.to_string();
                let (way, port, inner) = (Way::Outward, 7000, 7000);
                cells.push(Cell { caller, peer, way, protocol, to, port, inner, inbound: None });
            }
        }
    }
    Ok(cells)
}

/// All attempts to reach one port of one target.
pub(crate) fn inward(
    world: &World<'_>,
    target: &'static Target,
    (protocol, inner): (Protocol, u16),
) -> Result<Vec<Cell>, LabError> {
    let mut cells = Vec::new();
    for caller in &world.callers {
        let mut add = |way, to: IpAddr, port, published| {
            let own = |client: Client| match way {
                Way::LinkLocal => world.lab.link_local(client),
                _ if to.is_ipv4() => Ok(client.v4()),
                _ => Ok(client.v6()),
            };
            let from = caller.outside.map(own).transpose()?;
            let inbound = from.map(|from| Inbound { target, from, port: (protocol, inner), published });
            let peer = target.name.to_owned();
            cells.push(Cell { caller: caller.clone(), peer, way, protocol, to, port, inner, inbound });
            Ok::<_, LabError>(())
        };
        for host in target.published(protocol, inner) {
            for to in [Client::Host.v4(), Client::Host.v6()] {
                add(Way::Published, to, host, Some(host))?;
            }
            if caller.outside.is_some() {
                add(Way::LinkLocal, world.link_local, host, Some(host))?;
            }
            if caller.name == "host" {
                add(Way::Loopback, Ipv4Addr::LOCALHOST.into(), host, Some(host))?;
                add(Way::Loopback, Ipv6Addr::LOCALHOST.into(), host, Some(host))?;
            }
        }
        if caller.outside.is_some() && (target.name, protocol, inner) == FORWARDED {
            add(Way::Forwarded, Client::Host.v4(), FORWARDED_PORT, None)?;
        }
        if target.is_on_the_host() {
            for to in [Client::Host.v4(), Client::Host.v6()] {
                add(Way::HostNetwork, to, inner, Some(inner))?;
            }
            if caller.outside.is_some() {
                add(Way::LinkLocal, world.link_local, inner, Some(inner))?;
            }
        }
        for (network, to) in world.addresses(target) {
            add(Way::Direct(network), to, inner, None)?;
        }
    }
    Ok(cells)
}
