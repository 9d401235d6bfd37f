//! An engine of 29 with its nftables backend: its ruleset as it was recorded, its answers replayed, the packets real.
//!
//! No such engine can be had from Debian. The host has its bridges, its docker-proxy and its containers' addresses; the
//! plugin is told by the recorded API who they are, and hangs its rules beside tables that it must not touch.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.
#![allow(clippy::unwrap_used, reason = "the canned engine is shared with tests that say so too")]

#[path = "../../docker_engine/canned.rs"]
#[allow(dead_code, reason = "only recorded answers are replayed here")]
mod canned;
mod desk;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::{Client, Engine, Flavour, Lab, LabError, LabSpec, Probe, Protocol, built_plugin};

/// Bridges, containers and addresses as the recorded engine had them. One namespace a container; `db` has a leg on each
/// of two bridges, and 81 is published by nobody.
const WORLD: &str = r#"
set -e
ip link add docker0 type bridge mcast_snooping 0
ip link add br-b90a6cfc4cbe type bridge mcast_snooping 0
ip link add br-a33735c715f6 type bridge mcast_snooping 0
ip addr add 172.17.0.1/16 dev docker0
ip addr add 172.30.0.1/24 dev br-b90a6cfc4cbe
ip addr add 172.31.0.1/24 dev br-a33735c715f6
ip addr add fd00:30::1/64 dev br-a33735c715f6 nodad
for bridge in docker0 br-b90a6cfc4cbe br-a33735c715f6; do ip link set "$bridge" up; done

leg() { # container device bridge address...
    container=$1 device=$2 bridge=$3; shift 3
    ip link add "$container$device" type veth peer name "$device" netns "$container"
    ip link set "$container$device" master "$bridge" up
    ip -n "$container" link set "$device" up
    for address; do ip -n "$container" addr add "$address" dev "$device" nodad; done
}
for container in web api db; do ip netns add "$container"; ip -n "$container" link set lo up; done
leg web eth0 docker0 172.17.0.2/16
leg api eth0 br-b90a6cfc4cbe 172.30.0.2/24
leg db eth0 br-a33735c715f6 172.31.0.2/24 fd00:30::2/64
leg db eth1 br-b90a6cfc4cbe 172.30.0.3/24
ip -n web route add default via 172.17.0.1
ip -n api route add default via 172.30.0.1
ip -n db route add default via 172.31.0.1
ip -n db route add default via fd00:30::1

serve() { # container service...
    container=$1; shift
    setsid nsenter --net="/run/netns/$container" peer serve "name=$container" "$@" > "/run/$container.log" 2>&1 < /dev/null &
    pid=$!
    until grep -qsx peer-ready "/proc/$pid/comm"; do [ -d "/proc/$pid" ] || { cat "/run/$container.log" >&2; exit 1; }; sleep 0.01; done
}
serve web tcp=80,81
serve api tcp=443,81 udp=9500,9501,9502
serve db stream=5432 tcp=81
# What an IPv6 client of `web`, which has no IPv6 address, talks to.
setsid docker-proxy -proto tcp -host-ip :: -host-port 8080 -container-ip 172.17.0.2 -container-port 80 \
    > /run/proxy.log 2>&1 3> /dev/null < /dev/null &
"#;

const RULESET: &str = include_str!("../../fixtures/engines/29-nftables/nft-ruleset.txt");
/// Docker's own tables, without their counters.
const OWN_TABLES: &str = "nft -s list table ip docker-bridges; nft -s list table ip6 docker-bridges";
const FRIENDS: &str = "203.0.113.10,fd00:1::10";

fn up(flavour: Flavour) -> Result<Desk> {
    let plugin = built_plugin()?;
    let lab = Lab::without_engine(LabSpec::new(Engine::V28_5).flavour(flavour).name("nftables"))?;
    lab.install_plugin(&plugin)?;
    let desk = Desk { lab };
    desk.shell(WORLD)?;
    desk.lab.feed(RULESET, &["nft", "-f", "-"])?.require("nft -f")?;
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/engines");
    let listener = UnixListener::bind(desk.lab.socket())
        .map_err(|source| LabError::Io { what: "the engine's socket".to_owned(), source })?;
    canned::serve(listener, Arc::default(), Arc::new(move |path| canned::recorded(&engines, "29-nftables", path)));
    Ok(desk)
}

/// Every way in that the engine offers: what it leads to, and how it is tried.
fn doors() -> [(&'static str, Protocol, std::net::IpAddr, u16); 7] {
    let (v4, v6) = (Client::Host.v4(), Client::Host.v6());
    [
        ("web", Protocol::Tcp, v4, 8080),
        // By docker-proxy.
        ("web", Protocol::Tcp, v6, 8080),
        ("api", Protocol::Tcp, v4, 8443),
        ("api", Protocol::Udp, v4, 9500),
        ("api", Protocol::Udp, v4, 9502),
        ("db", Protocol::Tcp, v4, 5432),
        ("db", Protocol::Tcp, v6, 5432),
    ]
}

/// Asserts for each door who gets through it.
fn through(desk: &Desk, friend: bool, stranger: bool) -> Result {
    let mut probes = Vec::new();
    for (_, protocol, to, port) in doors() {
        for client in [Client::Friend, Client::Stranger] {
            probes.push(Probe::new(client, protocol, to, port));
        }
    }
    let answers = desk.lab.probe_all(&probes)?;
    for ((probe, answer), (who, ..)) in
        probes.iter().zip(&answers).zip(doors().into_iter().flat_map(|door| [door, door]))
    {
        let wanted = if probe.client == Client::Friend { friend } else { stranger };
        assert_eq!(answer.reached(), wanted, "{probe:?}: {answer}");
        assert!(!answer.reached() || answer.peer() == Some(who), "{probe:?}: {answer}");
    }
    Ok(())
}

/// What Docker keeps closed stays closed to everybody: ports that nobody published, and every container's own address.
fn closed_stays_closed(desk: &Desk) -> Result {
    let mut probes = Vec::new();
    for client in [Client::Friend, Client::Stranger] {
        for address in ["172.17.0.2", "172.30.0.2", "172.30.0.3", "172.31.0.2", "fd00:30::2", "203.0.113.1"] {
            let to = address.parse().expect("an address");
            probes.push(Probe::new(client, Protocol::Tcp, to, 81));
        }
        for (address, port) in [("172.17.0.2", 80), ("172.31.0.2", 5432), ("fd00:30::2", 5432)] {
            probes.push(Probe::new(client, Protocol::Tcp, address.parse().expect("an address"), port));
        }
    }
    for (probe, answer) in probes.iter().zip(desk.lab.probe_all(&probes)?) {
        assert!(!answer.reached(), "{probe:?}: {answer}");
    }
    Ok(())
}

/// What containers start themselves: to the world outside, and to a neighbour on the same bridge.
fn calls_out(desk: &Desk) -> Result {
    let place = |name: &str| -> PathBuf { desk.lab.path(format!("/run/netns/{name}")) };
    let to = |to: std::net::IpAddr, port| Probe::new(Client::Host, Protocol::Tcp, to, port);
    let neighbour = "172.30.0.3".parse().expect("an address");
    let calls = [
        (place("web"), to(Client::Stranger.v4(), 7000)),
        (place("api"), Probe::new(Client::Host, Protocol::Udp, Client::Stranger.v4(), 7000)),
        (place("db"), to(Client::Stranger.v4(), 7000)),
        (place("db"), to(Client::Stranger.v6(), 7000)),
        (place("api"), to(neighbour, 81)),
    ];
    for ((place, probe), answer) in calls.iter().zip(desk.lab.probe_from(&calls)?) {
        assert!(answer.reached(), "{} {probe:?}: {answer}", place.display());
    }
    Ok(())
}

fn all_of_it(flavour: Flavour) -> Result {
    let desk = up(flavour)?;
    let tables = desk.shell(OWN_TABLES)?;
    desk.lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7000"])?;
    through(&desk, true, true)?;
    closed_stays_closed(&desk)?;
    calls_out(&desk)?;

    only_friends(&desk)?;
    each_hook_holds_alone(&desk)?;
    the_engine_makes_its_tables_anew(&desk)?;
    assert_eq!(desk.shell(OWN_TABLES)?, tables);
    hooks_that_are_not_there(&desk)?;
    a_withdrawal_cuts(&desk)?;
    leftovers_of_the_other_backend(&desk)?;

    desk.done("reset --force")?;
    let left = desk.shell("iptables-save; ip6tables-save; ipset save")?;
    assert!(!left.contains("DOCKER-FIREWALL") && !left.contains("df4-") && !left.contains("ipfriends"), "{left}");
    assert_eq!(desk.shell(OWN_TABLES)?, tables);
    through(&desk, true, true)
}

fn only_friends(desk: &Desk) -> Result {
    for name in ["web", "api", "db"] {
        desk.done(&format!("allow {name} --from {FRIENDS}"))?;
    }
    through(desk, true, false)?;
    closed_stays_closed(desk)?;
    calls_out(desk)?;
    let said = desk.run("status")?.stdout;
    for text in ["In force:    yes", "IPv4 filter/FORWARD 1", "IPv6 security/FORWARD 1", "firewall backend nftables"] {
        assert!(said.contains(text), "no {text:?} in:\n{said}");
    }
    Ok(())
}

/// The jump from `filter`, then the one from `security`, then both are taken away: the last is what shows that the first
/// two mean something.
fn each_hook_holds_alone(desk: &Desk) -> Result {
    let unhook = |table: &str| {
        desk.shell(&format!(
            "for tool in iptables ip6tables; do $tool -t {table} -D FORWARD -j DOCKER-FIREWALL
             $tool -t {table} -D INPUT -j DOCKER-FIREWALL-HOST
             $tool -t {table} -D OUTPUT -j DOCKER-FIREWALL-HOST-OUT; done"
        ))
    };
    for table in ["filter", "security"] {
        unhook(table)?;
        through(desk, true, false)?;
        assert_eq!(desk.run("plan")?.code, 2, "a missing jump is drift");
        desk.done("apply")?;
    }
    unhook("filter")?;
    unhook("security")?;
    through(desk, true, true)?;
    desk.done("apply")?;
    through(desk, true, false)
}

/// As every start of the engine does: its chains then come after ours at the same hook.
fn the_engine_makes_its_tables_anew(desk: &Desk) -> Result {
    desk.shell("nft delete table ip docker-bridges && nft delete table ip6 docker-bridges")?;
    desk.lab.feed(RULESET, &["nft", "-f", "-"])?.require("nft -f")?;
    through(desk, true, false)?;
    closed_stays_closed(desk)
}

fn hooks_that_are_not_there(desk: &Desk) -> Result {
    desk.refused(
        "apply --hook docker",
        1,
        &["FORWARD leads to no chain DOCKER here (the engine's firewall backend is nftables)", "apply --hook forward"],
    )?;
    let said = desk.told("apply --hook docker-user")?;
    assert!(said.contains("no chain DOCKER-USER here") && said.contains("the rules hang in FORWARD itself"), "{said}");
    desk.done("apply --hook forward")?;
    through(desk, true, false)?;
    desk.told("apply --hook docker-user").map(drop)
}

/// A pushed UDP stream through DNAT, a TCP stream over IPv6, and one through docker-proxy.
fn a_withdrawal_cuts(desk: &Desk) -> Result {
    for name in ["web", "api", "db"] {
        desk.done(&format!("rm --target {name}"))?;
    }
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    desk.done("allow web api db --from ipfriends")?;
    through(desk, true, false)?;
    let pushed = desk.lab.hold_udp(Client::Friend, Client::Host.v4(), 9500)?;
    let streamed = desk.lab.hold_tcp(Client::Friend, Client::Host.v6(), 5432)?;
    let proxied = desk.lab.hold_tcp(Client::Friend, Client::Host.v6(), 8080)?;
    assert!(pushed.received_during(Duration::from_millis(300)) > 30);
    assert!(streamed.received_during(Duration::from_millis(300)) > 30_000);
    desk.done("set del ipfriends 203.0.113.10 fd00:1::10")?;
    // What was already on its way may still arrive.
    let withdrawn = Instant::now() + Duration::from_millis(50);
    sleep(Duration::from_millis(100));
    let _ = proxied.say("still there?\n");
    sleep(Duration::from_millis(900));
    let after = [&pushed, &streamed, &proxied].map(|session| session.received_after(withdrawn));
    assert_eq!(after, [0, 0, 0]);
    through(desk, false, false)?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    through(desk, true, false)
}

/// Chains that an engine with the iptables backend left behind, and its drop policy. Nothing calls them, so nothing of
/// ours may rely on them; and they are not ours to mend.
fn leftovers_of_the_other_backend(desk: &Desk) -> Result {
    let left = "*filter\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -s 192.0.2.0/24 -j DROP\nCOMMIT\n";
    for tool in ["iptables-restore", "ip6tables-restore"] {
        let left =
            if tool.starts_with("ip6") { left.replace("192.0.2.0/24", "2001:db8::/32") } else { left.to_owned() };
        desk.lab.feed(&left, &[tool, "--noflush"])?.require(tool)?;
    }
    desk.done("apply")?;
    let said = desk.run("status")?.stdout;
    assert!(said.contains("IPv4 filter/FORWARD 1") && !said.contains("filter/DOCKER-USER"), "{said}");
    // Without the backstop, so that it is the hook in `filter` that is seen at work.
    desk.shell(
        "iptables -t security -D FORWARD -j DOCKER-FIREWALL; ip6tables -t security -D FORWARD -j DOCKER-FIREWALL",
    )?;
    through(desk, true, false)?;
    desk.refused("apply --hook docker", 1, &["FORWARD leads to no chain DOCKER here"])?;
    desk.shell("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP")?;
    desk.done("apply")?;
    let save = desk.shell("iptables-save -t filter; ip6tables-save -t filter")?;
    assert_eq!(save.matches(":FORWARD DROP").count(), 2, "{save}");
    assert_eq!(save.matches("-A DOCKER-USER -s").count(), 2, "{save}");
    // A drop policy there is final too, for friends as well: an allow opens nothing that another firewall closes.
    assert!(!desk.lab.tcp(Client::Friend, Client::Host.v4(), 8080)?.reached());
    desk.shell("iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT")?;
    through(desk, true, false)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn beside_iptables_nft() -> Result {
    all_of_it(Flavour::Nft)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn beside_iptables_legacy() -> Result {
    all_of_it(Flavour::Legacy)
}
