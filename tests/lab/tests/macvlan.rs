//! Containers on macvlan networks, whose packets no chain of the host ever sees.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::{Client, Probe, Protocol};

on_both_ends!(all_of_it, "macvlan");

const MAC: [&str; 2] = ["203.0.113.200", "fd00:1::200"];
const NEAR: [&str; 2] = ["203.0.113.201", "fd00:1::201"];

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.macvlan("lan0")?;
    run(desk, "mac", MAC, &[])?;
    run(desk, "near", NEAR, &["--label", "tier=near"])?;
    desk.lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7001"])?;
    friends_only(desk)?;
    desk.clear()?;
    ports_interfaces_and_the_default(desk)?;
    desk.clear()?;
    sessions_end(desk)?;
    desk.clear()?;
    sets_of_others(desk)?;
    desk.clear()?;
    what_is_not_ours(desk)?;
    desk.clear()?;
    containers_that_come_and_go(desk)?;
    desk.clear()?;
    desk.lab.docker(&["rm", "-f", "mac", "near"])?.require("docker rm")?;
    desk.lab.docker(&["network", "rm", "lan0"])?.require("docker network rm")?;
    beside_a_bridge(desk)
}

fn run(desk: &Desk, name: &str, [v4, v6]: [&str; 2], more: &[&str]) -> Result {
    let words = [&["--network", "lan0", "--ip", v4, "--ip6", v6], more].concat();
    desk.lab.run(name, &words, &["tcp=80,443", "stream=81", "udp=53"])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

/// Asserts who is answered at a container's own addresses.
fn only(desk: &Desk, to: [&str; 2], port: u16, friend: bool, stranger: bool) -> Result {
    judge(desk, Protocol::Tcp, to, port, [friend, stranger])
}

fn only_udp(desk: &Desk, to: [&str; 2], friend: bool, stranger: bool) -> Result {
    judge(desk, Protocol::Udp, to, 53, [friend, stranger])
}

fn judge(desk: &Desk, protocol: Protocol, to: [&str; 2], port: u16, wanted: [bool; 2]) -> Result {
    let probe =
        |to: &str| [Client::Friend, Client::Stranger].map(|client| Probe::new(client, protocol, address(to), port));
    let probes = to.map(probe).concat();
    for ((probe, answer), wanted) in probes.iter().zip(desk.lab.probe_all(&probes)?).zip(wanted.into_iter().cycle()) {
        assert_eq!(answer.reached(), wanted, "{} to {} port {port}/{protocol}: {answer}", probe.client, probe.to);
    }
    Ok(())
}

/// A line of shell in the network namespace of a container.
fn inside(desk: &Desk, container: &str, script: &str) -> Result<String> {
    desk.shell(&format!(
        "nsenter --net=\"$(docker inspect --format '{{{{.NetworkSettings.SandboxKey}}}}' {container})\" sh -c '{script}'"
    ))
}

/// What a namespace holds, without counters and dates.
fn held(desk: &Desk, container: &str) -> Result<String> {
    let text = inside(desk, container, "iptables-save; ip6tables-save; ipset save")?;
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(" [").next().unwrap_or(line));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Rules and sets alone: a table that somebody only looked at may be listed, empty.
fn used(held: &str) -> Vec<String> {
    let mut table = "";
    let mut lines = Vec::new();
    for line in held.lines() {
        match line.split_at_checked(1) {
            Some(("*", _)) => table = line,
            Some((":", _))
                if ["INPUT", "FORWARD", "OUTPUT"].iter().any(|name| line.starts_with(&format!(":{name} "))) => {}
            _ if line == "COMMIT" => {}
            _ => lines.push(format!("{table} {line}")),
        }
    }
    // Each table's own order stays; that of the tables is the tool's affair.
    lines.sort_by(|a, b| a.split(' ').next().cmp(&b.split(' ').next()));
    lines
}

fn friends(desk: &Desk) -> Result {
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10").map(drop)
}

/// Echo requests by the busybox that every lab's host has.
fn pings(desk: &Desk, client: Client, to: &str) -> Result<bool> {
    let applet = if to.contains(':') { "ping6" } else { "ping" };
    Ok(desk.lab.exec_as(client, &["busybox", applet, "-c", "1", "-W", "2", to])?.success())
}

fn friends_only(desk: &Desk) -> Result {
    only(desk, MAC, 80, true, true)?;
    only_udp(desk, MAC, true, true)?;
    let before = held(desk, "mac")?;
    friends(desk)?;
    let said = desk.told("allow mac --from ipfriends")?;
    assert_eq!(said, "mac is guarded: every port from ipfriends (2 addresses); everything else closed. Rule 1.\n");
    for port in [80, 443, 81] {
        only(desk, MAC, port, true, false)?;
    }
    only_udp(desk, MAC, true, false)?;
    only(desk, NEAR, 80, true, true)?;
    let listed = desk.idle("ls mac")?.stdout;
    let row = listed.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(row, "mac macvlan lan0 203.0.113.200 all macvlan ipfriends 1 yes", "{listed}");
    assert_eq!(desk.run("status")?.code, 0);
    assert_eq!(desk.done("apply")?, "Nothing to do: 1 rule in force.");
    // What the container starts is its own affair, and so are its neighbours of the same engine.
    for to in [Client::Stranger.v4(), Client::Stranger.v6()] {
        for (protocol, port) in [(Protocol::Tcp, 7000), (Protocol::Udp, 7001)] {
            let line = desk.lab.from_container("mac", protocol, to, port)?;
            assert!(line.starts_with("peer stranger"), "{line}");
        }
    }
    for to in MAC.map(address) {
        let line = desk.lab.from_container("near", Protocol::Tcp, to, 80)?;
        assert!(line.starts_with("peer mac"), "{line}");
    }
    // Neighbour discovery has to work from nothing, in both directions.
    for to in MAC {
        for client in [Client::Friend, Client::Stranger] {
            desk.lab.exec_as(client, &["ip", "-6", "neigh", "flush", "dev", "eth0"])?.require("ip neigh flush")?;
            inside(desk, "mac", "ip neigh flush all; ip -6 neigh flush all")?;
            assert_eq!(pings(desk, client, to)?, client == Client::Friend, "{client} pings {to}");
        }
    }
    only(desk, MAC, 80, true, false)?;
    inside(desk, "mac", "ip -6 neigh flush all")?;
    desk.lab.docker(&["exec", "mac", "ping6", "-c", "1", "-W", "2", "fd00:1::66"])?.require("ping6 from inside")?;
    desk.done("rm 1")?;
    assert_eq!(used(&held(desk, "mac")?), used(&before));
    only(desk, MAC, 80, true, true)
}

fn ports_interfaces_and_the_default(desk: &Desk) -> Result {
    friends(desk)?;
    desk.done("allow mac --from ipfriends --port 80")?;
    desk.done("allow mac --from any --port 53/udp")?;
    only(desk, MAC, 80, true, false)?;
    only(desk, MAC, 443, false, false)?;
    only_udp(desk, MAC, true, true)?;
    let listed = desk.idle("ls mac --no-trunc")?.stdout;
    let rows: Vec<String> =
        listed.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = |address: &str| {
        ["80/tcp macvlan ipfriends 1 yes", "53/udp macvlan everyone 2 yes", "all others macvlan nobody yes"]
            .map(|rest| format!("mac macvlan lan0 {address} {rest}"))
    };
    assert_eq!(rows, MAC.map(expected).concat(), "{listed}");
    desk.done("deny mac --from 203.0.113.10 --port 80 --interface br-ext")?;
    assert!(!desk.lab.tcp(Client::Friend, address(MAC[0]), 80)?.reached());
    assert!(desk.lab.tcp(Client::Friend, address(MAC[1]), 80)?.reached());
    desk.done("rm 1 2 3")?;
    desk.done("allow mac --from ipfriends --interface lo")?;
    only(desk, MAC, 80, false, false)?;
    desk.done("rm 1")?;
    desk.refused("allow mac --from ipfriends --published 80", 1, &["no target publishes the host port 80/tcp"])?;
    // A deny alone guards nothing.
    desk.done("deny label:tier=near --from 203.0.113.66,fd00:1::66 --port 80")?;
    only(desk, NEAR, 80, true, false)?;
    only(desk, NEAR, 443, true, true)?;
    desk.done("rm 1")?;
    desk.done("default closed")?;
    only(desk, MAC, 80, false, false)?;
    only(desk, NEAR, 443, false, false)?;
    desk.done("allow near --from ipfriends --for 3s")?;
    only(desk, NEAR, 443, true, false)?;
    sleep(Duration::from_millis(3300));
    only(desk, NEAR, 443, false, false)?;
    desk.done("rm 1")?;
    desk.done("default open")?;
    only(desk, MAC, 80, true, true)
}

fn sessions_end(desk: &Desk) -> Result {
    friends(desk)?;
    desk.done("allow mac --from ipfriends")?;
    for (to, entry) in MAC.map(address).into_iter().zip(["203.0.113.10", "fd00:1::10"]) {
        let stream = desk.lab.hold_tcp(Client::Friend, to, 81)?;
        let push = desk.lab.hold_udp(Client::Friend, to, 53)?;
        sleep(Duration::from_millis(300));
        assert!(stream.received_during(Duration::from_millis(300)) > 0, "{to}");
        assert!(push.received_during(Duration::from_millis(300)) > 0, "{to}");
        desk.done(&format!("set del ipfriends {entry}"))?;
        let withdrawn = Instant::now();
        sleep(Duration::from_millis(2500));
        let late = withdrawn + Duration::from_secs(1);
        assert_eq!((stream.received_after(late), push.received_after(late)), (0, 0), "{to}");
        desk.done(&format!("set add ipfriends {entry}"))?;
    }
    only(desk, MAC, 80, true, false)
}

/// Kernel sets are each namespace's own: what is done by hand to the host's is copied by the next apply.
fn sets_of_others(desk: &Desk) -> Result {
    desk.shell("ipset create crowd hash:ip timeout 600 comment; ipset add crowd 203.0.113.66 comment \"bad one\"")?;
    desk.done("deny mac --from ipset:crowd")?;
    assert!(!desk.lab.tcp(Client::Stranger, address(MAC[0]), 80)?.reached());
    assert!(desk.lab.tcp(Client::Friend, address(MAC[0]), 80)?.reached());
    assert_eq!(desk.done("apply")?, "Nothing to do: 1 rule in force.");
    desk.shell("ipset add crowd 203.0.113.10; ipset del crowd 203.0.113.66")?;
    let plan = desk.idle("plan")?;
    assert_eq!(plan.code, 2, "{plan:?}");
    assert!(plan.stdout.contains("container mac: set df4-of-"), "{plan:?}");
    assert_eq!(desk.run("status")?.code, 1);
    desk.done("apply")?;
    assert!(desk.lab.tcp(Client::Stranger, address(MAC[0]), 80)?.reached());
    assert!(!desk.lab.tcp(Client::Friend, address(MAC[0]), 80)?.reached());
    // Sets of sets cannot be copied: nobody knows whom a deny means then, so it means everybody.
    desk.shell("ipset create sets list:set; ipset add sets crowd")?;
    desk.done("deny mac --from ipset:sets")?;
    assert!(!desk.lab.tcp(Client::Stranger, address(MAC[0]), 80)?.reached());
    desk.done("rm 1 2")?;
    desk.shell("ipset destroy sets; ipset destroy crowd").map(drop)
}

fn what_is_not_ours(desk: &Desk) -> Result {
    inside(
        desk,
        "mac",
        "iptables -A INPUT -s 192.0.2.250 -m comment --comment \"my own\" -j DROP; ip6tables -I OUTPUT -d 2001:db8::1 -j DROP
         ipset create theirs hash:ip; ipset add theirs 192.0.2.251; iptables -A INPUT -m set --match-set theirs src -j DROP",
    )?;
    let before = held(desk, "mac")?;
    assert!(before.contains("DOCKER_OUTPUT"), "{before}");
    friends(desk)?;
    desk.done("allow mac --from ipfriends")?;
    let ours = |line: &&String| ["DOCKER-FIREWALL", "df4-", "df6-"].iter().any(|mark| line.contains(mark));
    let with: Vec<String> = used(&held(desk, "mac")?).into_iter().filter(|line| !ours(&line)).collect();
    assert_eq!(with, used(&before));
    // Taken away by hand, ours are drift, and are put back.
    inside(desk, "mac", "iptables -D INPUT -j DOCKER-FIREWALL-IN")?;
    let plan = desk.idle("plan")?.stdout;
    assert!(plan.contains("container mac: IPv4 filter/INPUT\n+ -I INPUT 1 -j DOCKER-FIREWALL-IN\n"), "{plan}");
    only(desk, MAC, 80, true, false)?;
    desk.done("apply")?;
    // Also when nobody remembers having written them.
    desk.shell("rm /run/docker-firewall/sandboxes")?;
    desk.done("reset --force")?;
    assert_eq!(used(&held(desk, "mac")?), used(&before));
    only(desk, MAC, 80, true, true)?;
    assert_eq!(desk.done("reset --force")?, "Nothing to do: the kernel holds nothing of docker firewall.");
    inside(desk, "mac", "iptables -F INPUT; ip6tables -F OUTPUT; ipset destroy theirs").map(drop)
}

fn containers_that_come_and_go(desk: &Desk) -> Result {
    friends(desk)?;
    desk.done("allow mac --from ipfriends")?;
    desk.done("allow near --from ipfriends")?;
    // A restart gives a new namespace, without rules until the next apply.
    desk.lab.docker(&["restart", "mac"])?.require("docker restart")?;
    desk.lab.wait_ready("mac")?;
    only(desk, MAC, 80, true, true)?;
    assert_eq!(desk.run("status")?.code, 1);
    desk.done("apply")?;
    only(desk, MAC, 80, true, false)?;
    let lines = || desk.shell("wc -l < /run/docker-firewall/sandboxes");
    assert_eq!(lines()?.trim(), "2");
    // Killed after everything was read and before anything is written there.
    desk.write(
        "/usr/local/sbin/ipset",
        "#!/bin/sh\nif [ \"$1\" = restore ] && [ -e /tmp/once ]; then rm /tmp/once; docker rm -f near > /dev/null; fi\n\
         exec /usr/sbin/ipset \"$@\"\n",
    )?;
    desk.shell("chmod +x /usr/local/sbin/ipset; hash -r; touch /tmp/once")?;
    let output = desk.run("set add ipfriends 192.0.2.9")?;
    desk.shell("rm /usr/local/sbin/ipset; ! [ -e /tmp/once ]")?;
    assert_eq!(output.code, 0, "{output:?}");
    only(desk, MAC, 80, true, false)?;
    desk.done("rm --target near")?;
    assert_eq!(lines()?.trim(), "1");
    run(desk, "near", NEAR, &[])?;
    // Called by another name it does not open.
    desk.lab.docker(&["rename", "mac", "mick"])?.require("docker rename")?;
    desk.refused("apply", 1, &["rule 1 names mac, which is called mick now and would be open"])?;
    desk.lab.docker(&["rename", "mick", "mac"])?.require("docker rename")?;
    desk.lab.docker(&["stop", "mac"])?.require("docker stop")?;
    desk.done("apply")?;
    assert_eq!(desk.shell("cat /run/docker-firewall/sandboxes")?, "");
    desk.lab.docker(&["start", "mac"])?.require("docker start")?;
    desk.lab.wait_ready("mac")?;
    desk.done("apply")?;
    only(desk, MAC, 80, true, false)
}

/// One leg on a bridge, with a published port, and one on the wire, in subnets of its own.
fn beside_a_bridge(desk: &Desk) -> Result {
    for (client, number) in [(Client::Friend, "10"), (Client::Stranger, "66")] {
        for (family, address) in [("-4", format!("192.0.2.{number}/24")), ("-6", format!("fd00:2::{number}/64"))] {
            desk.lab.exec_as(client, &["ip", family, "addr", "add", &address, "dev", "eth0"])?.require("ip addr")?;
        }
    }
    let create = |words: &str| -> Result {
        let words: Vec<&str> = ["network", "create"].into_iter().chain(words.split_ascii_whitespace()).collect();
        desk.lab.docker(&words)?.require("docker network create").map(drop)
    };
    create("--ipv6 --subnet 172.29.0.0/24 --subnet fd00:29::/64 a-yard")?;
    create("-d macvlan -o parent=br-ext --ipv6 --subnet 192.0.2.0/24 --subnet fd00:2::/64 wire")?;
    let both = ["192.0.2.200", "fd00:2::200"];
    desk.lab.run("both", &["--network", "a-yard", "--ip", "172.29.0.9", "-p", "8080:80"], &[])?;
    let connect = ["network", "connect", "--ip", both[0], "--ip6", both[1], "wire", "both"];
    desk.lab.docker(&connect)?.require("docker network connect")?;
    only(desk, both, 80, true, true)?;
    desk.only(8080, "both", true, true)?;
    // The parent is a bridge here: without this the host's own rules would see the packets all the same.
    desk.shell(
        "for switch in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -e $switch ] || echo 0 > $switch; done",
    )?;
    // The weak host model: packets for one leg's address that come in by the other.
    let name = inside(desk, "both", "ip -o -4 addr show to 192.0.2.200")?;
    let name = name.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mac = inside(desk, "both", &format!("ip -o link show {name}"))?;
    let mac = mac.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    for client in [Client::Friend, Client::Stranger] {
        let script = format!(
            "ip neigh replace 172.29.0.9 lladdr {mac} dev eth0; ip route replace 172.29.0.9 dev eth0 src 192.0.2.{}",
            if client == Client::Friend { 10 } else { 66 }
        );
        desk.lab.exec_as(client, &["sh", "-c", &script])?.require("ip neigh")?;
        assert!(desk.lab.tcp(client, address("172.29.0.9"), 80)?.reached(), "{client} by the other leg, unguarded");
    }
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10 192.0.2.10 fd00:2::10")?;
    desk.done("allow both --from ipfriends")?;
    only(desk, both, 80, true, false)?;
    desk.only(8080, "both", true, false)?;
    assert!(!desk.lab.tcp(Client::Stranger, address("172.29.0.9"), 80)?.reached());
    assert!(desk.lab.tcp(Client::Friend, address("172.29.0.9"), 80)?.reached());
    // From the host by the bridge: outside of the rules, as ever.
    assert!(desk.lab.tcp(Client::Host, address("172.29.0.9"), 80)?.reached());
    let listed = desk.idle("ls both")?.stdout;
    for text in ["macvlan wire 192.0.2.200", "macvlan wire fd00:2::200", "0.0.0.0:8080"] {
        assert!(listed.contains(text), "{listed}");
    }
    // Off the wire, its namespace is cleaned; the bridge is guarded on.
    desk.lab.docker(&["network", "disconnect", "wire", "both"])?.require("docker network disconnect")?;
    desk.done("apply")?;
    let left = held(desk, "both")?;
    assert!(!left.contains("DOCKER-FIREWALL") && !left.contains("df4-"), "{left}");
    desk.only(8080, "both", true, false)?;
    desk.clear()
}
