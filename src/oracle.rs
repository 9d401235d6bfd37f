//! The plain reading of a policy: rules in order, the first that matches decides. The specification that the compiled
//! rules are tested against; deliberately naive, and deliberately ignorant of `resolve` and `compile`.

mod inside;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::inventory::{Binding, Container, Inventory, NetworkMode, Service, ServicePort};
use crate::net::Protocol;
use crate::policy::{DefaultAccess, Policy, Ports, Rule, RuleSource, Target, Unseen, Verdict};
use crate::ruleset::{ConnDirection, ConnState, Packet, Path, Transport};

pub use inside::drops_inside;

/// The world of one question.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// Who has which address.
    pub inventory: &'a Inventory,
    /// Members of our sets and of foreign ipsets (`ipset:NAME`), by the name that rules use.
    pub members: &'a BTreeMap<String, Vec<IpNet>>,
    /// Whether an agent places containers as they come.
    pub followed: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// Whether our rules drop `packet`.
pub fn drops(world: &World<'_>, packet: &Packet) -> bool {
    match packet.path {
        Path::Forward => drops_inbound(world, packet) || drops_outbound(world, packet),
        Path::Input => drops_at_host(world, packet, true),
        Path::Output => is_for_unseen(world, packet) || drops_at_host(world, packet, false),
    }
}

/// What the host calls for somebody, as docker-proxy does, goes to no address that nobody has placed.
fn is_for_unseen(world: &World<'_>, packet: &Packet) -> bool {
    let active = world.policy.default == DefaultAccess::Closed || !world.policy.rules.is_empty();
    active && closes_unseen(world) && packet.direction == Some(ConnDirection::Original) && {
        let seen =
            |container: &Container| container.running && has_address(world.inventory, container, packet.destination);
        in_networks(world.inventory, packet.destination)
            && !is_swarms(world.inventory, packet.destination)
            && !world.inventory.containers.iter().any(seen)
    }
}

fn in_networks(inventory: &Inventory, address: IpAddr) -> bool {
    let bridges = inventory.networks.iter().filter(|network| network.driver == "bridge");
    bridges.flat_map(|network| &network.subnets).any(|subnet| subnet.contains(&address))
}

fn is_swarms(inventory: &Inventory, address: IpAddr) -> bool {
    inventory.ingress.as_ref().is_some_and(|ingress| ingress.addresses.contains(&address))
}

/// A packet to or from the host itself: only ports that lead to a container are judged.
fn drops_at_host(world: &World<'_>, packet: &Packet, inbound: bool) -> bool {
    let Some((protocol, source, destination)) = ports_of(packet) else { return false };
    let (own, port, peer, interface) = if inbound {
        (packet.destination, destination, packet.source, &packet.in_interface)
    } else {
        (packet.source, source, packet.destination, &packet.out_interface)
    };
    let Some(owner) = owner_of_port(world, own, protocol, port) else { return false };
    if interface == "lo" || inside(world.inventory, peer, interface) || packet.state == ConnState::Related {
        return false;
    }
    let started_by_the_host = match packet.direction {
        Some(ConnDirection::Reply) => inbound,
        Some(ConnDirection::Original) => !inbound && !opens_nothing(packet),
        None => false,
    };
    if started_by_the_host && owner.calls {
        return false;
    }
    let deciding = owner.rules.into_iter().filter(|rule| rule.expires.is_none_or(|at| at > world.now)).find(|rule| {
        let side = Side { peer, port: Some((protocol, owner.inner)), interface, published: Some(port) };
        matches(world, rule, &side)
    });
    deciding.map_or(owner.guarded, |rule| rule.verdict == Verdict::Deny)
}

/// Who answers at a port of the host.
struct PortOwner<'a> {
    /// The container's port.
    inner: u16,
    rules: Vec<&'a Rule>,
    guarded: bool,
    /// docker-proxy only answers, whichever way the connection is said to go.
    calls: bool,
}

/// Of all that lay claim to it: one that runs; one that claims this address and not all; what Docker publishes of those
/// that run, and what rules say of those that do not.
fn owner_of_port<'a>(world: &World<'a>, own: IpAddr, protocol: Protocol, port: u16) -> Option<PortOwner<'a>> {
    let mut best: Option<((bool, bool, bool), Vec<PortOwner<'a>>)> = None;
    for container in &world.inventory.containers {
        let Some((single, named, owner)) = claim(world, container, own, protocol, port) else { continue };
        if !container.running && owner.rules.is_empty() && !owner.guarded {
            continue;
        }
        let rank = (container.running, single, named != container.running);
        match &mut best {
            Some((known, _)) if *known > rank => {}
            Some((known, equals)) if *known == rank => {
                // Of two that Docker publishes the later one has it; between two that rules name nobody can choose.
                if !named {
                    equals.clear();
                }
                equals.push(owner);
            }
            _ => best = Some((rank, vec![owner])),
        }
    }
    let (_, mut equals) = best?;
    let agree = equals.windows(2).all(|pair| {
        let same = pair[0].rules.iter().zip(&pair[1].rules).all(|(one, other)| std::ptr::eq(*one, *other));
        same && pair[0].rules.len() == pair[1].rules.len() && pair[0].guarded == pair[1].guarded
    });
    let &PortOwner { inner, calls, .. } = equals.last()?;
    if agree { equals.pop() } else { Some(PortOwner { inner, rules: Vec::new(), guarded: true, calls }) }
}

/// Whether a container lays claim to a port of the host: for this address alone, by a rule's word.
fn claim<'a>(
    world: &World<'a>,
    container: &'a Container,
    own: IpAddr,
    protocol: Protocol,
    port: u16,
) -> Option<(bool, bool, PortOwner<'a>)> {
    let speaking = |inner: u16| -> Vec<&'a Rule> {
        let side = Side { peer: own, port: Some((protocol, inner)), interface: "", published: Some(port) };
        let meant = world
            .policy
            .rules
            .iter()
            .filter(|rule| rule.targets.iter().any(|target| means(target, container, world.inventory)));
        meant.filter(|rule| ports_match(&rule.ports, &side)).collect()
    };
    let closed = world.policy.default == DefaultAccess::Closed;
    let allows = |rule: &Rule| rule.verdict == Verdict::Allow;
    if container.mode == NetworkMode::Host {
        let rules = speaking(port);
        // '*' does not mean the ports of the host.
        let mut naming = rules.iter().filter(|rule| {
            let meant = |target: &Target| *target != Target::All && means(target, container, world.inventory);
            (rule.ports.container.is_some() || rule.ports.published.is_some()) && rule.targets.iter().any(meant)
        });
        naming.clone().next()?;
        let guarded = closed || naming.any(|rule| allows(rule));
        return Some((false, true, PortOwner { inner: port, rules, guarded, calls: true }));
    }
    let mut here = container.bindings.iter().filter(|binding| binding_is(binding, own, protocol, port));
    let all = here.clone().next()?;
    let binding = here.rfind(|binding| binding.host_address == own).unwrap_or(all);
    let guarded =
        closed
            || world.policy.rules.iter().any(|rule| {
                allows(rule) && rule.targets.iter().any(|target| means(target, container, world.inventory))
            });
    let rules = speaking(binding.container_port);
    let owner = PortOwner { inner: binding.container_port, rules, guarded, calls: !container.running };
    Some((binding.host_address == own, false, owner))
}

fn binding_is(binding: &Binding, own: IpAddr, protocol: Protocol, port: u16) -> bool {
    let address = binding.host_address;
    !address.is_loopback()
        && binding.protocol == protocol
        && binding.host_port == Some(port)
        && address.is_ipv4() == own.is_ipv4()
        && (address.is_unspecified() || address == own)
}

/// A TCP packet of no known connection that does not begin one.
fn opens_nothing(packet: &Packet) -> bool {
    matches!(packet.transport, Transport::Ports { protocol: Protocol::Tcp, syn: false, .. })
        && packet.state == ConnState::New
}

/// A packet to a container, judged by who sends it.
fn drops_inbound(world: &World<'_>, packet: &Packet) -> bool {
    let port = ports_of(packet).map(|(protocol, _, destination)| (protocol, destination));
    let Some((rules, service)) = rules_at(world, packet.destination, port) else { return false };
    // What the container asked for itself, what comes from a container, and errors about known connections pass.
    if packet.direction == Some(ConnDirection::Reply)
        || inside(world.inventory, packet.source, &packet.in_interface)
        || is_the_link(packet.source) && inside(world.inventory, packet.destination, &packet.in_interface)
        || packet.state == ConnState::Related
    {
        return false;
    }
    let (port, published) = service.unwrap_or((port, packet.published));
    let side = Side { peer: packet.source, port, interface: &packet.in_interface, published };
    rules.drop(world, &side)
}

/// A packet from a container: only what answers somebody from outside is judged, by whom it goes to.
fn drops_outbound(world: &World<'_>, packet: &Packet) -> bool {
    let port = ports_of(packet).map(|(protocol, source, _)| (protocol, source));
    let Some((rules, service)) = rules_at(world, packet.source, port) else { return false };
    if inside(world.inventory, packet.destination, &packet.out_interface)
        || is_the_link(packet.destination) && inside(world.inventory, packet.source, &packet.out_interface)
    {
        return false;
    }
    let (port, published) = service.unwrap_or((port, packet.published));
    let side = Side { peer: packet.destination, port, interface: &packet.out_interface, published };
    if !opens_nothing(packet)
        && (packet.direction == Some(ConnDirection::Original) || packet.state == ConnState::Related)
    {
        return false;
    }
    rules.drop(world, &side)
}

/// An address that means something on one link only: `fe80::/10` and `ff02::/16`.
fn is_the_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.segments()[0] == 0xff02)
}

fn ports_of(packet: &Packet) -> Option<(Protocol, u16, u16)> {
    match packet.transport {
        Transport::Ports { protocol, source, destination, .. } => Some((protocol, source, destination)),
        Transport::Icmp6(_) | Transport::Other => None,
    }
}

/// The far end of a packet, and the container's port.
struct Side<'a> {
    peer: IpAddr,
    port: Option<(Protocol, u16)>,
    interface: &'a str,
    published: Option<u16>,
}

/// The rules of one address.
struct Rules<'a> {
    rules: Vec<&'a Rule>,
    guarded: bool,
}

impl Rules<'_> {
    fn drop(&self, world: &World<'_>, side: &Side<'_>) -> bool {
        match self.rules.iter().find(|rule| matches(world, rule, side)) {
            Some(rule) => rule.verdict == Verdict::Deny,
            None => self.guarded,
        }
    }
}

/// The port inside and the published one, where the packet's own says neither.
type BothPorts = (Option<(Protocol, u16)>, Option<u16>);

/// The rules that speak of a port at an address, and which ports it stands for. Where a swarm's published ports arrive,
/// each is its service's.
fn rules_at<'a>(
    world: &World<'a>,
    address: IpAddr,
    port: Option<(Protocol, u16)>,
) -> Option<(Rules<'a>, Option<BothPorts>)> {
    let ingress = world.inventory.ingress.as_ref().filter(|ingress| ingress.addresses.contains(&address));
    if let Some((_, (protocol, published))) = ingress.zip(port) {
        for service in world.inventory.services() {
            let is_it = |port: &&ServicePort| port.protocol == protocol && port.published == published;
            let Some(found) = service.ports.iter().find(is_it) else { continue };
            let rules: Vec<&Rule> =
                world.policy.rules.iter().filter(|rule| names_service(world, rule, service)).collect();
            let closed = world.policy.default == DefaultAccess::Closed;
            let guarded = closed || rules.iter().any(|rule| rule.verdict == Verdict::Allow);
            let live = rules.into_iter().filter(|rule| rule.expires.is_none_or(|at| at > world.now)).collect();
            let ports = (found.target.map(|target| (protocol, target)), Some(published));
            return Some((Rules { rules: live, guarded }, Some(ports)));
        }
    }
    rules_for(world, address).map(|rules| (rules, None))
}

fn names_service(world: &World<'_>, rule: &Rule, service: &Service) -> bool {
    rule.targets.iter().any(|target| match target {
        Target::All => true,
        Target::SwarmService(name) => service.name == *name,
        Target::Label(key, value) => {
            service.labels.iter().any(|(own, text)| own == key && value.as_ref().is_none_or(|value| value == text))
        }
        Target::Network(name) => world
            .inventory
            .networks
            .iter()
            .any(|network| network.name == *name && service.networks.contains(&network.id)),
        Target::Container(_) | Target::Service(..) => false,
    })
}

/// The rules that speak of an address; `None` when Docker alone decides.
fn rules_for<'a>(world: &World<'a>, address: IpAddr) -> Option<Rules<'a>> {
    let inventory = world.inventory;
    let closed = world.policy.default == DefaultAccess::Closed;
    let owners: Vec<&Container> = inventory
        .containers
        .iter()
        .filter(|container| container.running && has_address(inventory, container, address))
        .collect();
    let selecting = |container: &Container| -> Vec<&'a Rule> {
        world
            .policy
            .rules
            .iter()
            .filter(|rule| rule.targets.iter().any(|target| means(target, container, inventory)))
            .collect()
    };
    match owners.as_slice() {
        [] => {
            let unseen = !world.policy.rules.is_empty() && !is_swarms(inventory, address) && closes_unseen(world);
            ((closed || unseen) && in_networks(inventory, address))
                .then_some(Rules { rules: Vec::new(), guarded: true })
        }
        [one] => {
            let rules = selecting(one);
            let guarded = closed || rules.iter().any(|rule| rule.verdict == Verdict::Allow);
            if rules.is_empty() && !guarded {
                return None;
            }
            let live = rules.into_iter().filter(|rule| rule.expires.is_none_or(|at| at > world.now)).collect();
            Some(Rules { rules: live, guarded })
        }
        several => {
            let spoken_of = closed || several.iter().any(|container| !selecting(container).is_empty());
            spoken_of.then_some(Rules { rules: Vec::new(), guarded: true })
        }
    }
}

fn closes_unseen(world: &World<'_>) -> bool {
    world.followed && world.policy.unseen == Unseen::Closed
}

fn has_address(inventory: &Inventory, container: &Container, address: IpAddr) -> bool {
    container.endpoints.iter().any(|endpoint| {
        let bridge =
            inventory.networks.iter().any(|network| network.id == endpoint.network && network.driver == "bridge");
        bridge && (endpoint.v4.map(IpAddr::V4) == Some(address) || endpoint.v6.map(IpAddr::V6) == Some(address))
    })
}

fn means(target: &Target, container: &Container, inventory: &Inventory) -> bool {
    let label = |key: &str| container.labels.get(key);
    match target {
        Target::All => true,
        Target::Container(name) => container.name == *name,
        Target::Service(project, service) => {
            label("com.docker.compose.project") == Some(project) && label("com.docker.compose.service") == Some(service)
        }
        Target::SwarmService(name) => label("com.docker.swarm.service.name") == Some(name),
        Target::Label(key, value) => match value {
            None => label(key).is_some(),
            Some(value) => label(key) == Some(value),
        },
        Target::Network(name) => container.endpoints.iter().any(|endpoint| {
            inventory.networks.iter().any(|network| network.id == endpoint.network && network.name == *name)
        }),
    }
}

fn matches(world: &World<'_>, rule: &Rule, side: &Side<'_>) -> bool {
    let interface = rule.interface.as_ref().is_none_or(|name| name == side.interface);
    interface
        && ports_match(&rule.ports, side)
        && rule.sources.iter().any(|source| comes_from(world, source, side.peer))
}

fn ports_match(ports: &Ports, side: &Side<'_>) -> bool {
    let Ports { container, published } = ports;
    if container.is_none() && published.is_none() {
        return true;
    }
    let Some((protocol, port)) = side.port else { return false };
    container.as_ref().is_some_and(|ports| ports.contains(protocol, port))
        || published.as_ref().is_some_and(|ports| side.published.is_some_and(|host| ports.contains(protocol, host)))
}

fn comes_from(world: &World<'_>, source: &RuleSource, peer: IpAddr) -> bool {
    let held =
        |name: &str| world.members.get(name).is_some_and(|blocks| blocks.iter().any(|block| block.contains(&peer)));
    match source {
        RuleSource::Any => true,
        RuleSource::Literal { blocks, .. } => blocks.iter().any(|block| block.contains(&peer)),
        RuleSource::Set(name) => held(name.as_str()),
        RuleSource::Ipset(name) => held(&format!("ipset:{name}")),
    }
}

fn inside(inventory: &Inventory, address: IpAddr, interface: &str) -> bool {
    inventory.networks.iter().any(|network| {
        network.driver == "bridge"
            && network.bridge.as_deref() == Some(interface)
            && network.subnets.iter().any(|subnet| subnet.contains(&address))
    })
}
