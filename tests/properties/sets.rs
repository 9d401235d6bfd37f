//! Whatever somebody does to one of our sets, nobody gets more; and when all are emptied at once, everything is closed.

use docker_firewall::compile::is_canary;
use docker_firewall::net::Family;
use docker_firewall::policy::Hook;
use docker_firewall::ruleset::{ConnDirection, ConnState, Dump, Members, Path, SetKind, Table, Transport, is_own_set};
use proptest::prelude::*;

use super::kernel::MemoryKernel;
use super::world::{self, World};
use super::{Member, Packet, SetEntry, apply, dropped, kernel, kernel_blocks};

/// The bridges of the world.
const BRIDGES: [&str; 3] = ["br-a", "br-b", "br-gw"];

fn applied(world: &World) -> MemoryKernel {
    let mut kernel = kernel(world);
    apply(&mut kernel, world).unwrap();
    kernel
}

/// What a hand can do to one set: empty it, take a member out, put everybody in, or put in exceptions for everybody.
fn edits(state: &Dump, name: &str) -> Vec<(&'static str, Dump)> {
    let edited = |act: &dyn Fn(&mut Members)| {
        let mut state = state.clone();
        act(&mut state.sets.get_mut(name).unwrap().members);
        state
    };
    let mut all = vec![("flushed", edited(&|members| members.clear()))];
    for entry in state.sets[name].members.keys() {
        all.push(("without a member", edited(&|members| drop(members.remove(&entry)))));
    }
    let shape = &state.sets[name].shape;
    if shape.kind == SetKind::Net {
        for nomatch in [false, true] {
            let everybody = kernel_blocks(shape.family.everything()).into_iter();
            let everybody: Vec<_> =
                everybody.map(|block| (SetEntry::Net(block), Member { nomatch, ..Member::default() })).collect();
            all.push(("with everybody", edited(&|members| members.extend(everybody.clone()))));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// An edit of one of our sets, whichever, gives nobody anything.
    #[test]
    fn no_edit_of_one_set_is_wider(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 40),
        hook in prop::sample::select(vec![Hook::DockerUser, Hook::Forward]),
    ) {
        let mut world = world;
        world.policy.hook = hook;
        let kernel = applied(&world);
        let kept_out: Vec<&Packet> = packets.iter().filter(|packet| dropped(&kernel.state, packet)).collect();
        for name in kernel.state.sets.keys().filter(|name| is_own_set(name)) {
            for (what, state) in edits(&kernel.state, name) {
                for packet in &kept_out {
                    prop_assert!(dropped(&state, packet), "{name} {what}: {packet:#?}");
                }
            }
        }
    }

    /// All sets emptied, as `ipset flush` does it, step by step in the order of their making: of what was kept out nothing
    /// passes into or out of a container, the host's calls to bridges are closed, and the host's own ports are not.
    #[test]
    fn no_flush_of_all_sets_is_wider(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 60),
        backstop in any::<bool>(),
    ) {
        let mut start = kernel(&world);
        if !backstop {
            start.state.tables.retain(|(_, table), _| *table == Table::Filter);
        }
        apply(&mut start, &world).unwrap();
        let resolved = world.resolved();
        let mut state = start.state.clone();
        for set in state.sets.values_mut() {
            set.members.clear();
        }
        let active = resolved.is_active();
        for packet in &packets {
            let on_bridge = |interface: &str| BRIDGES.contains(&interface);
            let (from, to) = (on_bridge(&packet.in_interface), on_bridge(&packet.out_interface));
            let related = packet.state == ConnState::Related;
            let answers = packet.direction == Some(ConnDirection::Reply) || related;
            let before = dropped(&start.state, packet);
            let after = dropped(&state, packet);
            let named = |port: u16| {
                resolved.host_ports.iter().any(|one| {
                    one.named && one.is_ruled() && one.port == port
                        && Family::of(&one.block.addr()) == Family::of(&packet.source)
                        && matches!(packet.transport, Transport::Ports { protocol, .. } if protocol == one.protocol)
                })
            };
            match (packet.path, packet.transport) {
                (Path::Forward, _) if from != to => prop_assert!(after || !before, "{packet:#?}"),
                (Path::Forward, _) if !from => prop_assert!(!after, "{packet:#?}"),
                (Path::Output, _) if to => prop_assert_eq!(after, active && !answers, "{:#?}", packet),
                (Path::Input, Transport::Ports { destination, .. }) if !from && packet.in_interface != "lo" => {
                    prop_assert_eq!(after, active && named(destination) && !answers, "{:#?}", packet);
                }
                (Path::Output, Transport::Ports { source, .. }) if packet.out_interface != "lo" && !named(source) => {
                    prop_assert!(!after, "{packet:#?}");
                }
                _ => {}
            }
        }
    }

    /// The kernel empties sets in the order in which they were made: between two of ours, too, nothing passes into or out
    /// of a container that was kept out before.
    #[test]
    fn no_step_of_a_flush_is_wider(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 40),
    ) {
        let mut kernel = applied(&world);
        let made: Vec<String> = kernel
            .calls
            .iter()
            .flat_map(|call| call.lines())
            .filter_map(|line| line.strip_prefix("create ")?.split(' ').next())
            .filter(|name| is_own_set(name))
            .map(str::to_owned)
            .collect();
        let kept_out: Vec<Packet> = packets
            .into_iter()
            .filter(|packet| {
                let crosses = BRIDGES.contains(&&*packet.in_interface) != BRIDGES.contains(&&*packet.out_interface);
                packet.path == Path::Forward && crosses && dropped(&kernel.state, packet)
            })
            .collect();
        for name in &made {
            kernel.state.sets.get_mut(name).unwrap().members.clear();
            for packet in &kept_out {
                prop_assert!(dropped(&kernel.state, packet), "{name}: {packet:#?}");
            }
        }
        prop_assert!(made.first().is_none_or(|name| is_canary(name)), "{made:?}");
    }
}
