//! The same inside containers' own network namespaces, and over several kernels at once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use docker_firewall::compile::{self, Ground};
use docker_firewall::host::kernel::{Kernel, KernelError};
use docker_firewall::inventory::Container;
use docker_firewall::net::{Family, Protocol};
use docker_firewall::oracle;
use docker_firewall::plan;
use docker_firewall::reconcile::{Applied, ApplyError, Site, apply_all};
use docker_firewall::resolve::{self, Facts, Following, Interface};
use docker_firewall::ruleset::{ConnDirection, ConnState, Desired, Dump, Packet, Path, Transport, is_own_set};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;

use crate::kernel::MemoryKernel;
use crate::world::{self, World};
use crate::{desired, dropped, kernel, users};

/// The interfaces of a namespace, in which the macvlan network is `eth2`.
const WIRES: [(&str, &str); 3] = [("eth0", "front-id"), ("eth1", "back-id"), ("eth2", "lan-id")];

fn interfaces(world: &World, container: &Container) -> Vec<Interface> {
    let on = |id: &str| container.endpoints.iter().find(|endpoint| endpoint.network == id);
    let interface = |(name, id): &(&str, &str)| {
        let endpoint = on(id)?;
        let subnets = world.inventory.network(id)?.subnets.iter();
        let subnets = subnets.filter_map(|subnet| if let IpNet::V4(v4) = subnet { Some(*v4) } else { None }).collect();
        Some(Interface { name: (*name).to_owned(), subnets, v6: endpoint.v6.into_iter().collect() })
    };
    WIRES.iter().filter_map(interface).collect()
}

/// What the namespace of `container` shall hold beside a host that holds `host`.
fn desired_inside(world: &World, container: &Container, host: &Dump, inside: &Dump) -> Desired {
    let sets: BTreeSet<String> = ["friends", "foes"].map(str::to_owned).into();
    let ipsets = BTreeMap::from([("crowd".to_owned(), Family::V4)]);
    let (remembered, ingress) = (BTreeMap::new(), BTreeMap::new());
    let facts = Facts {
        inventory: &world.inventory,
        sets: &sets,
        ipsets: &ipsets,
        remembered: &remembered,
        ingress: &ingress,
        following: Following::Nobody,
        now: World::now(),
    };
    let held = compile::held(host, &desired(world, host));
    let found = resolve::sandboxed(&world.policy, &facts, container, &interfaces(world, container));
    found.map_or_else(Desired::default, |sandboxed| {
        compile::sandbox(&sandboxed, &held, |family| Ground::of(inside, family))
    })
}

fn expected(world: &World, container: &Container, packet: &Packet) -> bool {
    let on = |id: &str| container.endpoints.iter().any(|endpoint| endpoint.network == id);
    let wires: Vec<(&str, &str)> = WIRES.into_iter().filter(|(_, id)| on(id)).collect();
    let asked = oracle::World {
        policy: &world.policy,
        inventory: &world.inventory,
        members: &world.members,
        followed: false,
        now: World::now(),
    };
    // Those on bridges alone, and those that rest, have no rules of their own.
    container.running && on("lan-id") && oracle::drops_inside(&asked, container, &wires, packet)
}

/// A packet of a namespace: whatever address it is for, from neighbours, strangers and containers, over any interface.
fn packet() -> impl Strategy<Value = Packet> {
    let state = select(vec![
        (ConnState::New, Some(ConnDirection::Original)),
        (ConnState::Established, Some(ConnDirection::Original)),
        (ConnState::Established, Some(ConnDirection::Reply)),
        (ConnState::Related, Some(ConnDirection::Reply)),
        (ConnState::Invalid, None),
        (ConnState::Untracked, None),
    ]);
    let ported = (select(&Protocol::ALL), select(&world::PORTS), select(&world::PORTS), any::<bool>()).prop_map(
        |(protocol, source, destination, syn)| Transport::Ports {
            protocol,
            source,
            destination,
            syn: syn && protocol == Protocol::Tcp,
        },
    );
    let transport = prop_oneof![
        8 => ported,
        1 => Just(Transport::Other),
        1 => select(vec![128u8, 129, 130, 133, 135, 136, 137, 138, 143]).prop_map(Transport::Icmp6),
    ];
    // On its wire: the endpoint, a neighbour, somebody farther away.
    let v4 = ["192.0.2.2", "192.0.2.3", "192.0.2.5", "203.0.113.10", "203.0.113.66", "198.51.100.7", "224.0.0.251"];
    let v6 = ["fd00:c::2", "fd00:c::3", "fd00:1::10", "fd00:1::66", "2001:db8::7", "ff02::1", "fe80::1"];
    (any::<bool>(), any::<bool>(), select(vec!["lo", "eth0", "eth1", "eth2", "eth2", "eth2", "eth9"]))
        .prop_flat_map(move |(is_v4, inbound, interface)| {
            // What the host sends on over a bridge never has a neighbour's address.
            let near = usize::from(interface != "eth2") * 3;
            let peers = if is_v4 { v4[near..].to_vec() } else { v6[near.min(2)..].to_vec() };
            let own =
                if is_v4 { ["192.0.2.2", "172.30.0.2", "10.1.1.1"] } else { ["fd00:c::2", "fd00:a::2", "ff02::1"] };
            (Just((inbound, interface)), select(peers), select(own.to_vec()), transport.clone(), state.clone())
        })
        .prop_map(|((inbound, interface), peer, own, transport, (state, direction))| {
            let (peer, own): (IpAddr, IpAddr) = (peer.parse().unwrap(), own.parse().unwrap());
            let name = |here: bool| if here { interface.to_owned() } else { String::new() };
            Packet {
                path: if inbound { Path::Input } else { Path::Output },
                in_interface: name(inbound),
                out_interface: name(!inbound),
                source: if inbound { peer } else { own },
                destination: if inbound { own } else { peer },
                transport: match transport {
                    Transport::Icmp6(_) if peer.is_ipv4() => Transport::Other,
                    other => other,
                },
                state,
                direction,
                published: None,
            }
        })
}

/// A kernel that dies with all the others.
struct Mortal<'a> {
    kernel: &'a mut MemoryKernel,
    dead: Rc<Cell<bool>>,
}

impl Mortal<'_> {
    fn call<T>(&mut self, act: impl FnOnce(&mut MemoryKernel) -> Result<T, KernelError>) -> Result<T, KernelError> {
        if self.dead.get() {
            return Err(KernelError::Elsewhere("dead".to_owned()));
        }
        let result = act(self.kernel);
        self.dead.set(result.is_err() && self.kernel.is_dying());
        result
    }
}

impl Kernel for Mortal<'_> {
    fn observe(&mut self, members: &(dyn Fn(&str) -> bool + Sync)) -> Result<Dump, KernelError> {
        self.call(|kernel| kernel.observe(members))
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError> {
        self.call(|kernel| kernel.restore_rules(family, text))
    }

    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError> {
        self.call(|kernel| kernel.restore_sets(text))
    }
}

/// The host's kernel and, behind it, one for each container.
fn start(world: &World) -> Vec<MemoryKernel> {
    let mut kernels = vec![kernel(world)];
    kernels.extend(world.inventory.containers.iter().map(|_| MemoryKernel::new()));
    kernels
}

fn fork(kernels: &[MemoryKernel]) -> Vec<MemoryKernel> {
    kernels.iter().map(crate::fork).collect()
}

fn states(kernels: &[MemoryKernel]) -> Vec<Dump> {
    kernels.iter().map(|kernel| kernel.state.clone()).collect()
}

fn apply(kernels: &mut [MemoryKernel], world: &World) -> Result<Applied, ApplyError> {
    let users = users();
    let nobody = BTreeSet::new();
    // As a command reads: what concerns us, and the set of another tool that rules name.
    let before: Vec<Dump> = states(kernels);
    let plans: Vec<Desired> = world
        .inventory
        .containers
        .iter()
        .zip(&before[1..])
        .map(|(container, inside)| desired_inside(world, container, &before[0], inside))
        .collect();
    let host = |state: &Dump| desired(world, state);
    let insides: Vec<_> = plans.iter().map(|plan| |_: &Dump| plan.clone()).collect();
    let dead = Rc::new(Cell::new(false));
    let mut mortals: Vec<Mortal<'_>> =
        kernels.iter_mut().map(|kernel| Mortal { kernel, dead: Rc::clone(&dead) }).collect();
    let mut sites: Vec<Site<'_>> = Vec::new();
    for (index, mortal) in mortals.iter_mut().enumerate() {
        let desired: &dyn Fn(&Dump) -> Desired = if index == 0 { &host } else { &insides[index - 1] };
        let users = if index == 0 { &users } else { &nobody };
        let container = (index > 0).then(|| world.inventory.containers[index - 1].name.as_str());
        sites.push(Site { container, kernel: mortal, users, before: &before[index], desired });
    }
    apply_all(&mut sites, &|| false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes in by whatever interface for whatever address: first match decides.
    #[test]
    fn the_rules_inside_say_what_the_policy_says(
        world in world::world(),
        packets in prop::collection::vec(packet(), 60),
    ) {
        let mut kernels = start(&world);
        apply(&mut kernels, &world).unwrap();
        for (container, kernel) in world.inventory.containers.iter().zip(&kernels[1..]) {
            for packet in &packets {
                let (want, have) = (expected(&world, container, packet), dropped(&kernel.state, packet));
                prop_assert_eq!(have, want, "{}: {:#?}\n{:#?}", container.name, packet, kernel.state);
            }
        }
        // And a second time there is nothing to do.
        let host = kernels[0].state.clone();
        for (container, kernel) in world.inventory.containers.iter().zip(&kernels[1..]) {
            let want = desired_inside(&world, container, &host, &kernel.state);
            prop_assert_eq!(plan::diff(&kernel.state, &want), vec![]);
        }
        prop_assert_eq!(apply(&mut kernels, &world).unwrap().calls, 0);
    }

    /// What is not ours stays, and nothing of ours is left when no rule speaks of a container any more.
    #[test]
    fn what_is_not_ours_survives_inside(first in world::world(), second in world::world()) {
        let save = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:theirs - [0:0]\n\
                    -A INPUT -s 192.0.2.77/32 -j DROP\n-A OUTPUT -j theirs\nCOMMIT\n";
        let mut kernels = start(&first);
        for kernel in &mut kernels[1..] {
            *kernel = MemoryKernel::with_saves(save, save, "create theirs hash:ip family inet hashsize 1024 maxelem 65536\n");
        }
        let before = states(&kernels);
        let mut second = second;
        second.members.insert("ipset:crowd".to_owned(), first.members["ipset:crowd"].clone());
        apply(&mut kernels, &first).unwrap();
        apply(&mut kernels, &second).unwrap();
        let mut nothing = second.clone();
        nothing.policy.rules.clear();
        nothing.policy.default = docker_firewall::policy::DefaultAccess::Open;
        apply(&mut kernels, &nothing).unwrap();
        prop_assert_eq!(&states(&kernels)[1..], &before[1..]);
    }

    /// At every instant of a change a packet meets the old policy, the new one or a drop, in every namespace.
    #[test]
    fn no_instant_inside_is_wider(
        first in world::world(),
        second in world::world(),
        packets in prop::collection::vec(packet(), 30),
    ) {
        let mut second = second;
        second.members.insert("ipset:crowd".to_owned(), first.members["ipset:crowd"].clone());
        let mut kernels = start(&first);
        apply(&mut kernels, &first).unwrap();
        let wider: Rc<Cell<bool>> = Rc::default();
        for (index, kernel) in kernels[1..].iter_mut().enumerate() {
            let (old, new) = (&first.inventory.containers[index], &second.inventory.containers[index]);
            let closed: Vec<Packet> = packets
                .iter()
                .filter(|packet| expected(&first, old, packet) && expected(&second, new, packet))
                .cloned()
                .collect();
            let wider = Rc::clone(&wider);
            kernel.on_step(move |state: &Dump| {
                wider.set(wider.get() || closed.iter().any(|packet| !dropped(state, packet)));
            });
        }
        apply(&mut kernels, &second).unwrap();
        prop_assert!(!wider.get());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    /// Whichever call to whichever kernel fails, all end as they were; killed there, none is wider, and the next run
    /// mends all.
    #[test]
    fn every_failure_is_undone_in_every_kernel(
        first in world::world(),
        second in world::world(),
        packets in prop::collection::vec(packet(), 20),
    ) {
        let mut second = second;
        second.members.insert("ipset:crowd".to_owned(), first.members["ipset:crowd"].clone());
        let mut begin = start(&first);
        apply(&mut begin, &first).unwrap();
        let before = states(&begin);
        let steps: Vec<usize> = {
            let mut trial = fork(&begin);
            apply(&mut trial, &second).unwrap();
            trial.iter().map(MemoryKernel::steps).collect()
        };
        for (index, steps) in steps.into_iter().enumerate() {
            for step in 0..steps {
                let mut failing = fork(&begin);
                failing[index].fail_at(step);
                let error = apply(&mut failing, &second).expect_err("a step failed");
                prop_assert!(error.to_string().contains("as it was before"), "{index} {step}: {error}");
                prop_assert_eq!(&states(&failing), &before, "kernel {} step {}", index, step);

                let mut dying = fork(&begin);
                dying[index].die_at(step);
                prop_assert!(apply(&mut dying, &second).is_err());
                for (at, kernel) in dying[1..].iter().enumerate() {
                    let (old, new) = (&first.inventory.containers[at], &second.inventory.containers[at]);
                    for packet in &packets {
                        let allowed = !expected(&first, old, packet) || !expected(&second, new, packet);
                        prop_assert!(dropped(&kernel.state, packet) || allowed, "killed at {} {}: {:#?}", index, step, packet);
                    }
                }
                dying.iter_mut().for_each(MemoryKernel::revive);
                apply(&mut dying, &second).unwrap();
                for (container, kernel) in second.inventory.containers.iter().zip(&dying[1..]) {
                    for packet in &packets {
                        prop_assert_eq!(dropped(&kernel.state, packet), expected(&second, container, packet));
                    }
                    let left = kernel.state.sets.keys().filter(|name| is_own_set(name) && name.contains("new-")).count();
                    prop_assert_eq!(left, 0);
                }
            }
        }
    }
}
