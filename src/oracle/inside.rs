//! The plain reading of a packet inside a container's own network namespace.

use super::{World, comes_from, means, opens_nothing, ports_of};
use crate::inventory::{Container, Endpoint};
use crate::net::Family;
use crate::policy::{DefaultAccess, Rule, Verdict};
use crate::ruleset::{ConnDirection, ConnState, Packet, Path, Transport};

/// Whether our rules in the namespace of `container` drop `packet`, which comes in there or goes out. `wires` are its
/// interfaces with the full IDs of their networks.
pub fn drops_inside(world: &World<'_>, container: &Container, wires: &[(&str, &str)], packet: &Packet) -> bool {
    let inbound = packet.path == Path::Input;
    let (peer, interface) = if inbound {
        (packet.source, packet.in_interface.as_str())
    } else {
        (packet.destination, packet.out_interface.as_str())
    };
    let discovery = matches!(packet.transport, Transport::Icmp6(130..=137 | 143));
    if discovery || interface == "lo" || packet.state == ConnState::Related {
        return false;
    }
    let wire = wires.iter().find(|(name, _)| *name == interface).map(|(_, id)| *id);
    let network = world.inventory.networks.iter().find(|network| Some(&*network.id) == wire);
    if network.is_some_and(|network| matches!(network.driver.as_str(), "bridge" | "overlay")) {
        return false;
    }
    let neighbour = |other: &Container| {
        let there = |at: &Endpoint| Some(&*at.network) == wire && at.address(Family::of(&peer)) == Some(peer);
        other.running && other.id != container.id && other.endpoints.iter().any(there)
    };
    if world.inventory.containers.iter().any(neighbour) {
        return false;
    }
    let started_here = match packet.direction {
        Some(ConnDirection::Reply) => inbound,
        Some(ConnDirection::Original) => !inbound && !opens_nothing(packet),
        None => false,
    };
    if started_here {
        return false;
    }
    let rules = world.policy.rules.iter();
    let selecting: Vec<&Rule> =
        rules.filter(|rule| rule.targets.iter().any(|target| means(target, container, world.inventory))).collect();
    let guarded =
        world.policy.default == DefaultAccess::Closed || selecting.iter().any(|rule| rule.verdict == Verdict::Allow);
    let own_port = ports_of(packet).map(|(protocol, from, to)| (protocol, if inbound { to } else { from }));
    let deciding = selecting.into_iter().filter(|rule| rule.expires.is_none_or(|at| at > world.now)).find(|rule| {
        let parent = network.and_then(|network| network.parent.as_ref());
        let here = rule.interface.is_none() || rule.interface.as_ref() == parent;
        // Nothing is published there.
        let port = match (&rule.ports.container, &rule.ports.published) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(ports), _) => own_port.is_some_and(|(protocol, port)| ports.contains(protocol, port)),
        };
        here && port && rule.sources.iter().any(|from| comes_from(world, from, peer))
    });
    deciding.map_or(guarded, |rule| rule.verdict == Verdict::Deny)
}
