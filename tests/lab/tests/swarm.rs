//! A swarm: ports in host mode, ports at the ingress network, a worker that does not know, and a manager that is
//! demoted. The engines are real, and so are the packets, into the tasks; only IPVS is missing (see `lab::Published`).
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::{Client, Engine, Flavour, Node, Probe, Protocol, Published};

macro_rules! on_every_engine {
    ($($name:ident: $engine:ident $flavour:ident),*) => {$(
        mod $name {
            use super::{Desk, Engine, Flavour, Result};

            #[test]
            #[ignore = "needs root and the engines of tests/engines.sh"]
            fn one_node() -> Result {
                super::one_node(&Desk::up(Engine::$engine, Flavour::$flavour, "swarm")?)
            }

            #[test]
            #[ignore = "needs root and the engines of tests/engines.sh"]
            fn two_nodes() -> Result {
                super::two_nodes(&Desk::up(Engine::$engine, Flavour::$flavour, "swarms")?)
            }
        }
    )*};
}

on_every_engine!(engine_28_5: V28_5 Nft, engine_26_1: V26_1 Nft, engine_20_10_legacy: V20_10 Legacy);

const FRIEND: &str = "203.0.113.10";
/// Long enough for the kernel to carry out what was ordered; see DESIGN's 15 ms.
const SOON: Duration = Duration::from_millis(300);

fn one_node(desk: &Desk) -> Result {
    let lab = &desk.lab;
    lab.make_swarm()?;
    lab.docker(&["network", "create", "--driver", "overlay", "--attachable", "mesh"])?.require("network create")?;
    let mode_host = |port: &str| format!("mode=host,{port}");
    let ports = ["published=9000,target=80", "published=9081,target=81", "published=9053,target=53,protocol=udp"];
    let ports = ports.map(mode_host);
    let hosted = ["--network", "mesh", "--publish", &ports[0], "--publish", &ports[1], "--publish", &ports[2]];
    lab.serve("hosted", &hosted, &[])?;
    lab.serve("web", &["--publish", "8080:80", "--publish", "8053:53/udp", "--publish", "8081:81"], &[])?;
    lab.serve("other", &["--publish", "8090:80"], &[])?;
    lab.run("attached", &["--network", "mesh", "-p", "8100:80"], &[])?;
    lab.run("plain", &[], &[])?;
    lab.serve_as(Client::Stranger, &["tcp=7000"])?;
    lead_to_the_tasks(desk)?;
    nothing_is_guarded_yet(desk)?;
    ports_in_host_mode(desk)?;
    ports_at_the_ingress(desk)?;
    one_port_of_several(desk)?;
    tasks_are_not_services(desk)?;
    closed_by_default(desk)?;
    an_attached_container(desk)?;
    slips_of_the_pen(desk)?;
    scaled_to_nothing(desk)
}

fn two_nodes(desk: &Desk) -> Result {
    let lab = &desk.lab;
    lab.make_swarm()?;
    lab.serve("web", &["--publish", "8080:80", "--publish", "8053:53/udp", "--publish", "8081:81"], &[])?;
    let web = ingress_ip(desk, "web")?;
    lab.stand_in_for_ipvs(Node::Host, &[lead(WEB, web), lead(WEB_UDP, web), lead(WEB_TOO, web)])?;
    a_worker(desk, web)?;
    a_demoted_manager(desk)
}

fn lead(Door(protocol, port, ..): Door, task: IpAddr) -> Published {
    Published { protocol, port, task }
}

fn lead_to_the_tasks(desk: &Desk) -> Result {
    let (web, other) = (ingress_ip(desk, "web")?, ingress_ip(desk, "other")?);
    let port = |Door(protocol, port, ..): Door, task| Published { protocol, port, task };
    desk.lab
        .stand_in_for_ipvs(Node::Host, &[port(WEB, web), port(WEB_UDP, web), port(WEB_TOO, web), port(OTHER, other)])
}

fn ingress_ip(desk: &Desk, service: &str) -> Result<IpAddr> {
    let task = desk.lab.task(service)?;
    Ok(desk.lab.addresses(&task, "ingress")?.v4.expect("a task with ingress ports is on the ingress network"))
}

/// A port of the host, and whose it is.
#[derive(Clone, Copy, Debug)]
struct Door(Protocol, u16, &'static str, Family);

#[derive(Clone, Copy, Debug)]
enum Family {
    V4,
    V6,
}

const HOSTED: Door = Door(Protocol::Tcp, 9000, "hosted", Family::V4);
/// Only docker-proxy answers here.
const HOSTED_SIX: Door = Door(Protocol::Tcp, 9000, "hosted", Family::V6);
const HOSTED_UDP: Door = Door(Protocol::Udp, 9053, "hosted", Family::V4);
const WEB: Door = Door(Protocol::Tcp, 8080, "web", Family::V4);
const WEB_UDP: Door = Door(Protocol::Udp, 8053, "web", Family::V4);
const WEB_TOO: Door = Door(Protocol::Tcp, 8081, "web", Family::V4);
const OTHER: Door = Door(Protocol::Tcp, 8090, "other", Family::V4);
const ATTACHED: Door = Door(Protocol::Tcp, 8100, "attached", Family::V4);

/// Asserts who of the two neighbours, friend and stranger, is answered at which doors: all at a time, for a
/// closed door takes long to tell from a slow one.
fn only(desk: &Desk, doors: &[(&[Door], bool, bool)]) -> Result {
    let mut cells = Vec::new();
    for (doors, friend, stranger) in doors {
        for Door(protocol, port, who, family) in doors.iter().copied() {
            for (client, wanted) in [(Client::Friend, *friend), (Client::Stranger, *stranger)] {
                let to = match family {
                    Family::V4 => Client::Host.v4(),
                    Family::V6 => Client::Host.v6(),
                };
                cells.push((Probe::new(client, protocol, to, port), who, wanted));
            }
        }
    }
    let probes: Vec<Probe> = cells.iter().map(|(probe, ..)| *probe).collect();
    for (answer, (probe, who, wanted)) in desk.lab.probe_all(&probes)?.iter().zip(cells) {
        let door = format!("{} to {} {} {}: {answer}", probe.client, probe.to, probe.protocol, probe.port);
        assert_eq!(answer.peer(), wanted.then_some(who), "{door}");
    }
    Ok(())
}

/// The cells of `ls`, as they are.
fn rows(desk: &Desk) -> Result<Vec<String>> {
    let listed = desk.done("ls --format json")?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn row_says(desk: &Desk, container: &str, published: &str, says: &[&str]) -> Result {
    let rows = rows(desk)?;
    let found = rows.iter().find(|row| {
        row.contains(&format!("\"Container\":\"{container}\""))
            && row.contains(&format!("\"Published\":\"{published}\""))
    });
    let row = found.unwrap_or_else(|| panic!("no row for {container} {published}: {rows:#?}"));
    for text in says {
        assert!(row.contains(text), "{text}: {row}");
    }
    Ok(())
}

const OPEN: &[&str] = &["\"From\":\"everyone\"", "\"Managed\":\"false\""];

fn nothing_is_guarded_yet(desk: &Desk) -> Result {
    only(desk, &[(&[HOSTED, HOSTED_UDP, WEB, WEB_UDP, OTHER, ATTACHED], true, true)])?;
    row_says(desk, "service:web", "0.0.0.0:8080 ingress", &[OPEN, &["\"Port\":\"80/tcp\""]].concat())?;
    row_says(desk, "service:web", "0.0.0.0:8053 ingress", OPEN)?;
    row_says(desk, "service:other", "0.0.0.0:8090 ingress", OPEN)?;
    row_says(desk, &desk.lab.task("hosted")?, "0.0.0.0:9000", OPEN)
}

/// They lead to the task's address on `docker_gwbridge`, and past it to docker-proxy.
fn ports_in_host_mode(desk: &Desk) -> Result {
    desk.done("set create friends")?;
    desk.done(&format!("set add friends {FRIEND} fd00:1::10"))?;
    let said = desk.told("allow service:hosted --from friends")?;
    assert!(said.contains("is guarded: every port (published: 53/udp, 80/tcp, 81/tcp) from friends"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    only(desk, &[(&[HOSTED, HOSTED_SIX, HOSTED_UDP], true, false)])?;
    let (tcp, udp) = (
        desk.lab.hold_tcp(Client::Friend, Client::Host.v4(), 9081)?,
        desk.lab.hold_udp(Client::Friend, Client::Host.v4(), 9053)?,
    );
    let proxied = desk.lab.hold_tcp(Client::Friend, Client::Host.v6(), 9081)?;
    desk.done(&format!("set del friends {FRIEND} fd00:1::10"))?;
    let end = Instant::now() + SOON;
    sleep(SOON + SOON);
    for (session, what) in [(&tcp, "tcp"), (&udp, "udp"), (&proxied, "tcp over docker-proxy")] {
        assert_eq!(session.received_after(end), 0, "{what}");
    }
    only(desk, &[(&[HOSTED, HOSTED_SIX, HOSTED_UDP], false, false)])?;
    // Nobody else is concerned, and what the task starts itself goes out and comes back.
    only(desk, &[(&[WEB, ATTACHED], true, true)])?;
    let called = |task: &str| desk.lab.from_container(task, Protocol::Tcp, Client::Stranger.v4(), 7000);
    assert!(called(&desk.lab.task("hosted")?)?.starts_with("peer stranger"));
    // Over the overlay network tasks are reached as ever.
    let mesh = desk.lab.addresses(&desk.lab.task("hosted")?, "mesh")?.v4.expect("hosted is on mesh");
    let inside = desk.lab.from_container("attached", Protocol::Tcp, mesh, 80)?;
    assert!(inside.starts_with("peer hosted"), "{inside}");
    desk.done("rm 1")?;
    only(desk, &[(&[HOSTED, HOSTED_SIX, HOSTED_UDP], true, true)])
}

/// All services share one address of the host; a rule for one must say nothing of the others.
fn ports_at_the_ingress(desk: &Desk) -> Result {
    desk.done(&format!("set add friends {FRIEND}"))?;
    let direct = desk.lab.ingress_address(Node::Host)?.expect("the ingress network is there");
    let route = ["ip", "route", "add", "172.18.0.0/16", "via", "203.0.113.1"];
    desk.lab.exec_as(Client::Stranger, &route)?.require("ip route")?;
    let routed = desk.lab.tcp(Client::Stranger, direct, 8080)?.reached();
    // From 28.2 on Docker itself lets nobody past the bridge.
    assert_eq!(routed, desk.lab.spec().engine != Engine::V28_5, "straight to the namespace");
    let said = desk.told("allow service:web --from friends")?;
    let says = "service:web is guarded at the ingress: 8053/udp, 8080/tcp, 8081/tcp from friends (1 address); \
                everything else closed. Rule 1.";
    assert!(said.contains(says) && !said.contains("warning"), "{said}");
    row_says(desk, "service:web", "0.0.0.0:8080 ingress", &["\"From\":\"friends\"", "\"Managed\":\"true\""])?;
    row_says(desk, "service:other", "0.0.0.0:8090 ingress", OPEN)?;
    // DOCKER-INGRESS stands above DOCKER-USER now, so that the backstop alone decides; then the other way round.
    let first = |chain: &str| desk.shell(&format!("iptables -D FORWARD -j {chain}; iptables -I FORWARD -j {chain}"));
    for chain in ["DOCKER-INGRESS", "DOCKER-USER"] {
        first(chain)?;
        only(desk, &[(&[WEB, WEB_UDP], true, false), (&[OTHER], true, true)])?;
        assert!(!desk.lab.tcp(Client::Stranger, direct, 8080)?.reached(), "straight to the namespace");
    }
    only(desk, &[(&[HOSTED, ATTACHED], true, true)])?;
    // Containers of other bridges are no strangers.
    let near = desk.lab.from_container("plain", Protocol::Tcp, Client::Host.v4(), 8080)?;
    assert!(near.starts_with("peer web"), "{near}");
    for service in ["web", "other", "hosted"] {
        let out = desk.lab.from_container(&desk.lab.task(service)?, Protocol::Tcp, Client::Stranger.v4(), 7000)?;
        assert!(out.starts_with("peer stranger"), "{service}: {out}");
    }
    let (tcp, udp) = (
        desk.lab.hold_tcp(Client::Friend, Client::Host.v4(), 8081)?,
        desk.lab.hold_udp(Client::Friend, Client::Host.v4(), 8053)?,
    );
    assert!(tcp.received_during(SOON) > 0 && udp.received_during(SOON) > 0);
    desk.done(&format!("set del friends {FRIEND}"))?;
    let end = Instant::now() + SOON;
    sleep(SOON + SOON);
    assert_eq!((tcp.received_after(end), udp.received_after(end)), (0, 0));
    only(desk, &[(&[WEB], false, false)])?;
    desk.done("rm 1")?;
    only(desk, &[(&[WEB], true, true)])
}

fn one_port_of_several(desk: &Desk) -> Result {
    for which in ["--published 8080", "--port 80"] {
        desk.done(&format!("allow service:web --from {FRIEND} {which}"))?;
        only(
            desk,
            &[(&[WEB], true, false), (&[WEB_TOO], false, false), (&[WEB_UDP], false, false), (&[OTHER], true, true)],
        )?;
        desk.done("rm 1")?;
    }
    // A deny takes away and does not guard.
    desk.done("deny service:web --from 203.0.113.66 --published 8053/udp")?;
    only(desk, &[(&[WEB_UDP], true, false), (&[WEB], true, true)])?;
    desk.done("rm 1")?;
    desk.refused("allow service:web --from any --published 8090", 1, &["no target publishes the host port 8090/tcp"])
}

/// A task is one container; what its service publishes in ingress mode is not its own.
fn tasks_are_not_services(desk: &Desk) -> Result {
    let task = desk.lab.task("web")?;
    let said = desk.told(&format!("allow {task} --from {FRIEND}"))?;
    assert!(said.contains("is one task of service web") && said.contains("service:web means both"), "{said}");
    only(desk, &[(&[WEB], true, true)])?;
    desk.done("rm 1").map(drop)
}

fn closed_by_default(desk: &Desk) -> Result {
    desk.done("default closed")?;
    only(desk, &[(&[WEB, OTHER, HOSTED, ATTACHED], false, false)])?;
    row_says(desk, "service:other", "0.0.0.0:8090 ingress", &["\"From\":\"nobody\"", "\"Managed\":\"true\""])?;
    desk.done(&format!("allow service:web --from {FRIEND}"))?;
    only(desk, &[(&[WEB, WEB_UDP], true, false), (&[OTHER], false, false)])?;
    desk.done("rm 1")?;
    // Everything means services too.
    desk.done(&format!("allow * --from {FRIEND}"))?;
    only(desk, &[(&[OTHER], true, false)])?;
    desk.done("default open")?;
    only(desk, &[(&[OTHER], true, false)])?;
    desk.done("rm 1")?;
    only(desk, &[(&[OTHER], true, true)])
}

fn an_attached_container(desk: &Desk) -> Result {
    desk.done(&format!("allow attached --from {FRIEND}"))?;
    only(desk, &[(&[ATTACHED], true, false), (&[HOSTED, WEB], true, true)])?;
    desk.done("rm 1").map(drop)
}

fn slips_of_the_pen(desk: &Desk) -> Result {
    let says = ["no swarm service is called wbe; did you mean service:web?", "docker service ls"];
    desk.refused("allow service:wbe --from any", 1, &says)?;
    desk.refused("allow service: --from any", 1, &["write service:NAME"])?;
    desk.refused("ls service:wbe", 1, &["no container is meant by service:wbe"])
}

/// Its ports are still published, and the next task may come at any time.
fn scaled_to_nothing(desk: &Desk) -> Result {
    desk.done(&format!("allow service:other --from {FRIEND}"))?;
    desk.lab.docker(&["service", "scale", "--detach", "other=0"])?.require("docker service scale")?;
    desk.lab.wait_for("the end of other", || Ok(desk.lab.task("other")?.is_empty()))?;
    let said = desk.told("apply")?;
    assert!(!said.contains("warning"), "{said}");
    row_says(desk, "service:other", "0.0.0.0:8090 ingress", &[FRIEND])?;
    desk.lab.docker(&["service", "scale", "--detach", "other=1"])?.require("docker service scale")?;
    desk.lab.wait_for("other", || Ok(!desk.lab.task("other")?.is_empty()))?;
    desk.lab.wait_ready(&desk.lab.task("other")?)?;
    // With the last task of a service dockerd takes ingress rules away, also those that stood in for its own.
    lead_to_the_tasks(desk)?;
    // Nothing was applied for the new task: the ingress address is the same.
    // The redirection inside the task comes a moment after it is ready.
    desk.lab.wait_for("other's port", || Ok(desk.lab.tcp(Client::Friend, Client::Host.v4(), 8090)?.reached()))?;
    only(desk, &[(&[OTHER], true, false)])?;
    desk.lab.docker(&["service", "rm", "other"])?.require("docker service rm")?;
    // Its last tasks stay for a while, stopped, and are still its own.
    let left = "docker ps -aq --filter label=com.docker.swarm.service.name=other";
    desk.lab.wait_for("the end of other", || Ok(desk.shell(left)?.is_empty()))?;
    let said = desk.told("apply")?;
    assert!(said.contains("no swarm service is called other"), "{said}");
    desk.done("rm 1").map(drop)
}

/// `friend` joins as a worker, and leads its port to the task on the host.
fn a_worker(desk: &Desk, web: IpAddr) -> Result {
    let lab = &desk.lab;
    lab.join_swarm()?;
    lab.stand_in_for_ipvs(Node::Friend, &[lead(WEB, web), lead(WEB_TOO, web)])?;
    let node = Client::Friend.v4();
    let there = |client| Ok::<_, lab::LabError>(lab.tcp(client, node, 8080)?.peer() == Some("web"));
    assert!(there(Client::Stranger)? && there(Client::Host)?);
    let on = |line: &str| {
        let words: Vec<&str> = std::iter::once("firewall").chain(line.split(' ')).collect();
        lab.docker_on(Node::Friend, &words)
    };
    let refused = on("allow service:web --from 203.0.113.1")?;
    assert_eq!(refused.code, 1, "{refused:?}");
    for text in [
        "this node is a worker of its swarm, so the published ports of service web are not known here",
        "docker service inspect --format '{{json .Endpoint.Ports}}' web",
        "docker firewall allow service:web --from SOURCE --published PORT",
    ] {
        assert!(refused.stderr.contains(text), "{text}: {refused:?}");
    }
    assert!(there(Client::Stranger)? && there(Client::Host)?);
    let said = on("allow service:web --from 203.0.113.1 --published 8080")?;
    assert!(said.success() && said.stderr.contains("service web publishes 8080/tcp cannot be checked"), "{said:?}");
    assert!(!there(Client::Stranger)? && there(Client::Host)?);
    // Only what was named, and only here.
    assert!(lab.tcp(Client::Stranger, node, 8081)?.reached());
    only(desk, &[(&[WEB], true, true)])?;
    let told = on("doctor --format {{.Check}}:{{.Health}}:{{.Fix}}")?.stdout;
    assert!(told.contains("swarm:warning:docker firewall allow service:NAME --published PORT"), "{told}");
    assert!(desk.run("doctor --format {{.Check}}:{{.Health}}")?.stdout.contains("swarm:ok"));
    let listed = on("ls")?.require("ls")?;
    assert!(listed.contains("service:web") && listed.contains("0.0.0.0:8080 ingress"), "{listed}");
    let broad = on("allow * --from 203.0.113.1 --published 8081")?;
    assert!(broad.success() && broad.stderr.contains("name them with service:NAME and --published"), "{broad:?}");
    assert!(lab.tcp(Client::Stranger, node, 8081)?.reached());
    assert!(on("reset --force")?.success());
    assert!(there(Client::Stranger)?);
    Ok(())
}

/// The host manages no more; what it knew about its rules in force stays in force.
fn a_demoted_manager(desk: &Desk) -> Result {
    let lab = &desk.lab;
    let node = |node| {
        Ok::<_, lab::LabError>(lab.docker_on(node, &["info", "-f", "{{.Swarm.NodeID}}"])?.stdout.trim().to_owned())
    };
    let (host, friend) = (node(Node::Host)?, node(Node::Friend)?);
    desk.done(&format!("allow service:web --from {FRIEND}"))?;
    desk.done("deny label:com.docker.swarm.service.name --from 203.0.113.66 --published 8080")?;
    let before = desk.shell(
        "ipset save | sed -E 's/ (packets|bytes) [0-9]+//g'; iptables-save | grep DOCKER-FIREWALL | sed 's/\\[.*//'",
    )?;
    let manages = |node| Ok(lab.docker_on(node, &["service", "ls"])?.success());
    lab.docker(&["node", "promote", &friend])?.require("docker node promote")?;
    lab.wait_for("the second manager", || manages(Node::Friend))?;
    lab.docker_on(Node::Friend, &["node", "demote", &host])?.require("docker node demote")?;
    let demoted = || Ok(lab.docker(&["info", "-f", "{{.Swarm.ControlAvailable}}"])?.stdout.trim() == "false");
    lab.wait_for("the demotion", demoted)?;
    assert!(!manages(Node::Host)?);
    let said = desk.told("apply")?;
    assert!(said.contains("this node is a worker of its swarm"), "{said}");
    assert!(said.contains("those that no rule names with --published stay as they are"), "{said}");
    assert_eq!(
        desk.shell(
            "ipset save | sed -E 's/ (packets|bytes) [0-9]+//g'; iptables-save | grep DOCKER-FIREWALL | sed 's/\\[.*//'"
        )?,
        before
    );
    only(desk, &[(&[WEB, WEB_UDP, WEB_TOO], true, false)])?;
    row_says(desk, "service:web", "0.0.0.0:8080 ingress", &[FRIEND, "\"Managed\":\"true\""])?;
    // And a rule that goes takes its guard along.
    desk.done("rm --target service:web")?;
    only(desk, &[(&[WEB_TOO], true, true), (&[WEB], true, false)])
}
