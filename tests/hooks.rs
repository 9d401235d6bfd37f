//! Where the rules hang: only in a chain that packets really come to.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::BTreeMap;

use docker_firewall::compile::{Ground, compile};
use docker_firewall::inventory::Inventory;
use docker_firewall::net::Family;
use docker_firewall::policy::{DefaultAccess, Hook, Policy};
use docker_firewall::ruleset::{Dump, Table, parse_iptables_save};

use world::World;

/// A kernel with this `filter` table in IPv4, and an empty `security` table.
fn dump(filter: &str) -> Dump {
    let save = format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{filter}COMMIT\n\
         *security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    );
    Dump { tables: parse_iptables_save(Family::V4, &save).unwrap(), ..Dump::default() }
}

/// The chains of `filter` that call ours when `hook` is asked for.
fn hooked(filter: &str, hook: Hook) -> Vec<String> {
    let state = dump(filter);
    let policy = Policy { default: DefaultAccess::Closed, hook, ..Policy::default() };
    let inventory = Inventory { networks: world::networks(), ..Inventory::default() };
    let resolved = World { policy, inventory, members: BTreeMap::new(), followed: false }.resolved();
    let desired = compile(&resolved, |family| Ground::of(&state, family));
    let table = &desired.tables[&(Family::V4, Table::Filter)];
    table.hooks.iter().map(|hook| hook.chain.clone()).filter(|chain| chain != "INPUT" && chain != "OUTPUT").collect()
}

const CALLED: &str =
    ":DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\n";

#[test]
fn the_chain_asked_for_is_used_where_forward_calls_it() {
    assert_eq!(hooked(CALLED, Hook::DockerUser), ["DOCKER-USER"]);
    assert_eq!(hooked(CALLED, Hook::Docker), ["DOCKER"]);
    assert_eq!(hooked(CALLED, Hook::Forward), ["FORWARD"]);
    let commented = ":DOCKER-USER - [0:0]\n-A FORWARD -m comment --comment docker -j DOCKER-USER\n";
    assert_eq!(hooked(commented, Hook::DockerUser), ["DOCKER-USER"]);
    // As 28 has it: two chains down.
    let newer = ":DOCKER - [0:0]\n:DOCKER-BRIDGE - [0:0]\n:DOCKER-FORWARD - [0:0]\n-A FORWARD -j DOCKER-FORWARD\n\
                 -A DOCKER-FORWARD -j DOCKER-BRIDGE\n-A DOCKER-BRIDGE -o docker0 -j DOCKER\n";
    assert_eq!(hooked(newer, Hook::Docker), ["DOCKER"]);
}

/// An engine that changed to its nftables backend, or whose jump somebody flushed, leaves chains that nothing calls.
#[test]
fn a_chain_that_nothing_calls_is_no_hook() {
    let left = ":DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n";
    for hook in Hook::ALL {
        assert_eq!(hooked(left, hook), ["FORWARD"], "{hook}");
    }
    // A jump that leaves packets out does not bring them all.
    let some = ":DOCKER-USER - [0:0]\n-A FORWARD -i eth0 -j DOCKER-USER\n";
    assert_eq!(hooked(some, Hook::DockerUser), ["FORWARD"]);
    let strange = ":DOCKER-USER - [0:0]\n-A FORWARD -s 10.0.0.0/8 -j DOCKER-USER\n";
    assert_eq!(hooked(strange, Hook::DockerUser), ["FORWARD"]);
    // Nor does one from a chain that is itself not called.
    let island = ":DOCKER - [0:0]\n:DOCKER-BRIDGE - [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-BRIDGE -o docker0 -j DOCKER\n\
                  -A FORWARD -j DOCKER-USER\n";
    assert_eq!(hooked(island, Hook::Docker), ["DOCKER-USER"]);
    assert_eq!(hooked("", Hook::DockerUser), ["FORWARD"]);
}
