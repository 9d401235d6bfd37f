//! Closed until seen: while an agent is to follow the containers, one that nobody has looked at yet answers nobody outside,
//! by no way in.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

#![allow(clippy::expect_used, reason = "a test")]

mod desk;

use desk::{Desk, POLICY, Result};
use lab::{Client, Protocol};

on_both_ends!(all_of_it, "unseen");

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.lab.run("free", &["-p", "8090:80"], &[])?;
    let friend = format!("{},{}", Client::Friend.v4(), Client::Friend.v6());
    desk.done(&format!("allow web label:tier=db --pending --from {friend}"))?;
    without_an_agent(desk)?;
    // As `service install` leaves it; no agent runs, so that nobody looks unless this test says so.
    desk.shell("touch /var/lib/docker-firewall/agent")?;
    desk.done("apply")?;
    desk.only(8080, "web", true, false)?;
    desk.only(8090, "free", true, true)?;
    a_new_container(desk)?;
    a_new_network(desk)?;
    a_used_address(desk)?;
    a_restart(desk)?;
    the_switch(desk)
}

fn without_an_agent(desk: &Desk) -> Result {
    desk.lab.run("early", &["-p", "8091:80"], &[])?;
    desk.only(8091, "early", true, true)?;
    let early = desk.lab.addresses("early", "bridge")?.v4;
    assert!(!desk.shell("ipset save")?.contains("df4-unseen"), "{early:?} is nothing special");
    Ok(())
}

/// IPv4 by DNAT, IPv6 by docker-proxy, TCP and UDP, straight to its address, and the host itself.
fn a_new_container(desk: &Desk) -> Result {
    desk.lab.run("fresh", &["-p", "8092:80", "-p", "5300:53/udp"], &[])?;
    let address = desk.lab.addresses("fresh", "bridge")?.v4.expect("fresh has an address");
    let host = |desk: &Desk| desk.reaches(Client::Host, address, 80, "fresh");
    desk.only(8092, "fresh", false, false)?;
    for to in [Client::Host.v4(), Client::Host.v6()] {
        assert!(!desk.answers_udp(Client::Stranger, to, 5300)?, "UDP to {to}");
    }
    assert!(!desk.reaches(Client::Stranger, address, 80, "fresh")?);
    assert!(!host(desk)?, "docker-proxy calls as the host does");
    // What containers say to one another, and what it asks for itself, was never anybody's business.
    let said = desk.lab.from_container("free", Protocol::Tcp, address, 80)?;
    assert!(said.contains("fresh"), "{said}");
    desk.done("apply")?;
    desk.only(8092, "fresh", true, true)?;
    for to in [Client::Host.v4(), Client::Host.v6()] {
        assert!(desk.answers_udp(Client::Stranger, to, 5300)?, "UDP to {to}");
    }
    assert!(host(desk)?);
    Ok(())
}

/// Nobody knows the subnet of a network made later, until somebody has looked: then it is closed for whoever comes.
fn a_new_network(desk: &Desk) -> Result {
    desk.lab.docker(&["network", "create", "late"])?.require("network create")?;
    desk.done("apply")?;
    desk.lab.run("guest", &["--network", "late", "-p", "8093:80"], &[])?;
    desk.only(8093, "guest", false, false)?;
    desk.done("apply")?;
    desk.only(8093, "guest", true, true)?;
    desk.lab.docker(&["rm", "-f", "guest"])?.require("rm")?;
    desk.lab.docker(&["network", "rm", "late"])?.require("network rm").map(drop)
}

/// An address that was open, or somebody's friends', is nobody's when it changes hands.
fn a_used_address(desk: &Desk) -> Result {
    for (old, labels, new) in [("fresh", vec!["--label", "tier=db"], "db"), ("web", vec![], "heir")] {
        let before = desk.lab.addresses(old, "bridge")?;
        desk.lab.docker(&["stop", "-t", "0", old])?.require("stop")?;
        desk.done("apply")?;
        let mut args = vec!["-p", "8094:80"];
        args.extend(labels.clone());
        desk.lab.run(new, &args, &[])?;
        assert_eq!(desk.lab.addresses(new, "bridge")?, before, "nothing changed hands");
        desk.only(8094, new, false, false)?;
        desk.done("apply")?;
        desk.only(8094, new, true, labels.is_empty())?;
        desk.lab.docker(&["rm", "-f", new])?.require("rm")?;
    }
    Ok(())
}

/// A guarded container that comes back is its friends' again as soon as somebody has looked, and never the stranger's.
fn a_restart(desk: &Desk) -> Result {
    desk.done("apply")?;
    desk.lab.docker(&["start", "web"])?.require("start")?;
    desk.lab.wait_ready("web")?;
    desk.only(8080, "web", false, false)?;
    desk.done("apply")?;
    desk.only(8080, "web", true, false)
}

fn the_switch(desk: &Desk) -> Result {
    desk.shell(&format!("sed -i 's/^unseen = \"closed\"/unseen = \"open\"/' {POLICY}"))?;
    desk.done("apply")?;
    desk.lab.run("hasty", &["-p", "8095:80"], &[])?;
    desk.only(8095, "hasty", true, true)?;
    desk.shell(&format!("sed -i 's/^unseen = \"open\"/unseen = \"closed\"/' {POLICY}"))?;
    desk.done("default closed")?;
    desk.lab.run("last", &["-p", "8096:80"], &[])?;
    desk.only(8096, "last", false, false)?;
    desk.done("apply")?;
    desk.only(8096, "last", false, false)?;
    desk.only(8080, "web", true, false)
}
