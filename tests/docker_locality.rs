//! Whether the engine's packets pass here, judged from facts.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::path::PathBuf;

use docker_firewall::docker::{EngineAddress, NotHere, locality};
use docker_firewall::host::interfaces::HostInterfaces;
use docker_firewall::inventory::{Engine, Inventory, Network};

fn network(id: &str, name: &str, bridge: &str, gateway: &str) -> Network {
    Network {
        id: id.repeat(64)[..64].to_owned(),
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        bridge: Some(bridge.to_owned()),
        subnets: vec!["172.17.0.0/16".parse().unwrap()],
        gateways: gateway.parse::<IpAddr>().into_iter().collect(),
        internal: false,
        parent: None,
        mode: None,
    }
}

fn docker0() -> Network {
    network("a", "bridge", "docker0", "172.17.0.1")
}

fn front() -> Network {
    network("b", "front", "br-bbbbbbbbbbbb", "172.30.0.1")
}

fn back() -> Network {
    network("c", "back", "br-cccccccccccc", "172.31.0.1")
}

fn engine(networks: Vec<Network>) -> Inventory {
    Inventory { engine: Engine { name: "here".to_owned(), ..Engine::default() }, networks, ..Inventory::default() }
}

fn host(names: &[&str], addresses: &[&str]) -> HostInterfaces {
    HostInterfaces {
        hostname: "here".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

/// A host with everything.
fn full() -> HostInterfaces {
    host(&["lo", "docker0", "br-bbbbbbbbbbbb", "br-cccccccccccc"], &["172.17.0.1", "172.30.0.1", "172.31.0.1"])
}

fn unix(path: &str) -> EngineAddress {
    EngineAddress::Unix(PathBuf::from(path))
}

fn socket() -> EngineAddress {
    unix("/var/run/docker.sock")
}

fn dial(context: Option<&str>, description: &str) -> EngineAddress {
    EngineAddress::DialStdio {
        context: context.map(str::to_owned),
        description: description.to_owned(),
        program: "docker".to_owned(),
        args: Vec::new(),
    }
}

#[test]
fn a_bridge_named_by_its_id_proves_it() {
    let all = engine(vec![docker0(), front(), back()]);
    assert_eq!(locality(&all, &full(), &socket()), Ok(()));
    // A network that is being made or removed changes nothing, nor does a renamed host or the way that led here.
    let one_less = host(&["docker0", "br-cccccccccccc"], &["172.17.0.1", "172.31.0.1"]);
    assert_eq!(locality(&all, &one_less, &socket()), Ok(()));
    assert_eq!(locality(&all, &HostInterfaces { hostname: "new".into(), ..full() }, &socket()), Ok(()));
    assert_eq!(locality(&all, &full(), &dial(None, "tcp://127.0.0.1:2375")), Ok(()));
    // Engines before 29 do not tell the gateway.
    let silent = Network { gateways: Vec::new(), ..front() };
    assert_eq!(locality(&engine(vec![docker0(), silent]), &full(), &socket()), Ok(()));
}

#[test]
fn docker0_alone_proves_nothing() {
    // Another engine's docker0 has the same name and address as ours.
    let other = engine(vec![docker0(), front(), back()]);
    let ours = host(&["docker0"], &["172.17.0.1"]);
    let refusal = locality(&other, &ours, &socket()).unwrap_err();
    assert!(matches!(refusal, NotHere::Elsewhere { .. }), "{refusal}");
    assert!(refusal.to_string().contains("(docker0, br-bbbbbbbbbbbb, br-cccccccccccc)"), "{refusal}");

    // With nothing but docker0, the host's name and the socket have to agree.
    let fresh = engine(vec![docker0()]);
    assert_eq!(locality(&fresh, &ours, &socket()), Ok(()));
    let stranger = HostInterfaces { hostname: "there".into(), ..ours.clone() };
    assert!(matches!(locality(&fresh, &stranger, &socket()), Err(NotHere::Uncertain { .. })));
    assert!(matches!(locality(&fresh, &ours, &dial(None, "tcp://h:2375")), Err(NotHere::Remote { .. })));

    // An engine of another namespace of this host: its socket was opened there, or docker0 is not here, or is someone else's.
    let mut apart = fresh.clone();
    for (shares, local) in [(None, true), (Some(true), true), (Some(false), false)] {
        apart.engine.shares_namespace = shares;
        assert_eq!(locality(&apart, &ours, &socket()).is_ok(), local, "{shares:?}");
    }
    assert!(matches!(locality(&fresh, &host(&["lo"], &[]), &socket()), Err(NotHere::Elsewhere { .. })));
    let moved = host(&["docker0"], &["10.9.0.1"]);
    assert!(matches!(locality(&fresh, &moved, &socket()), Err(NotHere::Elsewhere { .. })));
}

#[test]
fn bridges_named_by_people_all_have_to_be_here() {
    let named = network("d", "lan", "mybridge", "10.0.0.1");
    let both = engine(vec![docker0(), named]);
    let ours = host(&["docker0"], &["172.17.0.1"]);
    let refusal = locality(&both, &ours, &socket()).unwrap_err();
    assert!(refusal.to_string().contains("mybridge is not here"), "{refusal}");
    assert_eq!(locality(&both, &host(&["docker0", "mybridge"], &["172.17.0.1", "10.0.0.1"]), &socket()), Ok(()));
    // 20.10 does not even tell docker0's gateway: an own address in the subnet does.
    let silent = engine(vec![Network { gateways: Vec::new(), ..docker0() }]);
    assert_eq!(locality(&silent, &ours, &socket()), Ok(()));
    assert!(locality(&silent, &host(&["docker0"], &["172.18.0.1"]), &socket()).is_err());
}

#[test]
fn without_bridges_the_hosts_name_decides() {
    assert_eq!(locality(&engine(Vec::new()), &host(&["lo"], &[]), &socket()), Ok(()));
    let stranger = HostInterfaces { hostname: "there".into(), ..host(&["lo"], &[]) };
    let refusal = locality(&engine(Vec::new()), &stranger, &socket()).unwrap_err().to_string();
    assert!(refusal.contains("it calls its host \"here\" while this one is \"there\""), "{refusal}");
    assert!(locality(&engine(Vec::new()), &host(&["lo"], &[]), &dial(None, "tcp://h:2375")).is_err());
}

#[test]
fn rootless_and_desktop_look_local_and_are_not() {
    let ours = host(&["docker0"], &["172.17.0.1"]);
    let rootless = Engine { rootless: true, ..engine(Vec::new()).engine };
    let rootless = Inventory { engine: rootless, ..engine(vec![docker0()]) };
    let run_user = unix("/run/user/1000/docker.sock");
    assert!(matches!(locality(&rootless, &ours, &socket()), Err(NotHere::Rootless(_))));
    assert!(matches!(locality(&engine(vec![docker0()]), &ours, &run_user), Err(NotHere::Rootless(_))));
    // Followed its advice: inside RootlessKit's namespace the bridges are there.
    assert_eq!(locality(&Inventory { networks: vec![docker0(), front()], ..rootless }, &full(), &run_user), Ok(()));

    let desktop = Engine { operating_system: "Docker Desktop".into(), ..engine(Vec::new()).engine };
    let desktop = Inventory { engine: desktop, ..engine(vec![docker0(), front()]) };
    assert!(matches!(locality(&desktop, &ours, &socket()), Err(NotHere::Desktop(_))));
}

#[test]
fn says_where_the_rules_would_have_to_go() {
    let other = engine(vec![docker0(), front()]);
    let ours = host(&["docker0"], &["172.17.0.1"]);
    for (context, address, expected) in [
        (
            Some("prod"),
            "ssh://me@h",
            "the engine of context \"prod\" lives on ssh://me@h: run docker firewall there (for example: ssh me@h docker \
             firewall ...)",
        ),
        (
            None,
            "ssh://h:2222/run/d.sock",
            "the engine of this command lives on ssh://h:2222/run/d.sock: run docker firewall there (for example: ssh \
             -p 2222 h docker firewall ...)",
        ),
        (
            None,
            "ssh://me@[fd00::1]:22",
            "the engine of this command lives on ssh://me@[fd00::1]:22: run docker firewall there (for example: ssh -p \
             22 me@fd00::1 docker firewall ...)",
        ),
        (
            Some("x"),
            "tcp://10.0.0.9:2376",
            "the engine of context \"x\" lives on tcp://10.0.0.9:2376: run docker firewall there",
        ),
    ] {
        assert_eq!(locality(&other, &ours, &dial(context, address)).unwrap_err().to_string(), expected);
    }
}
