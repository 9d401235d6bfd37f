//! Ways that the kernel leaves open to strangers though the policy says otherwise: what `doctor` asks.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::reason::reason;
use super::way::{enter, ways};
use crate::access::is_guarded;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::values::Destination;
use crate::cli::world::World;
use crate::doctor::Strangers;
use crate::effective::Answer;
use crate::inventory::{Container, Inventory, NetworkMode};
use crate::net::Protocol;
use crate::policy::{Policy, Target};
use crate::resolve::named_ports;

/// Addresses that the public network never carries (RFC 2544, RFC 5180): nobody lists them. They stand for the world behind
/// a default route.
const STRANGERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1))];

/// Sends a stranger of each family over every way into every guarded container, in thought: past everybody's rules as
/// they are in the kernel.
pub(in crate::cli) fn strangers(session: &mut Session) -> Result<Strangers, Failure> {
    let whole = session.whole()?;
    let mut world = World::read(session, whole, None)?;
    let destinations = guarded(session.policy(), session.containers()?);
    let strangers = callers(&world);
    let mut leaks = Strangers { guarded: destinations.len(), ..Strangers::default() };
    for destination in &destinations {
        for (port, ways) in ways(session, &world, destination)? {
            enter(&mut world, session, &ways)?;
            for way in &ways {
                for stranger in strangers.iter().copied().filter(|stranger| way.takes(*stranger)) {
                    let passage = way.tried(&world, stranger);
                    let reason = reason(session, &world, way, stranger, &passage)?;
                    let said =
                        || format!("{port} from {stranger} by {} {}: {}", way.kind.name(), way.to_text(), reason.text);
                    leaks.tried += 1;
                    match passage.answer {
                        Answer::Allowed if reason.differs => leaks.open.push(said()),
                        Answer::Unknown => leaks.unknown.push(said()),
                        _ => {}
                    }
                }
            }
        }
    }
    Ok(leaks)
}

/// Whoever can be answered: one from the world, if a route leads there, and one from each block that a route leads to
/// outside of the engine's bridges, its last address. Where rules do list it, they are asked about it too.
fn callers(world: &World) -> BTreeSet<IpAddr> {
    let last = |block: &IpNet| match block.broadcast() {
        IpAddr::V4(last) if block.prefix_len() < 31 => IpAddr::V4(Ipv4Addr::from(u32::from(last).saturating_sub(1))),
        last => last,
    };
    let outside = world.host.routes.iter().filter(|route| route.block.prefix_len() > 0);
    let neighbours = outside.map(|route| last(&route.block));
    let hidden = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let comes = |address: &IpAddr| {
        let device = world.host.device(address);
        device.is_some_and(|device| device != "lo") && !world.is_inside(*address) && !world.host.is_local(address)
    };
    STRANGERS
        .into_iter()
        .chain(neighbours)
        .filter(|address| comes(address) && !hidden(address) && !address.is_multicast())
        .collect()
}

/// The ports of guarded containers that run: those that are published, and of those on the host's network those that
/// rules guard. Containers that share another one's network have no way of their own.
fn guarded(policy: &Policy, inventory: &Inventory) -> Vec<Destination> {
    let runs = |container: &&Container| container.running && !matches!(container.mode, NetworkMode::Container(_));
    let mut all = Vec::new();
    for container in inventory.containers.iter().filter(runs) {
        let to = |port: Option<(Protocol, u16)>| Destination {
            text: container.name.clone(),
            target: Some(Target::Container(container.name.clone())),
            port,
        };
        if container.mode == NetworkMode::Host {
            let pieces = named_ports(policy, inventory, container).into_iter().filter(|piece| piece.guarded);
            all.extend(pieces.map(|piece| to(Some((piece.range.protocol, piece.range.first)))));
        } else if !container.bindings.is_empty() && is_guarded(policy, inventory, container) {
            all.push(to(None));
        }
    }
    all
}
