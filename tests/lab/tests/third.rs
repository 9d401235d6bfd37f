//! The third line: while an agent runs, nobody gets in even when both of our lines are taken away at once.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::Client;

on_both_ends!(all_of_it, "third");

/// How long something may take, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(20);
const LOG: &str = "/tmp/agent.log";
/// What an administrator does who wants to begin anew, by the iptables of either kind.
const FLUSH: &str = "for family in iptables ip6tables; do
    $family -P FORWARD ACCEPT; $family -t security -F; $family -F; done";
/// As if a container had been asked for by its own address, from the friend's and the stranger's side.
const ROUTE: &str = "iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT";

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.lab.run("plain", &["-p", "8090:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done(&format!("set add ipfriends {} {}", Client::Friend.v4(), Client::Friend.v6()))?;
    desk.done("allow web --from ipfriends")?;
    let agent = start(desk)?;
    it_is_told_of(desk)?;
    nobody_sees_the_proof(desk)?;
    both_lines_are_gone(desk, &agent)?;
    its_owner_is_killed(desk, &agent)?;
    a_new_bridge(desk)?;
    everything_is_reset(desk)?;
    the_last_rule_goes(desk)?;
    the_agent_is_killed(desk, &agent)?;
    let agent = start(desk)?;
    the_agent_stops(desk, &agent)?;
    there_is_no_nft(desk)
}

fn start(desk: &Desk) -> Result<String> {
    let agent = desk.shell(&format!("setsid docker-firewall agent > {LOG} 2>&1 & echo $!"))?;
    until(desk, "the line is up", || is_up(desk))?;
    Ok(agent.trim().to_owned())
}

/// Waits for something to be true.
fn until(desk: &Desk, what: &str, is_true: impl Fn() -> Result<bool>) -> Result {
    let begun = Instant::now();
    while !is_true()? {
        assert!(begun.elapsed() < LIMIT, "not true after {LIMIT:?}: {what}\n{}", desk.shell(&format!("cat {LOG}"))?);
        sleep(Duration::from_millis(20));
    }
    println!("{what}: {} ms", begun.elapsed().as_millis());
    Ok(())
}

fn in_force(desk: &Desk) -> Result<bool> {
    Ok(desk.run("plan")?.code == 0)
}

fn is_up(desk: &Desk) -> Result<bool> {
    Ok(desk.shell("nft list tables")?.contains("table inet docker-firewall"))
}

fn proves(desk: &Desk) -> Result<bool> {
    Ok(desk.shell("iptables-save; ip6tables-save")?.contains("DOCKER-FIREWALL-PASS"))
}

/// The friend is served by every way, the stranger by none; nobody guards the neighbour.
fn guarded(desk: &Desk) -> Result {
    desk.only(8080, "web", true, false)?;
    desk.only(8090, "plain", true, true)
}

fn it_is_told_of(desk: &Desk) -> Result {
    let status = desk.done("status")?;
    assert!(status.contains("Third line:  up"), "{status}");
    let doctor = desk.run("doctor")?.stdout;
    assert!(doctor.contains("ok      third-line"), "{doctor}");
    // A table of nftables that nobody can read would leave no answer but `unknown`.
    let reach: Vec<&str> = doctor.lines().filter(|line| line.contains(" reach ")).collect();
    assert!(!reach.is_empty() && reach.iter().all(|line| line.starts_with("ok")), "{doctor}");
    assert!(in_force(desk)?, "{}", desk.run("plan")?.stdout);
    guarded(desk)
}

/// Behind the line no packet carries the mark, whichever way it took; right before it, they do.
fn nobody_sees_the_proof(desk: &Desk) -> Result {
    let count = "meta mark & 0x1000 == 0x1000 counter";
    let base = "type filter hook";
    desk.shell(&format!(
        "nft 'add table inet watch
         add chain inet watch before {{ {base} forward priority 155; }}
         add chain inet watch proxied {{ {base} output priority 155; }}
         add rule inet watch before {count}
         add rule inet watch proxied {count}
         add table inet behind
         add chain inet behind forward {{ {base} forward priority 170; }}
         add chain inet behind input {{ {base} input priority 170; }}
         add chain inet behind output {{ {base} output priority 170; }}
         add chain inet behind posting {{ {base} postrouting priority -300; }}
         add rule inet behind forward {count}
         add rule inet behind input {count}
         add rule inet behind output {count}
         add rule inet behind posting {count}'"
    ))?;
    guarded(desk)?;
    // From the host itself, by docker-proxy.
    desk.reaches(Client::Host, "127.0.0.1".parse::<IpAddr>().unwrap_or(Client::Host.v4()), 8080, "web")?;
    let counted = |table: &str| -> Result<Vec<String>> {
        let listed = desk.shell(&format!("nft list table inet {table}"))?;
        Ok(listed.lines().filter_map(|line| line.split_once("packets ").map(|(_, rest)| rest.to_owned())).collect())
    };
    let (before, behind) = (counted("watch")?, counted("behind")?);
    assert!(before.len() == 2 && before.iter().all(|count| !count.starts_with("0 ")), "{before:?}");
    assert!(behind.len() == 4 && behind.iter().all(|count| count.starts_with("0 ")), "{behind:?}");
    desk.shell("nft 'delete table inet watch; delete table inet behind'").map(drop)
}

/// The agent is held still meanwhile, so that there is no repair: only the third line stands.
fn both_lines_are_gone(desk: &Desk, agent: &str) -> Result {
    let inside = desk.lab.addresses("web", "bridge")?;
    // Rules of iptables-legacy are none of nft's.
    let legacy = desk.shell("iptables --version")?.contains("legacy");
    for flush in [FLUSH, "nft flush ruleset"].into_iter().filter(|flush| !legacy || *flush == FLUSH) {
        desk.shell(&format!("kill -STOP {agent}; {flush}; {ROUTE}"))?;
        let saved = desk.shell("iptables-save; ip6tables-save")?;
        assert!(!saved.contains("-j DOCKER-FIREWALL\n"), "{saved}");
        let result = (|| {
            for to in [Client::Host.v4(), Client::Host.v6()] {
                for port in [8080, 8090] {
                    assert!(!desk.lab.tcp(Client::Stranger, to, port)?.reached(), "the stranger, {to} {port}, {flush}");
                }
            }
            for to in [inside.v4, inside.v6].into_iter().flatten() {
                assert!(!desk.lab.tcp(Client::Stranger, to, 80)?.reached(), "the stranger, {to}, {flush}");
            }
            Ok(())
        })();
        desk.shell(&format!("kill -CONT {agent}"))?;
        result?;
        until(desk, "both lines are back", || in_force(desk))?;
        assert!(is_up(desk)?);
        // Docker's own rules come back with the engine alone.
        desk.lab.stop_engine()?;
        desk.lab.start_engine()?;
        for name in ["web", "plain"] {
            desk.lab.docker(&["start", name])?.require("start")?;
            desk.lab.wait_ready(name)?;
        }
        until(desk, "the engine's return is followed", || in_force(desk))?;
        until(desk, "the neighbour is placed", || desk.reaches(Client::Stranger, Client::Host.v4(), 8090, "plain"))?;
        until(desk, "by IPv6 too", || desk.reaches(Client::Stranger, Client::Host.v6(), 8090, "plain"))?;
        guarded(desk)?;
    }
    Ok(())
}

/// The process that owns the table is started again.
fn its_owner_is_killed(desk: &Desk, agent: &str) -> Result {
    let owner = |desk: &Desk| -> Result<String> {
        Ok(desk.shell(&format!("pgrep -P {agent} -x nft || true"))?.trim().to_owned())
    };
    let first = owner(desk)?;
    desk.shell(&format!("kill -KILL {first}"))?;
    until(desk, "another one holds it", || {
        let now = owner(desk)?;
        Ok(!now.is_empty() && now != first && is_up(desk)?)
    })?;
    until(desk, "nothing is left to do", || in_force(desk))?;
    guarded(desk)
}

/// A network that comes is in its set, and one that goes is not.
fn a_new_bridge(desk: &Desk) -> Result {
    let listed = || desk.shell("nft list set inet docker-firewall bridges");
    desk.lab
        .docker(&["network", "create", "-o", "com.docker.network.bridge.name=br-made", "made"])?
        .require("create")?;
    until(desk, "its bridge is asked about", || Ok(listed()?.contains("br-made")))?;
    desk.lab.docker(&["network", "rm", "made"])?.require("rm")?;
    until(desk, "it is asked about no more", || Ok(!listed()?.contains("br-made")))
}

/// The agent brings everything back; meanwhile nobody is shut out, for the proof stays.
fn everything_is_reset(desk: &Desk) -> Result {
    desk.done("reset --force")?;
    for to in [Client::Host.v4(), Client::Host.v6()] {
        assert!(desk.reaches(Client::Friend, to, 8080, "web")?, "right after `reset`");
        assert!(desk.reaches(Client::Friend, to, 8090, "plain")?, "right after `reset`");
    }
    until(desk, "the agent has it back", || in_force(desk))?;
    until(desk, "the line is up", || is_up(desk))?;
    guarded(desk)
}

/// Where nothing is judged nothing is asked, and nobody is shut out on the way there.
fn the_last_rule_goes(desk: &Desk) -> Result {
    desk.done("rm 1")?;
    desk.only(8080, "web", true, true)?;
    until(desk, "the line is down", || Ok(!is_up(desk)? && !proves(desk)?))?;
    desk.only(8080, "web", true, true)?;
    let status = desk.done("status")?;
    assert!(status.contains("Third line:  down"), "{status}");
    desk.done("allow web --from ipfriends")?;
    until(desk, "the line is up again", || is_up(desk))?;
    until(desk, "nothing is left to do", || in_force(desk))?;
    guarded(desk)
}

fn the_agent_is_killed(desk: &Desk, agent: &str) -> Result {
    desk.shell(&format!("kill -KILL {agent}"))?;
    until(desk, "the table went with it", || Ok(!is_up(desk)?))?;
    guarded(desk)?;
    // Whoever writes next leaves no proof that nobody takes away.
    desk.done("apply")?;
    assert!(!proves(desk)?);
    guarded(desk)
}

fn the_agent_stops(desk: &Desk, agent: &str) -> Result {
    guarded(desk)?;
    desk.shell(&format!("kill -TERM {agent}; while [ -d /proc/{agent} ]; do sleep 0.01; done"))?;
    assert!(!is_up(desk)?);
    assert!(!proves(desk)?, "{}", desk.shell(&format!("cat {LOG}"))?);
    guarded(desk)
}

fn there_is_no_nft(desk: &Desk) -> Result {
    desk.shell("mv /usr/sbin/nft /usr/sbin/nft-away")?;
    desk.shell(&format!("setsid docker-firewall agent > {LOG} 2>&1 & echo $!"))?;
    until(desk, "it says so", || {
        Ok(desk.shell(&format!("cat {LOG}"))?.contains("there is no third line: nft is not installed"))
    })?;
    until(desk, "its account says so", || {
        Ok(desk.done("status")?.contains("Third line:  NONE: nft is not installed"))
    })?;
    let doctor = desk.run("doctor")?.stdout;
    assert!(doctor.contains("warning third-line") && doctor.contains("apt-get install nftables"), "{doctor}");
    assert!(in_force(desk)? && !proves(desk)?);
    guarded(desk)
}
