//! `log`: whoever is kept out is written down, once that is switched on: who it was, whereto, which way, and why.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

#![allow(clippy::expect_used, reason = "a test")]

mod desk;
mod yard;

use std::net::{IpAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, POLICY, Result};
use lab::{Client, Engine, Probe, Protocol};
use serde_json::Value;
use yard::{FRIENDS, Yard};

on_both_ends!(all_of_it, "log");

/// How long something may take on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);
const FILE: &str = "/var/lib/docker-firewall/attempts.json";
const AGENT: &str = "/tmp/agent.log";

fn all_of_it(desk: &Desk) -> Result {
    let yard = Yard::make(desk)?;
    // No IPv6 of its own: docker-proxy answers for it there.
    desk.shell("docker network create four")?;
    desk.lab.run("proxied", &["--network", "four", "-p", "8090:80"], &[])?;
    desk.lab.run("onhost", &["--network", "host"], &["tcp=9100"])?;
    desk.done(&format!("allow web proxied --from {FRIENDS}"))?;
    desk.done(&format!("allow onhost --from {FRIENDS} --port 9100"))?;
    a_kernel_that_cannot(desk)?;
    let agent = off_by_default(desk)?;
    every_way(desk, &yard)?;
    counted_once(desk)?;
    past_the_first_line(desk)?;
    by_a_rule(desk)?;
    a_burst(desk)?;
    live(desk)?;
    a_full_disk(desk)?;
    what_is_asked_for(desk)?;
    off(desk)?;
    desk.shell(&format!("kill -TERM {agent}"))?;
    until(desk, "the agent stops", || Ok(desk.shell(&format!("cat {AGENT}"))?.contains("stopped;")))
}

fn until(desk: &Desk, what: &str, is_true: impl Fn() -> Result<bool>) -> Result {
    let begun = Instant::now();
    while !is_true()? {
        let said =
            || desk.shell(&format!("cat {AGENT}; cat {FILE}; iptables-save | grep -- -FIREWALL")).unwrap_or_default();
        assert!(begun.elapsed() < SOON, "not true after {SOON:?}: {what}\n{}", said());
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// All that was written down so far.
fn entries(desk: &Desk) -> Result<Vec<Value>> {
    let lines = desk.done("log --format json")?;
    Ok(lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect())
}

/// Of an entry: source, sets, container, port, published, path, rule and its text.
fn told(entry: &Value) -> [&str; 8] {
    ["Source", "Sets", "Container", "Port", "Published", "Path", "Rule", "RuleText"]
        .map(|field| entry[field].as_str().expect("a text"))
}

fn try_once(desk: &Desk, client: Client, protocol: Protocol, to: IpAddr, port: u16) -> Result<bool> {
    let probe = Probe::new(client, protocol, to, port).patience(Duration::from_millis(600));
    Ok(desk.lab.probe(&probe)?.reached())
}

fn knock(desk: &Desk, protocol: Protocol, to: IpAddr, port: u16) -> Result {
    assert!(!try_once(desk, Client::Stranger, protocol, to, port)?, "the stranger reached {to} {port}");
    Ok(())
}

/// Whether it is an attempt of [`settled`].
fn is_mark(entry: &Value) -> bool {
    entry["Published"] == "8081" && entry["Source"] == Client::Stranger.v6().to_string()
}

/// A last attempt, which the kernel tells of after all others; and the number of entries then.
fn settled(desk: &Desk) -> Result<usize> {
    let marks = |desk: &Desk| Ok(entries(desk)?.iter().filter(|one| is_mark(one)).count());
    let before = marks(desk)?;
    until(desk, "the last attempt is written down", || {
        knock(desk, Protocol::Tcp, Client::Host.v6(), 8081)?;
        Ok(marks(desk)? > before)
    })?;
    Ok(entries(desk)?.len())
}

/// What was written down since, by the time that a last attempt is.
fn since(desk: &Desk, begun: usize) -> Result<Vec<Value>> {
    let end = settled(desk)?;
    Ok(entries(desk)?[begun..end].iter().filter(|one| !is_mark(one)).cloned().collect())
}

/// Nobody has used up anything: the kernel forgets its table with the last rule that asks it.
fn unlimited(desk: &Desk) -> Result<usize> {
    desk.done("log --off")?;
    assert!(!logs(desk)?);
    desk.done("log --on")?;
    settled(desk)
}

fn logs(desk: &Desk) -> Result<bool> {
    Ok(desk.shell("iptables-save; ip6tables-save")?.contains("NFLOG"))
}

/// Where the kernel or its tools lack what it takes: refused where it is asked for, left out where it is found.
fn a_kernel_that_cannot(desk: &Desk) -> Result {
    desk.shell("mkdir -p /tmp/lacking")?;
    for name in ["iptables", "iptables-nft", "iptables-legacy"] {
        let path = format!("/tmp/lacking/{name}-restore");
        desk.write(
            &path,
            &format!(
                "#!/bin/sh\ncat > /tmp/lacking/input.$$\nif grep -q NFLOG /tmp/lacking/input.$$; then\n\
                 echo \"Couldn't load match 'hashlimit'\" >&2; exit 2; fi\n\
                 exec /usr/sbin/{name}-restore \"$@\" < /tmp/lacking/input.$$\n"
            ),
        )?;
        desk.shell(&format!("chmod 755 {path}"))?;
    }
    let path = format!("/tmp/lacking:{}", desk.shell("echo $PATH")?.trim());
    let env = [("PATH", path.as_str())];
    let says = ["nothing is logged, for this kernel cannot", "hashlimit", "modprobe xt_NFLOG"];
    desk.refused_command(&env, &["docker", "firewall", "log", "--on"], 1, &says)?;
    desk.refused_command(&env, &["docker", "firewall", "deny", "web", "--from", "192.0.2.9", "--log"], 1, &says)?;
    desk.shell(&format!("sed -i 's/^log = false/log = true /' {POLICY}"))?;
    let output = desk.lab.exec_with(&env, &["docker", "firewall", "apply"])?;
    assert!(output.code == 0 && output.stderr.contains("warning: nothing is logged"), "{output:?}");
    assert!(!logs(desk)?);
    desk.only(8080, "web", true, false)?;
    assert_eq!(desk.lab.exec_with(&env, &["docker", "firewall", "plan"])?.code, 0, "and it is in force");
    desk.shell(&format!("sed -i 's/^log = true /log = false/' {POLICY}"))?;
    desk.done("apply").map(drop)
}

/// Nothing in the kernel, no file; and it says what to type.
fn off_by_default(desk: &Desk) -> Result<String> {
    let said = desk.told("log")?;
    assert!(said.contains("no agent runs") && said.contains("service install") && said.contains("log --on"), "{said}");
    let agent = desk.shell(&format!("setsid docker-firewall agent > {AGENT} 2>&1 & echo $!"))?;
    until(desk, "the agent follows", || Ok(desk.shell(&format!("cat {AGENT}"))?.contains("follows the engine")))?;
    until(desk, "all is in force", || Ok(desk.run("plan")?.code == 0))?;
    knock(desk, Protocol::Tcp, Client::Host.v4(), 8080)?;
    assert!(!logs(desk)?);
    assert!(desk.shell(&format!("ls {FILE} 2>/dev/null || true"))?.is_empty(), "something was written");
    let before = desk.world()?;
    let rules = || desk.shell("(iptables-save; ip6tables-save) | grep -c -- '-A .*DOCKER-FIREWALL'");
    let off = rules()?;
    desk.done("log --on")?;
    assert!(logs(desk)?);
    println!("rules of both families and tables: {} without the log, {} with it", off.trim(), rules()?.trim());
    desk.done("log --off")?;
    assert_eq!(desk.world()?, before, "on and off again leaves everything as it was");
    desk.done("log --on")?;
    // It listens once its pass is over.
    until(desk, "the first attempt is written down", || {
        knock(desk, Protocol::Tcp, Client::Host.v6(), 8081)?;
        Ok(!entries(desk)?.is_empty())
    })?;
    assert_eq!(desk.shell(&format!("stat -c %a {FILE}"))?.trim(), "600");
    Ok(agent.trim().to_owned())
}

fn every_way(desk: &Desk, yard: &Yard<'_>) -> Result {
    let begun = unlimited(desk)?;
    let (host4, host6) = (Client::Host.v4(), Client::Host.v6());
    for (protocol, to, port) in [
        (Protocol::Tcp, host4, 8080),
        (Protocol::Tcp, host6, 8080),
        (Protocol::Udp, host4, 5353),
        (Protocol::Tcp, host6, 8090),
        (Protocol::Tcp, host4, 9100),
        (Protocol::Tcp, yard.v4, 80),
        (Protocol::Tcp, yard.v6, 80),
    ] {
        knock(desk, protocol, to, port)?;
        assert!(try_once(desk, Client::Friend, protocol, to, port)?, "the friend at {to} {port}");
    }
    assert!(!yard.pings(Client::Stranger, yard.v4)?);
    // Long enough for the kernel to repeat the call: one attempt.
    assert!(!desk.reaches(Client::Stranger, host4, 8081, "web")?);
    let all = since(desk, begun)?;
    let found: Vec<[&str; 8]> = all.iter().map(told).collect();
    let (four, six) = (Client::Stranger.v4().to_string(), Client::Stranger.v6().to_string());
    let none = "no rule allows it";
    // The oldest engine leaves IPv6 to docker-proxy.
    let six_path = if desk.lab.spec().engine > Engine::V20_10 { "dnat" } else { found[1][5] };
    assert!(["dnat", "proxy"].contains(&six_path), "{six_path}");
    let expected = [
        [&*four, "", "web", "80", "8080", "dnat", "", none],
        [&*six, "", "web", "80", "8080", six_path, "", none],
        [&*four, "", "web", "53", "5353", "dnat", "", none],
        [&*six, "", "proxied", "80", "8090", "proxy", "", none],
        [&*four, "", "onhost", "9100", "", "host", "", none],
        [&*four, "", "web", "80", "", "direct", "", none],
        [&*six, "", "web", "80", "", "direct", "", none],
        [&*four, "", "web", "", "", "direct", "", none],
        [&*four, "", "web", "81", "8081", "dnat", "", none],
    ];
    assert_eq!(found, expected);
    let protocols: Vec<&str> = all.iter().filter_map(|one| one["Protocol"].as_str()).collect();
    assert_eq!(protocols, ["tcp", "tcp", "udp", "tcp", "tcp", "tcp", "tcp", "icmp", "tcp"]);
    assert!(all.iter().all(|one| one["Table"] == "filter" && one["Interface"] != ""), "{all:?}");
    let table = desk.done("log web")?;
    assert!(table.starts_with("TIME ") && table.contains("8080->80/tcp") && !table.contains("proxied"), "{table}");
    Ok(())
}

/// Packets of the stranger to `web` that no rule allowed, as `metrics` tells them.
fn closed(desk: &Desk) -> Result<u64> {
    let page = desk.done("metrics")?;
    let line = page.lines().find(|line| line.starts_with("docker_firewall_closed_packets_total{container=\"web\"}"));
    Ok(line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default())
}

/// Rules that tell of a packet count it no more often than it came.
fn counted_once(desk: &Desk) -> Result {
    let before = closed(desk)?;
    desk.lab.within(&desk.lab.place(Client::Stranger), || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for _ in 0..5 {
            socket.send_to(b"hello 7\n", (Client::Host.v4(), 5353))?;
        }
        Ok(())
    })?;
    until(desk, "they are counted", || Ok(closed(desk)? >= before + 5))?;
    assert_eq!(closed(desk)?, before + 5);
    Ok(())
}

/// What another program lets by in `filter` is told of by the backstop, once; what is dropped in `filter` never gets there.
fn past_the_first_line(desk: &Desk) -> Result {
    let begun = unlimited(desk)?;
    desk.shell("iptables -I FORWARD -j ACCEPT")?;
    knock(desk, Protocol::Tcp, Client::Host.v4(), 8080)?;
    desk.shell("iptables -D FORWARD -j ACCEPT")?;
    knock(desk, Protocol::Tcp, Client::Host.v4(), 8080)?;
    let found = since(desk, begun)?;
    let tables: Vec<&str> = found.iter().filter_map(|one| one["Table"].as_str()).collect();
    assert_eq!(tables, ["security", "filter"], "{found:?}");
    assert!(found.iter().all(|one| told(one)[2..6] == ["web", "80", "8080", "dnat"]), "{found:?}");
    assert!(desk.done("log web")?.contains("no rule allows it (backstop)"));
    Ok(())
}

/// What a rule denies is its own, with its number and the sets that hold the source; also where nothing else is logged.
fn by_a_rule(desk: &Desk) -> Result {
    desk.done("set create badguys")?;
    desk.done(&format!("set add badguys {}", Client::Stranger.v4()))?;
    desk.done("set create elsewhere")?;
    desk.done("deny web --from badguys")?;
    let begun = unlimited(desk)?;
    knock(desk, Protocol::Tcp, Client::Host.v4(), 8080)?;
    let found = since(desk, begun)?;
    let by_all = ["203.0.113.66", "badguys", "web", "80", "8080", "dnat", "1", "deny web --from badguys"];
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [by_all]);
    let said = desk.told("deny web --from badguys --log")?;
    assert!(said.contains("rule 1 says this already; whom it denies is written down"), "{said}");
    assert!(desk.shell(&format!("cat {POLICY}"))?.contains("from = \"badguys\"\nlog = true\n"));
    assert!(desk.done("log --off")?.contains("only whom rule 1 denies"));
    until(desk, "the agent agrees", || Ok(desk.run("plan")?.code == 0))?;
    let begun = entries(desk)?.len();
    // No rule speaks of the IPv6 address, and what no rule allows is logged no more.
    knock(desk, Protocol::Tcp, Client::Host.v6(), 8080)?;
    knock(desk, Protocol::Tcp, Client::Host.v4(), 8080)?;
    let denied = |all: &[Value]| all[begun..].iter().any(|one| one["RuleText"] == "deny web --from badguys --log");
    until(desk, "the denied one is written down", || Ok(denied(&entries(desk)?)))?;
    assert_eq!(entries(desk)?.len(), begun + 1, "{:?}", entries(desk)?);
    desk.done("log --on").map(drop)
}

/// Hundreds of attempts of one source are a few lines, and not one of them comes through.
fn a_burst(desk: &Desk) -> Result {
    let begun = settled(desk)?;
    desk.lab.within(&desk.lab.place(Client::Stranger), || {
        for _ in 0..400 {
            UdpSocket::bind("0.0.0.0:0")?.send_to(b"hello 7\n", (Client::Host.v4(), 5353))?;
        }
        Ok(())
    })?;
    let lines = since(desk, begun)?.iter().filter(|one| one["Protocol"] == "udp").count();
    println!("400 attempts, {lines} lines");
    assert!(lines <= 25, "{lines} lines");
    assert!(!desk.answers_udp(Client::Stranger, Client::Host.v4(), 5353)?);
    Ok(())
}

/// `--follow` shows what comes while it comes, ends with 130 when interrupted, and without a word when nobody reads.
fn live(desk: &Desk) -> Result {
    let line = "timeout --preserve-status -s INT 8 docker-firewall log --follow --tail 0 --format json";
    let words: Vec<&str> = line.split(' ').collect();
    let followed = std::thread::scope(|scope| {
        let follower = scope.spawn(|| desk.lab.exec(&words));
        let begun = Instant::now();
        // The first ones may come before it reads.
        while begun.elapsed() < Duration::from_secs(6) {
            knock(desk, Protocol::Tcp, Client::Host.v6(), 8090)?;
        }
        follower.join().expect("it ends")
    })?;
    // What it has not printed by the time of the interruption it never will.
    assert!(followed.stdout.contains("\"Container\":\"proxied\""), "{followed:?}");
    assert_eq!(followed.code, 130, "{followed:?}");
    let begun = Instant::now();
    desk.shell("timeout 30 docker-firewall log --follow --format json | head -n 1 > /dev/null")?;
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody read, and it went on");
    Ok(())
}

/// No room costs lines, and nothing else.
fn a_full_disk(desk: &Desk) -> Result {
    desk.shell(&format!("mv {FILE} /tmp/kept; ln -s /dev/full {FILE}"))?;
    let warned =
        || Ok(desk.shell(&format!("cat {AGENT}"))?.contains("cannot be written down, and is kept out all the same"));
    until(desk, "the agent says so", || {
        knock(desk, Protocol::Tcp, Client::Host.v6(), 8081)?;
        warned()
    })?;
    desk.only(8080, "web", true, false)?;
    desk.shell(&format!("rm {FILE}; mv /tmp/kept {FILE}"))?;
    until(desk, "what was lost is counted", || {
        knock(desk, Protocol::Tcp, Client::Host.v6(), 8081)?;
        Ok(entries(desk)?.iter().any(|one| one["Lost"].is_string()))
    })
}

fn what_is_asked_for(desk: &Desk) -> Result {
    assert!(desk.told("log --tail 1")?.lines().count() >= 2);
    assert_eq!(desk.done("log --since 1970-01-02T00:00:00Z --tail 1 --format {{.Container}}")?.trim(), "web");
    assert_eq!(desk.done("log --since 2199-01-01T00:00:00Z --format json")?, "");
    desk.refused("log wbe", 1, &["no container is meant by wbe", "Did you mean web?"])?;
    desk.refused("log --since tomorrow", 125, &["neither a time such as 42m"])?;
    desk.refused("log --on --off", 125, &["opposites"])
}

/// Off again, nothing of it is left in the kernel.
fn off(desk: &Desk) -> Result {
    desk.done("log --off")?;
    assert!(logs(desk)?, "rule 1 logs");
    let said = desk.told("deny web --from badguys --log=false")?;
    assert!(said.contains("is written down no more"), "{said}");
    assert!(!logs(desk)?);
    until(desk, "the agent agrees", || Ok(desk.run("plan")?.code == 0))?;
    let before = desk.shell(&format!("cat {FILE} | wc -l"))?;
    knock(desk, Protocol::Tcp, Client::Host.v4(), 8080)?;
    sleep(Duration::from_millis(500));
    assert_eq!(desk.shell(&format!("cat {FILE} | wc -l"))?, before);
    Ok(())
}
