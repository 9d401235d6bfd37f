//! The ways into a container: what Docker publishes, what others lead there, and its own addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::access::Lead;
use crate::cli::args::Destination;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::text::{natural_order, printable};
use crate::cli::world::{Call, World};
use crate::effective::{Effort, Passage};
use crate::inventory::{Container, Found, Inventory, NetworkMode};
use crate::net::{Family, Protocol};
use crate::policy::Target;
use crate::resolve::{network_owner, selects};
use crate::ruleset::{self, Ask, WholeRule};

/// What kind of way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A port of the host that Docker publishes.
    Published,
    /// A port of the host that a rule which is not Docker's leads to the container.
    Forwarded,
    /// A port of the host that a container on its network listens on.
    HostNetwork,
    /// The container's own address, through the host.
    Direct,
    /// The container's own address, past the host: macvlan, ipvlan.
    Wire,
}

impl Kind {
    /// In a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Forwarded => "forwarded",
            Self::HostNetwork => "host-network",
            Self::Direct => "direct",
            Self::Wire => "wire",
        }
    }
}

/// One way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) kind: Kind,
    /// The container's name.
    pub(super) container: String,
    /// Full ID of the container whose network it is.
    pub(super) owner: String,
    /// The container's port.
    pub(super) port: (Protocol, u16),
    /// The host's port.
    pub(super) published: Option<u16>,
    /// Where the client calls.
    pub(super) to: (IpAddr, u16),
}

impl Way {
    /// Whether an address can take it: its own family, and link-local addresses among themselves.
    pub(super) fn takes(&self, from: IpAddr) -> bool {
        let hidden = |address: IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let host = matches!(self.kind, Kind::Published | Kind::HostNetwork | Kind::Forwarded);
        Family::of(&from) == Family::of(&self.to.0) && (!host || hidden(from) == hidden(self.to.0))
    }

    /// Follows a packet on it.
    pub(super) fn tried(&self, world: &World, from: IpAddr) -> Passage {
        let lead = match self.kind {
            Kind::Published | Kind::Forwarded | Kind::Direct => Lead::Through,
            Kind::HostNetwork => Lead::Host,
            Kind::Wire => Lead::Wire,
        };
        let call = Call { lead, owner: &self.owner, protocol: self.port.0, to: self.to, heard: false };
        world.follow(&call, from, Effort::default())
    }

    /// `443/tcp`.
    pub(super) fn port_text(&self) -> String {
        format!("{}/{}", self.port.1, self.port.0)
    }

    /// `203.0.113.1:8443`.
    pub(super) fn to_text(&self) -> String {
        SocketAddr::new(self.to.0, self.to.1).to_string()
    }
}

/// Reads the inside of containers that some of these ways lead to past the host.
pub(super) fn enter(world: &mut World, session: &mut Session, ways: &[Way]) -> Result<(), Failure> {
    let wires = || ways.iter().filter(|way| way.kind == Kind::Wire);
    let own: Vec<IpAddr> = wires().map(|way| way.to.0).collect();
    wires().try_for_each(|way| world.enter(session, &way.owner, &own))
}

/// The ways to each port that is meant, with what to call it.
pub(super) fn ways(
    session: &Session,
    world: &World,
    destination: &Destination,
) -> Result<Vec<(String, Vec<Way>)>, Failure> {
    let inventory = session.containers()?;
    let mut ports: Vec<(String, Vec<Way>)> = Vec::new();
    let mut silent = Vec::new();
    let mut containers = meant(inventory, destination)?;
    containers.sort_by(|a, b| natural_order(&a.name, &b.name));
    for container in containers {
        if !container.running {
            silent.push(format!("{} does not run", container.name));
            continue;
        }
        let Some(owner) = network_owner(inventory, container) else {
            silent.push(format!("the container whose network {} uses is gone", container.name));
            continue;
        };
        let meant = ports_meant(owner, destination);
        if meant.is_empty() {
            silent.push(format!("{} publishes no port: name one, {}:PORT", container.name, container.name));
        }
        for port in meant {
            let mut all = to_port(inventory, world, (&container.name, owner), port);
            if destination.target.is_none() {
                // Only by that port of the host.
                all.retain(|way| destination.port.is_some_and(|(_, host)| way.published == Some(host)));
            }
            ports.push((format!("{} {}/{}", container.name, port.1, port.0), all));
        }
    }
    if ports.is_empty() {
        let why = silent.first().cloned().unwrap_or_else(|| "nobody has that port".to_owned());
        return Err(Failure::user(format!("{}: {}", printable(&destination.text), printable(&why)))
            .hinted("`docker ps` lists containers and their ports"));
    }
    Ok(ports)
}

fn meant<'a>(inventory: &'a Inventory, destination: &Destination) -> Result<Vec<&'a Container>, Failure> {
    let Some(target) = &destination.target else {
        let (protocol, port) = destination.port.unwrap_or((Protocol::Tcp, 0));
        let has = |container: &&Container| {
            container.running
                && container.bindings.iter().any(|own| own.protocol == protocol && own.host_port == Some(port))
        };
        let found: Vec<&Container> = inventory.containers.iter().filter(has).collect();
        if found.is_empty() {
            return Err(Failure::user(format!("no container publishes port {port}/{protocol} of the host"))
                .hinted("`docker ps` lists containers and their ports"));
        }
        return Ok(found);
    };
    if let Target::Container(name) = target {
        match inventory.find(name) {
            Found::One(container) => return Ok(vec![container]),
            Found::Ambiguous(several) => {
                let names: Vec<&str> = several.iter().map(|container| container.name.as_str()).collect();
                return Err(Failure::user(format!("{name} is the beginning of several IDs: {}", names.join(", "))));
            }
            Found::None => {}
        }
    }
    let found: Vec<&Container> =
        inventory.containers.iter().filter(|container| selects(target, container, inventory)).collect();
    if found.is_empty() {
        return Err(Failure::user(format!("no container is meant by {}", printable(&target.to_string())))
            .hinted("`docker ps -a` lists containers"));
    }
    Ok(found)
}

/// The container's ports that are asked about.
fn ports_meant(owner: &Container, destination: &Destination) -> Vec<(Protocol, u16)> {
    match (&destination.target, destination.port) {
        (Some(_), Some(port)) => vec![port],
        (None, Some((protocol, host))) => {
            let own = owner.bindings.iter().filter(|own| own.protocol == protocol && own.host_port == Some(host));
            own.map(|own| (own.protocol, own.container_port)).collect::<BTreeSet<_>>().into_iter().collect()
        }
        (_, None) => {
            let all = owner.bindings.iter().map(|own| (own.container_port, own.protocol));
            all.collect::<BTreeSet<_>>().into_iter().map(|(port, protocol)| (protocol, port)).collect()
        }
    }
}

fn to_port(inventory: &Inventory, world: &World, (name, owner): (&str, &Container), port: (Protocol, u16)) -> Vec<Way> {
    let way = |kind, published: Option<u16>, to| Way {
        kind,
        container: name.to_owned(),
        owner: owner.id.clone(),
        port,
        published,
        to,
    };
    let mut ways: BTreeMap<(IpAddr, u16), Way> = BTreeMap::new();
    let mut add = |way: Way| {
        ways.entry(way.to).or_insert(way);
    };
    if owner.mode == NetworkMode::Host {
        for address in world.addresses() {
            add(way(Kind::HostNetwork, Some(port.1), (address, port.1)));
        }
        return ways.into_values().collect();
    }
    for binding in owner.bindings.iter().filter(|own| (own.protocol, own.container_port) == port) {
        let Some(host) = binding.host_port else { continue };
        if !binding.host_address.is_unspecified() {
            add(way(Kind::Published, Some(host), (binding.host_address, host)));
            continue;
        }
        let family = Family::of(&binding.host_address);
        for address in world.addresses().filter(|address| Family::of(address) == family) {
            add(way(Kind::Published, Some(host), (address, host)));
        }
    }
    for (endpoint, network) in owner.endpoints.iter().filter_map(|own| Some((own, inventory.network(&own.network)?))) {
        for address in Family::ALL.into_iter().filter_map(|family| endpoint.address(family)) {
            let kind = if network.forwarded() {
                Kind::Direct
            } else if network.sandboxed() {
                Kind::Wire
            } else {
                continue;
            };
            add(way(kind, None, (address, port.1)));
            for (host, at) in forwarded(world, port, address) {
                let places = world.addresses().filter(|own| at.is_none_or(|at| at == *own));
                for place in places.filter(|own| Family::of(own) == Family::of(&address)) {
                    add(way(Kind::Forwarded, Some(host), (place, host)));
                }
            }
        }
    }
    let mut ways: Vec<Way> = ways.into_values().collect();
    ways.sort_by_key(|way| way.kind);
    ways
}

/// Ports of the host that some rule leads to a container's port, and the host's address if it names one.
fn forwarded(world: &World, (protocol, port): (Protocol, u16), to: IpAddr) -> Vec<(u16, Option<IpAddr>)> {
    let Some(tables) = world.whole.rulesets.get(&Family::of(&to)).and_then(|ruleset| ruleset.tables.get("nat")) else {
        return Vec::new();
    };
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let leads = |rule: &&WholeRule| match &rule.target {
        ruleset::Target::Translate { address, port: inner } => {
            *address == Some(to) && inner.of(Some(port)) == Some(port)
        }
        _ => false,
    };
    let rules = tables.values().flat_map(|chain| &chain.rules).filter(leads);
    let mut found = Vec::new();
    for rule in rules {
        let asks = || rule.conditions.iter().filter(|condition| !condition.negated).map(|condition| &condition.ask);
        if !asks().any(|ask| *ask == Ask::Protocol(Some(number))) {
            continue;
        }
        let at = asks().find_map(|ask| match ask {
            Ask::Destination(block) if block.prefix_len() == block.max_prefix_len() => Some(block.addr()),
            _ => None,
        });
        let single = asks().filter_map(|ask| match ask {
            Ask::DestinationPorts(ranges) => Some(ranges),
            _ => None,
        });
        found.extend(single.flatten().filter(|(first, last)| first == last).map(|(first, _)| (*first, at)));
    }
    found
}
