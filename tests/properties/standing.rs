//! What is worked out for containers that came or went is what a pass over everything would write.

use std::sync::Arc;

use docker_firewall::compile::{Ground, ThirdLine, compile};
use docker_firewall::host::kernel::Kernel as _;
use docker_firewall::inventory::Inventory;
use docker_firewall::net::Family;
use docker_firewall::plan;
use docker_firewall::policy::Hook;
use docker_firewall::reconcile::{self, Standing, Terms, remembered};
use docker_firewall::resolve::{BootRecord, Facts, Following, Proof, Resolved, resolve};
use docker_firewall::ruleset::{Desired, DesiredSet, Dump, Packet};
use proptest::prelude::*;

use super::kernel::MemoryKernel;
use super::world::{self, World};
use super::{dropped, fork, kernel, users};

/// One moment's containers: of each whether it is as it is drawn here or as it was, or is not there at all, and which of
/// the networks there are.
#[derive(Clone, Debug)]
struct Moment {
    drawn: Inventory,
    changes: [bool; 4],
    absent: [bool; 4],
    networks: [bool; 4],
}

fn moment() -> impl Strategy<Value = Moment> {
    let rarely = |chance| prop::array::uniform4(prop::bool::weighted(chance));
    (world::inventory(), rarely(0.4), rarely(0.15), rarely(0.98))
        .prop_map(|(drawn, changes, absent, networks)| Moment { drawn, changes, absent, networks })
}

impl Moment {
    /// The containers of `before`, which has all of them, with what changes: all of them, and those that are there.
    fn after(&self, before: &Inventory) -> (Inventory, Inventory) {
        let mut all = before.clone();
        all.ingress = None;
        for (at, container) in self.drawn.containers.iter().enumerate().filter(|(at, _)| self.changes[*at]) {
            // The first digits are what is remembered of an ID.
            all.containers[at] =
                docker_firewall::inventory::Container { id: format!("{at:a<64}"), ..container.clone() };
        }
        let mut here = all.clone();
        let mut absent = self.absent.into_iter();
        here.containers.retain(|_| absent.next() != Some(true));
        here.containers.sort_by(|a, b| a.name.cmp(&b.name));
        let mut there = self.networks.into_iter();
        here.networks.retain(|_| there.next() != Some(false));
        (all, here)
    }
}

fn following(world: &World) -> Following {
    if world.followed { Following::Agent } else { Following::Nobody }
}

/// As a pass over everything resolves it.
fn resolved(world: &World, state: &Dump) -> Resolved {
    let facts = Facts {
        inventory: &world.inventory,
        sets: &users(),
        ipsets: &[("crowd".to_owned(), Family::V4)].into(),
        remembered: &remembered(state),
        ingress: &reconcile::remembered_ingress(state),
        following: following(world),
        now: World::now(),
    };
    Resolved { proof: Proof::Wanted, ..resolve(&world.policy, &facts) }
}

fn wanted(world: &World, state: &Dump) -> Desired {
    let own = compile(&resolved(world, state), |family| Ground::of(state, family));
    let mut desired = super::desired(world, state);
    desired.sets.retain(|_, set| matches!(set, DesiredSet::User { .. }));
    desired.sets.extend(own.sets);
    Desired { tables: own.tables, ..desired }
}

/// A pass over everything.
fn pass(kernel: &mut MemoryKernel, world: &World) {
    let before = reconcile::observe(kernel, &users()).unwrap();
    reconcile::apply(kernel, &users(), &before, &|state| wanted(world, state), &|| false).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_changed_is_what_a_whole_pass_writes(
        world in world::world(),
        moments in prop::collection::vec(moment(), 2..7),
        packets in prop::collection::vec(world::packet(), 12),
        hook in prop::sample::select(vec![Hook::DockerUser, Hook::Docker, Hook::Forward]),
    ) {
        let mut world = world;
        world.policy.hook = hook;
        let users = users();
        let policy = world.policy.clone();
        let terms =
            Terms { policy: &policy, users: &users, following: following(&world), proof: Proof::Wanted, mute: false, now: World::now() };
        let all = Moment { changes: [true; 4], ..moments[0].clone() };
        let (mut everyone, here) = all.after(&all.drawn);
        world.inventory = here;
        let mut kernel = kernel(&world);
        pass(&mut kernel, &world);
        let mut standing = Standing::after(&terms, Arc::new(world.inventory.clone()), &kernel.state, false);
        for moment in &moments[1..] {
            (everyone, world.inventory) = moment.after(&everyone);
            let before = fork(&kernel);
            let want = wanted(&world, &before.state);
            let mut whole = fork(&kernel);
            pass(&mut whole, &world);

            let change = standing.change(&terms, &Arc::new(world.inventory.clone()));
            for call in &change.calls {
                kernel.restore_sets(call).unwrap();
                for packet in &packets {
                    let is_dropped = |kernel: &MemoryKernel, packet: &Packet| dropped(&kernel.state, packet);
                    if is_dropped(&before, packet) && is_dropped(&whole, packet) {
                        prop_assert!(is_dropped(&kernel, packet), "{call}\nis wider for {packet:#?}");
                    }
                }
            }
            if change.is_all {
                let left = plan::diff(&kernel.state, &want);
                prop_assert!(left.is_empty(), "{left:#?}\nleft of {:#?}", change.calls);
                standing.take(change, &terms);
                standing = standing.copied();
                let resolved = resolved(&world, &kernel.state);
                let ground = |family| Ground::of(&kernel.state, family);
                let calling = Family::ALL.into_iter().filter(|family| ground(*family).docker_user).collect();
                prop_assert_eq!(standing.record(), &BootRecord::of(&resolved, false, calling));
                prop_assert_eq!(standing.third_line().cloned(), ThirdLine::of(&resolved, ground));
            } else {
                pass(&mut kernel, &world);
                prop_assert_eq!(&kernel.state.sets, &whole.state.sets);
                standing = Standing::after(&terms, Arc::new(world.inventory.clone()), &kernel.state, false);
            }
        }
    }
}
