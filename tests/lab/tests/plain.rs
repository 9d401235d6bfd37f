//! The lab judged by itself: on every engine, what Docker opens is reached by everybody, over every path that later
//! tests will close.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

use std::time::{Duration, Instant};

use lab::{Answer, Client, Engine, Flavour, Lab, LabError, LabSpec, Probe, Protocol};

type Result = std::result::Result<(), LabError>;

const OUTSIDE: [Client; 2] = [Client::Friend, Client::Stranger];
/// TCP on 8080, UDP on 5353, streams on 8081.
const PUBLISHED: [&str; 6] = ["-p", "8080:80", "-p", "5353:53/udp", "-p", "8081:81"];

fn up(engine: Engine, flavour: Flavour) -> std::result::Result<Lab, LabError> {
    let lab = Lab::up(LabSpec::new(engine).flavour(flavour).name("plain"))?;
    lab.run("web", &PUBLISHED, &["tcp=80", "udp=53", "stream=81"])?;
    Ok(lab)
}

/// Everybody reaches what is published, over both families, and the container sees who it was.
fn published_ports_are_open(lab: &Lab) -> Result {
    let mut probes = Vec::new();
    for client in OUTSIDE {
        for to in [Client::Host.v4(), Client::Host.v6()] {
            probes.push(Probe::new(client, Protocol::Tcp, to, 8080));
            probes.push(Probe::new(client, Protocol::Udp, to, 5353));
        }
    }
    // `ip6tables-legacy -C` of iptables 1.8.9 takes a rule for another port for the one asked about. Docker then leaves
    // the second port's DNAT out, and docker-proxy stands in for it.
    let proxied = lab.spec().engine == Engine::V20_10 && lab.spec().flavour == Flavour::Legacy;
    for (probe, answer) in probes.iter().zip(lab.probe_all(&probes)?) {
        let own = if probe.to.is_ipv4() { probe.client.v4() } else { probe.client.v6() };
        assert_eq!(answer.peer(), Some("web"), "{probe:?}: {answer}");
        if !(proxied && probe.to.is_ipv6()) {
            assert_eq!(answer.seen_from(), Some(own), "{probe:?}: {answer}");
        }
    }
    Ok(())
}

/// The other answers mean what they say.
fn closed_ports_are_told_apart(lab: &Lab) -> Result {
    let nobody = "203.0.113.99".parse().expect("an address");
    let nowhere = "198.51.100.1".parse().expect("an address");
    assert_eq!(lab.tcp(Client::Friend, Client::Host.v4(), 9)?, Answer::Refused);
    assert_eq!(lab.udp(Client::Friend, Client::Host.v6(), 9)?, Answer::Refused);
    assert_eq!(lab.tcp(Client::Friend, nobody, 80)?, Answer::Silent);
    assert_eq!(lab.tcp(Client::Friend, nowhere, 80)?, Answer::Unreachable);
    Ok(())
}

/// A container reaches another one and the world outside, by both protocols and families.
fn containers_call_out(lab: &Lab) -> Result {
    lab.run("other", &[], &[])?;
    lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7000"])?;
    let web = lab.addresses("web", "bridge")?;
    for to in [web.v4, web.v6].map(|address| address.expect("web has an address of each family")) {
        for (protocol, port) in [(Protocol::Tcp, 80), (Protocol::Udp, 53)] {
            let line = lab.from_container("other", protocol, to, port)?;
            assert!(line.starts_with("peer web from "), "{protocol} to {to}: {line}");
        }
    }
    for to in [Client::Stranger.v4(), Client::Stranger.v6()] {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let line = lab.from_container("web", protocol, to, 7000)?;
            assert!(line.starts_with("peer stranger from "), "{protocol} to {to}: {line}");
        }
    }
    Ok(())
}

/// Sessions flow until the host's firewall drops them, and are then seen to have ended.
fn sessions_are_counted(lab: &Lab) -> Result {
    let pushed = lab.hold_udp(Client::Friend, Client::Host.v4(), 5353)?;
    let streamed = lab.hold_tcp(Client::Stranger, Client::Host.v6(), 8081)?;
    let echoed = lab.hold_tcp(Client::Friend, Client::Host.v4(), 8080)?;
    assert!(pushed.received_during(Duration::from_millis(300)) > 5);
    assert!(streamed.received_during(Duration::from_millis(300)) > 5_000);
    let asked = Instant::now();
    echoed.say("still there?\n").expect("the echo session is open");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(echoed.received_after(asked), 13);

    // In the kernel's own chains, for 20.10 has no DOCKER-USER in ip6tables.
    for (tool, chain) in both_tables() {
        lab.exec(&[tool, "-I", chain, "-j", "DROP"])?.require(tool)?;
    }
    // What was already on its way may still arrive.
    let withdrawn = Instant::now() + Duration::from_millis(50);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(pushed.received_after(withdrawn), 0);
    assert_eq!(streamed.received_after(withdrawn), 0);
    for (tool, chain) in both_tables() {
        lab.exec(&[tool, "-D", chain, "1"])?.require(tool)?;
    }
    assert!(pushed.received_during(Duration::from_millis(300)) > 5);
    assert!(!streamed.is_over());
    Ok(())
}

fn both_tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    ["iptables", "ip6tables"].into_iter().flat_map(|tool| ["FORWARD", "INPUT", "OUTPUT"].map(|chain| (tool, chain)))
}

/// The engine's rules are seen, in the flavour asked for and in no other.
fn rules_are_in_the_flavour(lab: &Lab) -> Result {
    let saves = lab.save()?;
    assert!(saves.v4.contains("--to-destination 172.17.0.2:80"), "{}", saves.v4);
    assert!(saves.v6.contains(":DOCKER "), "{}", saves.v6);
    assert_eq!(saves.ipset, "");
    let other = match lab.spec().flavour {
        Flavour::Nft => "iptables-legacy-save",
        Flavour::Legacy => "iptables-nft-save",
    };
    assert!(!lab.exec(&[other])?.stdout.contains("DOCKER"), "{other} sees Docker's rules");
    Ok(())
}

/// With live-restore the container answers while the engine is away, stopped or killed, and after its return.
fn engine_comes_and_goes(lab: &mut Lab) -> Result {
    lab.stop_engine()?;
    assert!(!lab.engine_answers());
    lab.set_dockerd_args(["--live-restore"]);
    lab.start_engine()?;
    lab.docker(&["start", "web"])?.require("docker start")?;
    lab.wait_ready("web")?;
    for kill in [false, true] {
        if kill {
            lab.kill_engine()?;
        } else {
            lab.stop_engine()?;
        }
        assert!(!lab.engine_answers());
        published_ports_by_dnat(lab)?;
        lab.start_engine()?;
        published_ports_are_open(lab)?;
    }
    Ok(())
}

/// While the engine is away its kernel rules still are there.
fn published_ports_by_dnat(lab: &Lab) -> Result {
    for client in OUTSIDE {
        assert_eq!(lab.tcp(client, Client::Host.v4(), 8080)?.peer(), Some("web"));
    }
    Ok(())
}

/// Nothing of a lab is left once its value is gone.
fn goes_without_a_trace(lab: Lab) {
    let (name, dir) = (lab.name().to_owned(), lab.dir().to_owned());
    let holder = format!("/proc/{}", lab.pid());
    drop(lab);
    assert!(!dir.exists());
    assert!(!std::path::Path::new(&holder).exists());
    for client in Client::ALL {
        assert!(!std::path::Path::new("/run/netns").join(client.namespace(&name)).exists());
    }
}

fn all_of_it(engine: Engine, flavour: Flavour) -> Result {
    let mut lab = up(engine, flavour)?;
    published_ports_are_open(&lab)?;
    closed_ports_are_told_apart(&lab)?;
    containers_call_out(&lab)?;
    sessions_are_counted(&lab)?;
    rules_are_in_the_flavour(&lab)?;
    engine_comes_and_goes(&mut lab)?;
    goes_without_a_trace(lab);
    Ok(())
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_20_10() -> Result {
    all_of_it(Engine::V20_10, Flavour::Nft)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_20_10_legacy() -> Result {
    all_of_it(Engine::V20_10, Flavour::Legacy)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_26_1() -> Result {
    all_of_it(Engine::V26_1, Flavour::Nft)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_26_1_legacy() -> Result {
    all_of_it(Engine::V26_1, Flavour::Legacy)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_28_5() -> Result {
    all_of_it(Engine::V28_5, Flavour::Nft)
}

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_28_5_legacy() -> Result {
    all_of_it(Engine::V28_5, Flavour::Legacy)
}
