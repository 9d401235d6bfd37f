//! Sets that somebody empties, with nobody there to fill them again: the stranger stays out, whether it is one of ours or
//! all of the host's, and one command brings everything back.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

#![allow(clippy::expect_used, reason = "a test")]

mod desk;

use std::net::IpAddr;
use std::time::Duration;

use desk::{Desk, Result};
use lab::{Client, Probe, Protocol};

on_both_ends!(all_of_it, "flushed");

/// In which a stream that is not cut is heard of again and again.
const A_WHILE: Duration = Duration::from_secs(1);

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.docker(&["network", "create", "four"])?.require("network create")?;
    desk.lab.run("web", &["-p", "8080:80", "-p", "5300:53/udp"], &["tcp=80", "udp=53"])?;
    desk.lab.run("four", &["--network", "four", "-p", "8280:80", "-p", "5301:53/udp"], &["tcp=80", "udp=53"])?;
    desk.lab.run("free", &["-p", "8090:80"], &["tcp=80"])?;
    desk.lab.run("hostapp", &["--network", "host"], &["tcp=9100,9102", "udp=9100"])?;
    desk.lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7000"])?;
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    desk.done("allow web four --from ipfriends")?;
    desk.done("allow hostapp --from ipfriends --port 9100,9100/udp")?;
    as_it_should_be(desk)?;
    one_of_ours(desk)?;
    all_sets(desk)?;
    without_the_backstop(desk)
}

fn as_it_should_be(desk: &Desk) -> Result {
    for (port, who) in [(8080, "web"), (8280, "four"), (9100, "hostapp")] {
        desk.only(port, who, true, false)?;
    }
    desk.only(8090, "free", true, true)?;
    desk.only(9102, "hostapp", true, true)
}

/// Every way into what is guarded: DNAT, docker-proxy (IPv6 to `four` on every engine), the host's network, directly.
fn ways(desk: &Desk) -> Result<Vec<(Protocol, IpAddr, u16)>> {
    let mut ways = Vec::new();
    for to in [Client::Host.v4(), Client::Host.v6()] {
        ways.extend([8080, 8280, 9100].map(|port| (Protocol::Tcp, to, port)));
        ways.extend([5300, 5301, 9100].map(|port| (Protocol::Udp, to, port)));
    }
    let own = [desk.lab.addresses("web", "bridge")?, desk.lab.addresses("four", "four")?];
    for address in own.iter().flat_map(|own| [own.v4, own.v6]).flatten() {
        ways.extend([(Protocol::Tcp, address, 80), (Protocol::Udp, address, 53)]);
    }
    Ok(ways)
}

fn who_gets_in(desk: &Desk, client: Client) -> Result<Vec<(Protocol, IpAddr, u16)>> {
    let ways = ways(desk)?;
    let probes: Vec<Probe> =
        ways.iter().map(|(protocol, to, port)| Probe::new(client, *protocol, *to, *port)).collect();
    let answers = desk.lab.probe_all(&probes)?;
    Ok(ways.into_iter().zip(answers).filter(|(_, answer)| answer.peer().is_some()).map(|(way, _)| way).collect())
}

/// Each that leads or closes, in both lines, in both families.
fn one_of_ours(desk: &Desk) -> Result {
    let names = desk.shell("ipset list -name | grep '^df4-' | sed 's/^df4-//'")?;
    let names: Vec<&str> = names.lines().collect();
    for name in ["ruled", "guarded", "host", "host-guarded", "whole"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for name in names {
        let families = desk.shell(&format!("ipset list -name | grep -x 'df[46]-{name}'"))?;
        for set in families.lines() {
            desk.shell(&format!("ipset flush {set}"))?;
        }
        assert_eq!(who_gets_in(desk, Client::Stranger)?, [], "{name} is empty");
        desk.done("apply")?;
    }
    as_it_should_be(desk)
}

/// What the line `flush` in an administrator's set file does.
fn all_sets(desk: &Desk) -> Result {
    // Withdrawn in time, and must not come back.
    let held = [(Client::Host.v4(), 5300), (Client::Host.v6(), 5301), (Client::Host.v4(), 9100)];
    let held: Vec<_> =
        held.into_iter().map(|(to, port)| desk.lab.hold_udp(Client::Friend, to, port)).collect::<Result<_>>()?;
    for session in &held {
        assert!(session.received_during(A_WHILE) > 0, "no live session");
    }
    desk.done("set del ipfriends 203.0.113.10")?;
    desk.done("set del ipfriends fd00:1::10")?;
    for session in &held {
        session.received_during(A_WHILE);
        assert_eq!(session.received_during(A_WHILE), 0, "a withdrawn session goes on");
    }
    desk.shell("echo flush | ipset restore")?;
    for session in &held {
        assert_eq!(session.received_during(A_WHILE), 0, "a flush brought a withdrawn session back");
    }
    everything_is_closed(desk)?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    desk.shell("echo flush | ipset restore")?;
    everything_is_closed(desk)?;
    let status = desk.idle("status")?;
    assert_eq!(status.code, 1, "{status:?}");
    desk.done("apply")?;
    assert_eq!(desk.idle("plan")?.code, 0);
    as_it_should_be(desk)
}

fn everything_is_closed(desk: &Desk) -> Result {
    for client in [Client::Stranger, Client::Friend] {
        assert_eq!(who_gets_in(desk, client)?, [], "{client}");
    }
    // Nobody can tell any more who was not guarded, nor who stands behind docker-proxy.
    desk.only(8090, "free", false, false)?;
    let web = desk.lab.addresses("web", "bridge")?.v4.expect("web has an address");
    assert!(!desk.reaches(Client::Host, web, 80, "web")?, "docker-proxy calls as the host does");
    // The host's own ports and calls are nobody else's business,
    desk.only(9102, "hostapp", true, true)?;
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for to in [Client::Stranger.v4(), Client::Stranger.v6()] {
            assert!(desk.lab.probe(&Probe::new(Client::Host, protocol, to, 7000))?.reached(), "{protocol} {to}");
        }
        // and what containers call goes on: outside, one another, the host.
        let said = desk.lab.from_container("web", protocol, Client::Stranger.v4(), 7000)?;
        assert!(said.starts_with("peer stranger"), "{protocol}: {said}");
    }
    let said = desk.lab.from_container("free", Protocol::Tcp, web, 80)?;
    assert!(said.starts_with("peer web"), "{said}");
    let said = desk.lab.from_container("web", Protocol::Tcp, Client::Host.v4(), 9102)?;
    assert!(said.starts_with("peer hostapp"), "{said}");
    Ok(())
}

/// Another program that takes the hooks of one line away leaves the other one, with the canary or without.
fn without_the_backstop(desk: &Desk) -> Result {
    desk.shell(
        "iptables -F DOCKER-USER; ip6tables -F DOCKER-USER 2> /dev/null; ipset flush df4-ruled; ipset flush df6-ruled",
    )?;
    assert_eq!(who_gets_in(desk, Client::Stranger)?, []);
    desk.done("apply")?;
    as_it_should_be(desk)
}
