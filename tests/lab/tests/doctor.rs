//! `doctor`, check by check: each is seen to pass, is provoked, and passes again once its way out was taken.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use desk::{Desk, Result};
use lab::Client;

on_both_ends!(all_of_it, "doctor");

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done("allow web --from 203.0.113.10,fd00:1::10")?;
    let well = desk.done("doctor")?;
    for check in
        ["engine", "namespace", "flavour", "in-force", "backstop", "hook", "ways-in", "reach", "firewalls", "rules"]
    {
        assert!(well.contains(&begins("ok", check)), "{check}: {well}");
    }
    an_accept_above(desk)?;
    one_line_of_two(desk)?;
    assert_eq!(desk.done("doctor")?, well);
    what_cannot_be_read(desk)?;
    assert_eq!(desk.done("doctor")?, well);
    other_firewalls(desk)?;
    assert_eq!(desk.done("doctor")?, well);
    no_tool(desk)?;
    assert_eq!(desk.done("doctor")?, well);
    another_engine(desk)
}

/// How a line begins.
fn begins(health: &str, check: &str) -> String {
    format!("{health:<7} {check:<10} ")
}

fn an_accept_above(desk: &Desk) -> Result {
    desk.shell("iptables -I FORWARD -i eth9 -j ACCEPT")?;
    let noted = desk.done("doctor")?;
    assert!(noted.contains(&begins("note", "hook")) && noted.contains("-A FORWARD -i eth9 -j ACCEPT"), "{noted}");
    desk.shell("iptables -D FORWARD -i eth9 -j ACCEPT; iptables -I DOCKER-USER -i eth9 -j RETURN")?;
    let noted = desk.run("doctor")?.stdout;
    assert!(noted.contains(&begins("note", "hook")) && noted.contains("-A DOCKER-USER -i eth9 -j RETURN"), "{noted}");
    desk.shell("iptables -F DOCKER-USER")?;
    let gone = desk.run("doctor")?;
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stdout.contains(&begins("UNSAFE", "hook")) && gone.stdout.contains("does not call"), "{gone:?}");
    desk.done("apply").map(drop)
}

/// The backstop alone bars a stranger, and `reach` knows; without both of them the stranger is in, and it knows that too.
fn one_line_of_two(desk: &Desk) -> Result {
    desk.only(8080, "web", true, false)?;
    desk.shell("for i in iptables ip6tables; do $i -F DOCKER-FIREWALL-TO; $i -F DOCKER-FIREWALL-FROM; done")?;
    let ill = desk.run("doctor")?;
    assert_eq!(ill.code, 1, "{ill:?}");
    assert!(ill.stdout.contains(&begins("UNSAFE", "in-force")), "{ill:?}");
    assert!(ill.stdout.contains("-> docker firewall apply"), "{ill:?}");
    assert!(ill.stdout.contains(&begins("ok", "reach")), "{ill:?}");
    desk.only(8080, "web", true, false)?;

    desk.shell("iptables -t security -F FORWARD; ip6tables -t security -F FORWARD")?;
    let worse = desk.run("doctor")?;
    assert_eq!(worse.code, 1, "{worse:?}");
    let open = format!("{}a stranger gets into web 80/tcp from 203.0.113.254 by published", begins("UNSAFE", "reach"));
    assert!(worse.stdout.contains(&open), "{worse:?}");
    assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    desk.done("apply")?;
    desk.only(8080, "web", true, false)?;
    // It goes on counting from what it kept out meanwhile.
    desk.shell("iptables -t security -Z; ip6tables -t security -Z").map(drop)
}

/// What judges packets and was not read leaves no certainty, which is neither good nor dangerous.
fn what_cannot_be_read(desk: &Desk) -> Result {
    desk.shell("ip rule add from 203.0.113.66 lookup main")?;
    let unsure = desk.done("doctor")?;
    assert!(unsure.contains(&begins("unknown", "reach")) && unsure.contains("policy routing"), "{unsure}");
    assert!(!unsure.contains(&begins("ok", "reach")), "{unsure}");
    desk.shell("ip rule del from 203.0.113.66 lookup main").map(drop)
}

/// Who else writes rules is named, and so is what slipped past the first line.
fn other_firewalls(desk: &Desk) -> Result {
    desk.shell(
        "mkdir -p /etc/ufw /etc/iptables /etc/systemd/system/sysinit.target.wants
         echo ENABLED=yes > /etc/ufw/ufw.conf; : > /etc/iptables/rules.v4
         mv /etc/nftables.conf /tmp/nftables.conf 2> /dev/null; echo 'flush ruleset' > /etc/nftables.conf
         ln -sf /lib/systemd/system/nftables.service /etc/systemd/system/sysinit.target.wants/",
    )?;
    let noted = desk.done("doctor")?;
    for says in
        ["ufw is enabled", "nftables.service begins with", "saved rules in", "-> docker firewall service install"]
    {
        assert!(noted.contains(says), "{says}: {noted}");
    }
    desk.shell(
        "rm -r /etc/ufw /etc/iptables /etc/nftables.conf /etc/systemd/system/sysinit.target.wants/nftables.service
         mv /tmp/nftables.conf /etc/ 2> /dev/null || true",
    )?;
    desk.shell("iptables -I FORWARD -j ACCEPT")?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?, "the backstop holds");
    let noted = desk.done("doctor")?;
    assert!(noted.contains("it alone kept out") && noted.contains("-> docker firewall explain"), "{noted}");
    desk.shell("iptables -D FORWARD -j ACCEPT; iptables -t security -Z").map(drop)
}

/// A kernel that cannot be read is a check like others, with its way out.
fn no_tool(desk: &Desk) -> Result {
    let tool = desk.shell("command -v ipset")?;
    let tool = tool.trim();
    desk.shell(&format!("mv {tool} {tool}.gone"))?;
    let ill = desk.run("doctor");
    desk.shell(&format!("mv {tool}.gone {tool}"))?;
    let ill = ill?;
    assert_eq!(ill.code, 1, "{ill:?}");
    assert!(
        ill.stdout.contains(&begins("UNSAFE", "kernel")) && ill.stdout.contains("ipset is not installed"),
        "{ill:?}"
    );
    assert!(ill.stdout.contains(&begins("ok", "engine")), "{ill:?}");
    Ok(())
}

fn another_engine(desk: &Desk) -> Result {
    let elsewhere = desk.lab.docker(&["-H", "tcp://192.0.2.1:2375", "firewall", "doctor", "--format", "json"])?;
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    assert!(elsewhere.stdout.contains(r#""Check":"engine""#) && elsewhere.stdout.contains("UNSAFE"), "{elsewhere:?}");
    Ok(())
}
