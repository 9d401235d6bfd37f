//! The compiled rules mean what the policy says, at every moment of every change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "properties/effective.rs"]
mod effective;
mod kernel;
mod onlooker;
#[path = "properties/sandbox.rs"]
mod sandbox;
#[path = "properties/sets.rs"]
mod sets;
#[path = "properties/standing.rs"]
mod standing;
#[path = "properties/ways.rs"]
mod ways;
mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use docker_firewall::compile::{Ground, compile};
use docker_firewall::host::kernel::Kernel;
use docker_firewall::net::{Family, kernel_blocks};
use docker_firewall::oracle;
use docker_firewall::plan;
use docker_firewall::policy::Hook;
use docker_firewall::reconcile;
use docker_firewall::ruleset::{
    Desired, DesiredSet, Dump, IpSet, Member, Outcome, Packet, SetEntry, SetKind, SetShape, Table, through,
};
use proptest::prelude::*;

use kernel::MemoryKernel;
use world::World;

fn users() -> BTreeSet<String> {
    ["friends", "friends-v6", "foes", "foes-v6"].map(str::to_owned).into()
}

/// Everything of ours that this world asks for, on the ground that `state` offers.
fn desired(world: &World, state: &Dump) -> Desired {
    let mut desired = compile(&world.resolved(), |family| Ground::of(state, family));
    for name in ["friends", "foes"] {
        for family in Family::ALL {
            let blocks = world.members[name].iter().filter(|block| Family::of(&block.addr()) == family);
            let members = blocks
                .flat_map(|block| kernel_blocks(*block))
                .map(|block| (SetEntry::Net(block), Member::default()))
                .collect();
            let shape = shape(family);
            let kernel_name = if family == Family::V4 { name.to_owned() } else { format!("{name}-v6") };
            // A member that another world of the same test had and this one has not was removed by its owner.
            let before = state.sets.get(&kernel_name).map(|set| set.members.keys().collect()).unwrap_or_default();
            let set = IpSet { shape, members };
            desired.sets.insert(kernel_name, DesiredSet::User { set, removed: before, dated: BTreeSet::new() });
        }
    }
    desired
}

fn shape(family: Family) -> SetShape {
    SetShape {
        kind: SetKind::Net,
        family,
        hashsize: 1024,
        maxelem: 65536,
        timeout: Some(0),
        comment: true,
        counters: false,
    }
}

/// A kernel as Docker leaves it, with the foreign set that rules may name.
fn kernel(world: &World) -> MemoryKernel {
    let mut kernel = MemoryKernel::with_docker();
    // What passes our rules shall pass: only their drops are counted.
    for table in kernel.state.tables.values_mut() {
        table.chains.get_mut("FORWARD").unwrap().policy = Some("ACCEPT".to_owned());
    }
    let crowd = &world.members["ipset:crowd"];
    let blocks = crowd.iter().flat_map(|block| kernel_blocks(*block));
    let members = blocks.map(|block| (SetEntry::Net(block), Member::default())).collect();
    kernel.state.sets.insert("crowd".to_owned(), IpSet { shape: shape(Family::V4), members });
    kernel
}

/// Another kernel in the same state.
fn fork(kernel: &MemoryKernel) -> MemoryKernel {
    let mut other = MemoryKernel::new();
    other.state = kernel.state.clone();
    other
}

fn apply(kernel: &mut MemoryKernel, world: &World) -> Result<reconcile::Applied, reconcile::ApplyError> {
    let before = reconcile::observe(kernel, &users()).unwrap();
    reconcile::apply(kernel, &users(), &before, &|state| desired(world, state), &|| false)
}

fn expected(world: &World, packet: &Packet) -> bool {
    let world = oracle::World {
        policy: &world.policy,
        inventory: &world.inventory,
        members: &world.members,
        followed: world.followed,
        now: World::now(),
    };
    oracle::drops(&world, packet)
}

fn dropped(state: &Dump, packet: &Packet) -> bool {
    through(state, Family::of(&packet.source), packet.path.chain(), packet).outcome == Outcome::Drop
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// `trace(compile(policy))` is the plain first-match reading.
    #[test]
    fn the_rules_say_what_the_policy_says(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 60),
        hook in prop::sample::select(vec![Hook::DockerUser, Hook::Docker, Hook::Forward]),
    ) {
        let mut world = world;
        world.policy.hook = hook;
        let mut kernel = kernel(&world);
        apply(&mut kernel, &world).unwrap();
        for packet in &packets {
            let (want, have) = (expected(&world, packet), dropped(&kernel.state, packet));
            prop_assert_eq!(have, want, "{:#?}\n{:#?}", packet, through(&kernel.state, Family::of(&packet.source), packet.path.chain(), packet));
        }
    }

    /// Who is told of is dropped, and told of once, though two lines judge him.
    #[test]
    fn a_drop_is_told_of_once(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 60),
        hook in prop::sample::select(vec![Hook::DockerUser, Hook::Docker, Hook::Forward]),
        bypassed in any::<bool>(),
    ) {
        let mut world = world;
        (world.policy.hook, world.policy.log) = (hook, true);
        let mut kernel = kernel(&world);
        apply(&mut kernel, &world).unwrap();
        if bypassed {
            kernel.state.tables.retain(|(_, table), _| *table == Table::Security);
        }
        for packet in &packets {
            let walk = through(&kernel.state, Family::of(&packet.source), packet.path.chain(), packet);
            let told: Vec<&str> = walk.steps.iter().map(|step| &*step.text).filter(|text| text.contains("-j NFLOG ")).collect();
            prop_assert!(told.len() <= 1 && (told.is_empty() || walk.outcome == Outcome::Drop), "{:#?}", walk);
            // Of the recipe's hook the backstop judges what goes to a container's own address.
            let by_backstop = told.iter().any(|text| text.contains("docker-firewall-backstop-"));
            prop_assert!(told.is_empty() || by_backstop == bypassed || hook == Hook::Docker, "{:#?}", walk);
        }
    }

    /// A second apply finds nothing to do, and says so in both of its voices.
    #[test]
    fn applying_is_idempotent(world in world::world()) {
        let mut kernel = kernel(&world);
        apply(&mut kernel, &world).unwrap();
        let want = desired(&world, &kernel.state);
        prop_assert!(plan::plan(&kernel.state, &want).is_empty());
        prop_assert_eq!(plan::diff(&kernel.state, &want), vec![]);
        prop_assert_eq!(apply(&mut kernel, &world).unwrap().calls, 0);
    }

    /// What is not ours stays byte for byte, through an apply, a change and a reset.
    #[test]
    fn foreign_rules_survive(first in world::world(), second in world::world()) {
        let mut kernel = kernel(&first);
        let before = kernel.state.clone();
        apply(&mut kernel, &first).unwrap();
        apply(&mut kernel, &second).unwrap();
        let gone = Desired { gone: users(), ..Desired::default() };
        let state = kernel.state.clone();
        reconcile::apply(&mut kernel, &users(), &state, &|_| gone.clone(), &|| false).unwrap();
        prop_assert_eq!(&kernel.state, &before);
    }

    /// At every instant of a change a packet meets the old policy, the new one or a drop; never something wider.
    #[test]
    fn no_instant_is_wider(
        first in world::world(),
        second in world::world(),
        packets in prop::collection::vec(world::packet(), 40),
    ) {
        let mut second = second;
        second.inventory.clone_from(&first.inventory);
        check_change(&first, &second, &packets)?;
    }

    /// The same when containers move and addresses change hands.
    #[test]
    fn no_instant_is_wider_when_containers_move(
        first in world::world(),
        inventory in world::inventory(),
        members in world::members(),
        packets in prop::collection::vec(world::packet(), 40),
    ) {
        let mut second = first.clone();
        second.inventory = inventory;
        second.members = members;
        check_change(&first, &second, &packets)?;
    }

}

proptest! {
    // A case is a hundred applies.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whichever call fails, at whichever line, the kernel ends as it was before; killed there, it is never wider.
    #[test]
    fn every_failure_is_undone(
        first in world::world(),
        second in world::world(),
        packets in prop::collection::vec(world::packet(), 20),
        offset in any::<prop::sample::Index>(),
    ) {
        let mut second = second;
        second.members.insert("ipset:crowd".to_owned(), first.members["ipset:crowd"].clone());
        let mut start = kernel(&first);
        apply(&mut start, &first).unwrap();
        let before = start.state.clone();
        let steps = {
            let mut trial = fork(&start);
            apply(&mut trial, &second).unwrap();
            trial.steps()
        };
        // A few dozen of them a case, others in every case.
        let stride = steps / 40 + 1;
        for step in (offset.index(stride)..steps).step_by(stride) {
            let mut failing = fork(&start);
            failing.fail_at(step);
            let error = apply(&mut failing, &second).expect_err("a step failed");
            prop_assert!(error.to_string().contains("as it was before"), "step {step}: {error}");
            prop_assert_eq!(&failing.state, &before, "step {}", step);

            let mut dying = fork(&start);
            dying.die_at(step);
            prop_assert!(apply(&mut dying, &second).is_err());
            for packet in &packets {
                let allowed = !expected(&first, packet) || !expected(&second, packet);
                prop_assert!(dropped(&dying.state, packet) || allowed, "killed at step {}: {:#?}", step, packet);
            }
            // And the next run ends where it should, from wherever the killed one stopped.
            let mut next = dying;
            next.revive();
            apply(&mut next, &second).unwrap();
            for packet in &packets {
                prop_assert_eq!(dropped(&next.state, packet), expected(&second, packet));
            }
        }
    }
}

fn check_change(first: &World, second: &World, packets: &[Packet]) -> Result<(), TestCaseError> {
    let mut second = second.clone();
    // The foreign set is not ours to change.
    second.members.insert("ipset:crowd".to_owned(), first.members["ipset:crowd"].clone());
    let mut kernel = kernel(first);
    apply(&mut kernel, first).unwrap();
    let wider: Rc<RefCell<Vec<String>>> = Rc::default();
    let (found, packets_seen) = (Rc::clone(&wider), packets.to_vec());
    let verdicts: Vec<bool> =
        packets.iter().map(|packet| expected(first, packet) && expected(&second, packet)).collect();
    kernel.on_step(move |state: &Dump| {
        for (packet, both_drop) in packets_seen.iter().zip(&verdicts) {
            if *both_drop && !dropped(state, packet) {
                found.borrow_mut().push(format!("{packet:?}"));
            }
        }
    });
    apply(&mut kernel, &second).unwrap();
    prop_assert!(wider.borrow().is_empty(), "wider: {:#?}", wider.borrow());
    for packet in packets {
        prop_assert_eq!(dropped(&kernel.state, packet), expected(&second, packet));
    }
    Ok(())
}

#[test]
fn an_unused_kernel_is_left_alone() {
    let mut kernel = MemoryKernel::with_docker();
    let before = kernel.state.clone();
    let applied = reconcile::apply(&mut kernel, &users(), &before, &|_| Desired::default(), &|| false).unwrap();
    assert_eq!((applied.calls, &kernel.state), (0, &before));
    kernel.restore_sets("").unwrap();
}
