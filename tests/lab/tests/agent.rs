//! The agent: containers come back with other addresses, somebody flushes, edits or restarts, and the rules stay true.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, POLICY, Result};
use lab::Client;

on_both_ends!(all_of_it, "agent");

/// How long something may take that the agent is told of, on a machine that does much else.
const SOON: Duration = Duration::from_secs(5);
/// How long what nobody tells of may take: more than a tick.
const LATER: Duration = Duration::from_secs(20);

const LOG: &str = "/tmp/agent.log";

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done(&format!("set add ipfriends {} {}", Client::Friend.v4(), Client::Friend.v6()))?;
    desk.done("allow web --from ipfriends")?;
    let agent = start(desk)?;
    one_is_enough(desk)?;
    swapped_addresses(desk)?;
    another_name(desk)?;
    somebody_flushes(desk)?;
    somebody_empties_a_set(desk)?;
    somebody_flushes_amid_events(desk)?;
    somebody_edits(desk)?;
    commands_meanwhile(desk)?;
    the_engine_hangs(desk)?;
    the_engine_restarts(desk)?;
    stop(desk, &agent)
}

/// Starts it; its process ID in the lab.
fn start(desk: &Desk) -> Result<String> {
    let agent = desk.shell(&format!("setsid docker-firewall agent > {LOG} 2>&1 & echo $!"))?;
    until(desk, "it follows", SOON, || Ok(log(desk)?.contains("follows the engine")))?;
    until(desk, "what was not seen is closed", SOON, || in_force(desk))?;
    Ok(agent.trim().to_owned())
}

fn log(desk: &Desk) -> Result<String> {
    desk.shell(&format!("cat {LOG}"))
}

/// Waits for something to be true; how long it took.
fn until(desk: &Desk, what: &str, limit: Duration, is_true: impl Fn() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !is_true()? {
        assert!(begun.elapsed() < limit, "not true after {limit:?}: {what}\n{}", log(desk)?);
        sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    println!("{what}: {} ms", took.as_millis());
    Ok(took)
}

/// Whether it made no pass for longer than it takes to write down that it did.
fn is_at_rest(desk: &Desk) -> Result<bool> {
    let account = || desk.shell("cat /run/docker-firewall/agent.json");
    let before = account()?;
    sleep(Duration::from_millis(1500));
    Ok(account()? == before)
}

fn in_force(desk: &Desk) -> Result<bool> {
    Ok(desk.run("plan")?.code == 0)
}

fn one_is_enough(desk: &Desk) -> Result {
    desk.refused("agent", 1, &["another agent runs already", "process"])
}

/// The guarded container gets another address, and its old one goes to one that nobody guards.
fn swapped_addresses(desk: &Desk) -> Result {
    let before = desk.lab.addresses("web", "bridge")?;
    desk.lab.docker(&["stop", "-t", "0", "web"])?.require("stop")?;
    desk.lab.run("taker", &["-p", "8090:80"], &[])?;
    desk.lab.docker(&["start", "web"])?.require("start")?;
    desk.lab.wait_ready("web")?;
    until(desk, "rules follow the address", SOON, || in_force(desk))?;
    assert_eq!(desk.lab.addresses("taker", "bridge")?.v4, before.v4, "nothing was swapped");
    desk.only(8080, "web", true, false)?;
    desk.only(8090, "taker", true, true)?;
    desk.lab.docker(&["rm", "-f", "taker"])?.require("rm").map(drop)
}

/// A rename opens nothing and stops nothing: rules that say the old name follow the container.
fn another_name(desk: &Desk) -> Result {
    desk.lab.docker(&["rename", "web", "shop"])?.require("rename")?;
    until(desk, "a rename is reported", SOON, || Ok(log(desk)?.contains("which is called shop now")))?;
    desk.lab.docker(&["stop", "-t", "0", "shop"])?.require("stop")?;
    desk.lab.run("taker", &["-p", "8090:80"], &[])?;
    desk.lab.docker(&["start", "shop"])?.require("start")?;
    desk.lab.wait_ready("shop")?;
    until(desk, "rules follow it", SOON, || {
        let saved = desk.shell("ipset save df4-guarded")?;
        let v4 = desk.lab.addresses("shop", "bridge")?.v4.map_or_else(String::new, |address| address.to_string());
        Ok(saved.contains(&format!("add df4-guarded {v4} ")))
    })?;
    desk.only(8080, "web", true, false)?;
    desk.only(8090, "taker", true, true)?;
    desk.lab.docker(&["rm", "-f", "taker"])?.require("rm")?;
    desk.lab.docker(&["rename", "shop", "web"])?.require("rename").map(drop)
}

fn somebody_flushes(desk: &Desk) -> Result {
    for flush in ["iptables -F DOCKER-USER", "iptables -F", "ip6tables -F FORWARD", "iptables -I DOCKER-USER -j RETURN"]
    {
        desk.shell(flush)?;
        until(desk, &format!("{flush} repaired"), LATER, || in_force(desk))?;
    }
    desk.shell("iptables -D DOCKER-USER -j RETURN")?;
    until(desk, "the foreign rule is gone", LATER, || in_force(desk))?;
    let said = log(desk)?;
    assert!(
        said.contains(" by iptables (process ")
            || said.contains("legacy rules are not as")
            || said.contains("because: tick"),
        "{said}"
    );
    // `iptables -F` took Docker's own jumps away too, which only dockerd brings back.
    desk.lab.stop_engine()?;
    desk.lab.start_engine()?;
    desk.lab.docker(&["start", "web"])?.require("start")?;
    desk.lab.wait_ready("web")?;
    until(desk, "all is as it was", LATER, || in_force(desk))?;
    desk.only(8080, "web", true, false)
}

fn somebody_empties_a_set(desk: &Desk) -> Result {
    desk.shell("ipset flush df4-guarded")?;
    until(desk, "an emptied set is filled", LATER, || in_force(desk))?;
    desk.only(8080, "web", true, false)
}

/// Events that follow a repair at once do not keep the agent from looking whether it holds.
fn somebody_flushes_amid_events(desk: &Desk) -> Result {
    for _ in 0..3 {
        desk.shell(
            "(for n in $(seq 20); do docker pause web; docker unpause web; done) > /dev/null &
             ipset flush df4-guarded; sleep 0.5; iptables -F DOCKER-USER; wait",
        )?;
        let hooked = || Ok(desk.shell("iptables -S DOCKER-USER")?.contains("-j DOCKER-FIREWALL"));
        until(desk, "a flush amid events is mended", LATER, hooked)?;
    }
    until(desk, "all is mended", LATER, || in_force(desk)).map(drop)
}

fn somebody_edits(desk: &Desk) -> Result {
    desk.shell(&format!("sed -i 's/ipfriends/any/' {POLICY}"))?;
    until(desk, "an edit is in force", SOON, || desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web"))?;
    desk.shell(&format!("echo 'rules = 7' >> {POLICY}"))?;
    until(desk, "a broken file is reported", SOON, || Ok(log(desk)?.contains("stays in force: ")))?;
    desk.only(8080, "web", true, true)?;
    desk.shell(&format!("sed -i '$d; s/any/ipfriends/' {POLICY}"))?;
    until(desk, "the old policy is back", SOON, || {
        Ok(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?)
    })
    .map(drop)
}

/// Commands share the agent's lock and are true when they return.
fn commands_meanwhile(desk: &Desk) -> Result {
    for _ in 0..5 {
        desk.done("set add ipfriends 203.0.113.66")?;
        assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
        desk.done("set del ipfriends 203.0.113.66")?;
        assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    }
    Ok(())
}

/// It takes requests and answers none: what it held last stands.
fn the_engine_hangs(desk: &Desk) -> Result {
    desk.shell("kill -STOP $(cat /run/docker.pid); iptables -F DOCKER-USER")?;
    let hooked = || Ok(desk.shell("iptables -S DOCKER-USER")?.contains("-j DOCKER-FIREWALL"));
    let took = until(desk, "a flush is repaired while the engine hangs", LATER, hooked);
    desk.shell("kill -CONT $(cat /run/docker.pid)")?;
    took?;
    desk.only(8080, "web", true, false)?;
    until(desk, "all is in force after that", LATER, || in_force(desk)).map(drop)
}

fn the_engine_restarts(desk: &Desk) -> Result {
    desk.lab.run("free", &["-p", "8090:80"], &[])?;
    until(desk, "a new container answers", SOON, || desk.reaches(Client::Stranger, Client::Host.v4(), 8090, "free"))?;
    // Interfaces that came and were not asked about by the time of the loss would close everything.
    until(desk, "it is at rest", LATER, || is_at_rest(desk))?;
    desk.lab.kill_engine()?;
    until(desk, "the loss is reported", SOON, || Ok(log(desk)?.contains("engine lost")))?;
    // Its containers run on, and so does the guard.
    desk.shell("iptables -F DOCKER-USER")?;
    let hooked = || Ok(desk.shell("iptables -S DOCKER-USER")?.contains("-j DOCKER-FIREWALL"));
    until(desk, "a flush is repaired without an engine", LATER, hooked)?;
    desk.only(8080, "web", true, false)?;
    // The engine's proxies may have died with it; what it rewrites has not.
    assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8090, "free")?, "no reason to close it yet");
    // Somebody's interface comes: it may be a container's, with whoever's address.
    desk.shell("ip link add veth-a type veth peer name veth-b")?;
    let closed = || Ok(!desk.reaches(Client::Friend, Client::Host.v4(), 8090, "free")?);
    until(desk, "closed while nobody can look", SOON, closed)?;
    desk.only(8080, "web", false, false)?;
    desk.only(8090, "free", false, false)?;
    desk.shell("ip link del veth-a")?;
    desk.lab.start_engine()?;
    desk.lab.docker(&["start", "web"])?.require("start")?;
    desk.lab.docker(&["start", "free"])?.require("start")?;
    desk.lab.wait_ready("web")?;
    desk.lab.wait_ready("free")?;
    until(desk, "rules follow a new engine", LATER, || in_force(desk))?;
    desk.only(8080, "web", true, false)?;
    // On a machine that does much else an answer comes later than one look waits.
    let by_all = || {
        let ways = [Client::Host.v4(), Client::Host.v6()].map(|to| [(Client::Friend, to), (Client::Stranger, to)]);
        ways.into_iter()
            .flatten()
            .try_fold(true, |all, (client, to)| Ok(desk.reaches(client, to, 8090, "free")? && all))
    };
    until(desk, "who is in no rule is reached by all", SOON, by_all)?;
    desk.lab.docker(&["rm", "-f", "free"])?.require("rm").map(drop)
}

fn stop(desk: &Desk, agent: &str) -> Result {
    desk.shell(&format!("kill -HUP {agent} || cat {LOG}; sleep 0.3; kill -TERM {agent}"))?;
    until(desk, "it stops", SOON, || Ok(log(desk)?.contains("stopped; the rules stay in force")))?;
    desk.only(8080, "web", true, false)?;
    println!("{}", log(desk)?);
    Ok(())
}
