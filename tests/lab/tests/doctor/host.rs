//! The host around engine and kernel: other firewalls, files, disk, clock, the engine's own switches, the agent.

use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::{Client, Engine};

use crate::desk::{Desk, POLICY, Result};
use crate::{WELL, ends, line};

/// How long the agent may take, on a machine that does much else.
const LATER: Duration = Duration::from_secs(30);
const RECORD: &str = "/run/docker-firewall/agent.json";

/// Who else writes rules is named.
pub(crate) fn other_firewalls(desk: &Desk) -> Result {
    desk.shell(
        "mkdir -p /etc/ufw /etc/iptables /etc/ferm /etc/shorewall /etc/csf /etc/systemd/system/sysinit.target.wants
         echo ENABLED=yes > /etc/ufw/ufw.conf; : > /etc/iptables/rules.v4
         echo 'ENABLED=\"yes\"' > /etc/default/ferm; : > /etc/ferm/ferm.conf
         echo STARTUP_ENABLED=Yes > /etc/shorewall/shorewall.conf; : > /etc/csf/csf.conf
         mv /etc/nftables.conf /tmp/nftables.conf 2> /dev/null; echo 'flush ruleset' > /etc/nftables.conf
         ln -sf /lib/systemd/system/nftables.service /etc/systemd/system/sysinit.target.wants/",
    )?;
    let install = "docker firewall service install";
    for (says, fix) in [
        ("ufw is enabled", install),
        ("ferm is set up", install),
        ("shorewall is set up", install),
        ("nftables.service begins with", "put `flush table inet filter` for `flush ruleset`"),
        ("saved rules in", "systemctl disable netfilter-persistent"),
        ("ConfigServer Firewall is set up", "/etc/csf/csfpost.sh"),
    ] {
        ends(desk, "warning", "firewalls", says, fix)?;
    }
    desk.shell(
        "rm -r /etc/ufw /etc/iptables /etc/ferm /etc/default/ferm /etc/shorewall /etc/csf /etc/nftables.conf
         rm /etc/systemd/system/sysinit.target.wants/nftables.service
         mv /tmp/nftables.conf /etc/ 2> /dev/null || true",
    )
    .map(drop)
}

/// It is known by its process, which flushes when it is told to. This one only bears its name.
pub(crate) fn firewalld(desk: &Desk) -> Result {
    desk.write("/tmp/firewalld", "#!/bin/sh\nwhile :; do sleep 1; done\n")?;
    let process = desk.shell("chmod +x /tmp/firewalld; setsid /tmp/firewalld > /dev/null 2>&1 & echo $!")?;
    until(desk, "firewalld runs", |said| {
        line(said, "warning", "firewalls").is_some_and(|says| says.contains("firewalld runs"))
    })?;
    ends(desk, "warning", "firewalls", "may flush every chain", "docker firewall service install")?;
    let process = process.trim();
    desk.shell(&format!("kill {process}; while test -d /proc/{process}; do sleep 0.02; done; rm /tmp/firewalld"))
        .map(drop)
}

pub(crate) fn no_record_for_the_boot(desk: &Desk) -> Result {
    // Two different ones, so that there is one before the newest.
    desk.done("deny web --from 192.0.2.9")?;
    desk.done("rm 1")?;
    desk.shell("echo rubbish > /var/lib/docker-firewall/boot")?;
    ends(desk, "warning", "boot-record", "the one before it stands in", "docker firewall apply")?;
    desk.shell("echo rubbish > /var/lib/docker-firewall/boot.previous")?;
    ends(desk, "UNSAFE", "boot-record", "the next boot closes nothing", "docker firewall apply")?;
    desk.done("apply")?;
    ends(desk, "ok", "boot-record", "", "")?;
    desk.shell("rm /var/lib/docker-firewall/boot /var/lib/docker-firewall/boot.previous")?;
    ends(desk, "warning", "boot-record", "there is none", "docker firewall apply")?;
    desk.done("apply").map(drop)
}

pub(crate) fn a_full_disk(desk: &Desk) -> Result {
    let place = "/var/lib/docker-firewall";
    desk.shell(&format!(
        "cp -a {place} /tmp/kept; mount -t tmpfs -o size=40m,mode=700 tmpfs {place}; cp -a /tmp/kept/. {place}
         head -c 35M /dev/zero > {place}/core"
    ))?;
    ends(desk, "warning", "disk", "/var/lib/docker-firewall has room for", "df -h /var/lib/docker-firewall")?;
    desk.shell(&format!("df -h {place}; rm {place}/core"))?;
    ends(desk, "ok", "disk", "", "")?;
    desk.shell(&format!("mount -o remount,ro {place}"))?;
    let fix = format!("mount -o remount,rw \"$(findmnt -no TARGET -T {place})\"");
    ends(desk, "warning", "disk", "is mounted read-only", &fix)?;
    desk.shell(&fix)?;
    ends(desk, "ok", "disk", "", "")?;
    desk.shell(&format!("umount {place}; rm -r /tmp/kept")).map(drop)
}

pub(crate) fn a_clock_set_back(desk: &Desk) -> Result {
    let file = "/var/lib/docker-firewall/last-good/policy.toml";
    let before = desk.shell(&format!("stat -c %Y {file}"))?;
    desk.shell(&format!("touch -d 2100-01-01 {file}"))?;
    ends(desk, "warning", "clock", "it was set back", "timedatectl set-ntp true")?;
    desk.shell(&format!("touch -d @{} {file}", before.trim())).map(drop)
}

pub(crate) fn another_engine(desk: &Desk) -> Result {
    let elsewhere = desk.lab.docker(&["-H", "tcp://192.0.2.1:2375", "firewall", "doctor", "--format", "json"])?;
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    assert!(elsewhere.stdout.contains(r#""Check":"engine""#) && elsewhere.stdout.contains("UNSAFE"), "{elsewhere:?}");
    // Its socket is here, and its packets pass elsewhere.
    let away = desk.lab.exec(&["unshare", "--net", "docker", "firewall", "doctor"])?;
    assert_eq!(away.code, 1, "{away:?}");
    let says = line(&away.stdout, "UNSAFE", "engine");
    assert!(says.is_some_and(|says| says.contains("network namespace")), "{away:?}");
    let named = desk.done("doctor --format {{.Check}}:{{.Health}}")?;
    assert!(named.lines().any(|line| line == "hook:ok"), "{named}");
    Ok(())
}

/// From among processes of its own, nobody sees who holds the engine's socket.
pub(crate) fn a_namespace_that_nobody_tells(desk: &Desk) -> Result {
    let among_its_own = ["unshare", "--pid", "--fork", "--mount-proc", "docker", "firewall", "doctor"];
    let said = desk.lab.exec(&among_its_own)?;
    assert_eq!(said.code, 0, "{said:?}");
    let says = line(&said.stdout, "unknown", "namespace");
    assert!(says.is_some_and(|says| says.contains("who holds the engine's socket cannot be seen")), "{said:?}");
    assert!(said.stdout.contains("docker network inspect bridge, and ip link"), "{said:?}");
    assert!(line(&said.stdout, "ok", "in-force").is_some(), "{said:?}");
    Ok(())
}

/// It says what it could not look at, and calls nothing well that it has not seen.
pub(crate) fn without_root(desk: &Desk) -> Result {
    let somebody = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "docker-firewall", "doctor"];
    let output = desk.lab.exec(&somebody)?;
    let said = &output.stdout;
    assert_eq!(output.code, 0, "{output:?}");
    let privileges = line(said, "unknown", "privileges").unwrap_or_default();
    let hidden = [
        "engine-rules",
        "flavour",
        "bridge-nf",
        "in-force",
        "backstop",
        "hook",
        "ways-in",
        "proxy-v6",
        "unsaved",
        "room",
        "reach",
    ];
    for check in hidden {
        assert!(privileges.contains(check) && line(said, "ok", check).is_none(), "{check}: {said}");
    }
    for check in ["policy", "engine", "agent", "boot-record"] {
        assert!(line(said, "unknown", check).is_some(), "{check}: {said}");
    }
    assert!(said.contains("-> sudo docker-firewall doctor"), "{said}");
    Ok(())
}

pub(crate) fn a_broken_policy(desk: &Desk) -> Result {
    desk.shell(&format!("cp -a {POLICY} /tmp/policy; echo rubbish >> {POLICY}"))?;
    ends(desk, "UNSAFE", "policy", "policy.toml", "Mend the file")?;
    desk.shell(&format!("cp -a /tmp/policy {POLICY}")).map(drop)
}

/// An engine that was told to write no rules.
pub(crate) fn an_engine_without_rules(desk: &Desk) -> Result {
    if desk.lab.spec().engine < Engine::V28_5 {
        println!(
            "engines before 27 do not start with ip6tables, which the lab asks for, and without iptables: not provoked"
        );
        return Ok(());
    }
    desk.shell("mkdir -p /etc/docker; echo '{\"iptables\": false}' > /etc/docker/daemon.json")?;
    restart(desk)?;
    let fix = "take iptables=false out of /etc/docker/daemon.json, then systemctl restart docker";
    ends(desk, "warning", "engine-rules", "iptables=false in /etc/docker/daemon.json", fix)?;
    desk.only(8080, "web", true, false)?;
    desk.shell("rm /etc/docker/daemon.json")?;
    restart(desk)?;
    ends(desk, "ok", "engine-rules", "", "")?;
    desk.only(8080, "web", true, false)?;
    desk.shell("iptables -t security -Z; ip6tables -t security -Z").map(drop)
}

/// As `systemctl restart docker` does.
fn restart(desk: &Desk) -> Result {
    desk.lab.stop_engine()?;
    desk.lab.start_engine()?;
    for name in ["web", "old"] {
        desk.lab.docker(&["start", name])?.require("start")?;
        desk.lab.wait_ready(name)?;
    }
    desk.done("apply").map(drop)
}

/// Not there, away, hanging, of another version, at odds with the files, out of touch; and all well with it.
pub(crate) fn the_agent(desk: &Desk) -> Result {
    ends(desk, "warning", "agent", "none runs", "docker firewall service install --no-systemd")?;
    desk.done("service install --no-systemd")?;
    let start = "/usr/local/libexec/docker-firewall agent";
    ends(desk, "UNSAFE", "agent", "it is installed and does not run", start)?;
    let agent = started(desk, start)?;
    let well = desk.done("doctor")?;
    println!("{well}");
    for check in WELL {
        assert!(line(&well, "ok", check).is_some(), "{check}: {well}");
    }
    assert!(well.lines().all(|line| line.starts_with("ok ")), "{well}");

    desk.shell("cp /usr/local/libexec/docker-firewall /tmp/another; echo >> /tmp/another; mv /tmp/another /usr/local/libexec/docker-firewall")?;
    let install = "docker firewall service install --no-systemd";
    ends(desk, "warning", "services", "is another version than this command", install)?;
    desk.shell(install)?;
    ends(desk, "ok", "services", "", "")?;

    desk.shell(&format!("cp -a {POLICY} /tmp/policy; echo rubbish >> {POLICY}"))?;
    until(desk, "the agent cannot read it", |said| {
        line(said, "UNSAFE", "agent").is_some_and(|says| says.contains("its last pass failed"))
    })?;
    desk.shell(&format!("cp -a /tmp/policy {POLICY}"))?;
    until(desk, "it can again", |said| line(said, "ok", "agent").is_some())?;

    desk.lab.stop_engine()?;
    until(desk, "the engine is away", |said| {
        line(said, "UNSAFE", "engine").is_some() && line(said, "warning", "agent").is_some()
    })?;
    desk.lab.start_engine()?;
    for name in ["web", "old"] {
        desk.lab.docker(&["start", name])?.require("start")?;
    }
    until(desk, "the engine is back", |said| said.lines().all(|line| line.starts_with("ok ")))?;
    desk.only(8080, "web", true, false)?;

    // It writes its account no more, so that it can be told to be an old one.
    desk.shell(&format!("kill -STOP {agent}; cp {RECORD} /tmp/agent.json"))?;
    let tell = |key: &str, value: &str| {
        desk.shell(&format!("sed -E 's/\"{key}\":\"[^\"]*\"/\"{key}\":\"{value}\"/' /tmp/agent.json > {RECORD}"))
    };
    tell("LastPass", "2001-01-01T00:00:00Z")?;
    ends(desk, "UNSAFE", "agent", "it hangs: its last pass was", start)?;
    tell("Version", "0.0.1")?;
    ends(desk, "warning", "agent", "it is version 0.0.1, and this command is", start)?;
    desk.shell(&format!("kill -KILL {agent}; while test -d /proc/{agent}; do sleep 0.02; done"))?;
    started(desk, start)?;
    desk.only(8080, "web", true, false)?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v6(), 8070, "old")?);
    Ok(())
}

/// Types the way out; the agent's process ID.
fn started(desk: &Desk, start: &str) -> Result<String> {
    let agent = desk.shell(&format!("setsid {start} > /tmp/agent.log 2>&1 & echo $!"))?;
    until(desk, "it follows", |said| said.lines().all(|line| line.starts_with("ok ")))?;
    Ok(agent.trim().to_owned())
}

fn until(desk: &Desk, what: &str, is_true: impl Fn(&str) -> bool) -> Result {
    let begun = Instant::now();
    loop {
        let said = desk.run("doctor")?.stdout;
        if is_true(&said) {
            return Ok(());
        }
        assert!(begun.elapsed() < LATER, "not within {LATER:?}: {what}\n{said}\n{}", desk.shell("cat /tmp/agent.log")?);
        sleep(Duration::from_millis(50));
    }
}
