//! Boot: before there is an engine everything guarded is closed, and stays so until the agent has seen who lives where.
//!
//! A reboot is what the lab can do of one: the engine stops, the kernel loses rules, sets and bridges, /run is emptied.
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{CONFIG, Desk, POLICY, Result};
use lab::kill::{Hammer, Successes};
use lab::{Client, Protocol};

on_both_ends!(all_of_it, "boot");

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn engine_26_1() -> Result {
    all_of_it(&Desk::up(lab::Engine::V26_1, lab::Flavour::Nft, "boot")?)
}

const STATE: &str = "/var/lib/docker-firewall";
const LOG: &str = "/tmp/agent.log";
/// How long the stranger goes on after the containers are up.
const LINGER: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(20);
const NAMES: [&str; 3] = ["web", "db", "open"];

/// What a reboot takes away.
const LOSE: &str = "for tables in iptables ip6tables; do
        for table in raw mangle nat filter security; do $tables -t $table -F; $tables -t $table -X; done
        for chain in INPUT FORWARD OUTPUT; do $tables -P $chain ACCEPT; done
    done 2> /dev/null
    ipset destroy
    for link in $(ls /sys/class/net); do case $link in docker*|br-????????????) ip link del $link ;; esac; done
    rm -rf /run/docker-firewall";

fn all_of_it(desk: &Desk) -> Result {
    // Without IPv6 of its own: an IPv6 client comes to docker-proxy.
    desk.lab.docker(&["network", "create", "--subnet", "172.30.0.0/24", "inner"])?.require("network")?;
    let always = ["--restart", "always"];
    desk.lab.run("web", &[&always[..], &["-p", "8080:80", "-p", "8053:53/udp"]].concat(), &[])?;
    desk.lab.run("db", &[&always[..], &["--network", "inner", "-p", "5432:80"]].concat(), &[])?;
    desk.lab.run("open", &[&always[..], &["-p", "8090:80"]].concat(), &[])?;
    desk.lab.run("quiet", &always, &[])?;
    desk.done("set create ipfriends")?;
    desk.done(&format!("set add ipfriends {} {}", Client::Friend.v4(), Client::Friend.v6()))?;
    desk.done("set add ipfriends 192.0.2.77 --for 3s")?;
    desk.done("allow web --from ipfriends")?;
    desk.done(&format!("allow db --from {},{}", Client::Friend.v4(), Client::Friend.v6()))?;
    desk.done(&format!("allow quiet --from {}", Client::Friend.v4()))?;
    let direct: Vec<IpAddr> = [desk.lab.addresses("web", "bridge")?.v4, desk.lab.addresses("db", "inner")?.v4]
        .into_iter()
        .flatten()
        .collect();

    let (tries, leaks) = boot(desk, &direct, None)?;
    println!("without a restore: {tries} tries, {} leaks", leaks.values().sum::<usize>());
    assert!(leaks.len() > 3, "without a restore everything is open at boot, or the prober is not looking: {leaks:?}");
    agent_opens(desk, &[])?;

    restores(desk, &direct)?;
    nothing_twice(desk)?;
    a_broken_policy(desk, &direct)?;
    a_slip_in_the_policy(desk, &direct)?;
    another_name(desk, &direct)?;
    no_policy(desk, &direct)?;
    damaged_records(desk, &direct)
}

/// Boots, with this command before the engine; what the stranger tried and reached until the containers were up and some
/// time after.
fn boot(desk: &Desk, direct: &[IpAddr], restore: Option<&str>) -> Result<(u64, Successes)> {
    desk.lab.stop_engine()?;
    desk.shell(LOSE)?;
    if let Some(command) = restore {
        let begun = Instant::now();
        let said = desk.shell(command)?;
        println!("{command}: {} ms\n{said}", begun.elapsed().as_millis());
    }
    let (v4, v6) = (Client::Host.v4(), Client::Host.v6());
    let mut targets: Vec<_> = [8080, 5432]
        .into_iter()
        .flat_map(|port| [v4, v6].map(|to| (Protocol::Tcp, to, port)))
        .chain([v4, v6].map(|to| (Protocol::Udp, to, 8053)))
        .collect();
    // By IPv6 docker-proxy itself may accept a connection to a port that nobody guards, which says nothing yet.
    targets.push((Protocol::Tcp, v4, 8090));
    targets.extend(direct.iter().map(|to| (Protocol::Tcp, *to, 80)));
    let hammer = Hammer::start(&desk.lab, &targets);
    desk.lab.start_engine()?;
    for name in NAMES {
        desk.lab.wait_ready(name)?;
    }
    sleep(LINGER);
    Ok(hammer.end())
}

/// Starts the agent and waits for the friend; the stranger reaches nothing but what nobody guards.
fn agent_opens(desk: &Desk, says: &[&str]) -> Result {
    let begun = Instant::now();
    let agent = desk.shell(&format!("setsid docker-firewall agent > {LOG} 2>&1 & echo $!"))?;
    let log = || desk.shell(&format!("cat {LOG}"));
    let soon =
        || lab::Probe::new(Client::Friend, Protocol::Tcp, Client::Host.v4(), 8080).patience(Duration::from_millis(20));
    while !desk.lab.probe(&soon())?.reached() {
        assert!(begun.elapsed() < LIMIT, "no friend gets in: {}", log()?);
    }
    println!("a friend is served {} ms after the start of the agent", begun.elapsed().as_millis());
    while !log()?.contains("kernel written") {
        assert!(begun.elapsed() < LIMIT, "not in force: {}", log()?);
    }
    // Where a boot was open, docker-proxy still has thousands of the stranger's connections to get over.
    for (port, who) in [(8080, "web"), (5432, "db")] {
        for to in [Client::Host.v4(), Client::Host.v6()] {
            while !desk.reaches(Client::Friend, to, port, who)? {
                assert!(begun.elapsed() < LIMIT, "no friend gets in at {to} {port}: {}", log()?);
            }
        }
        desk.only(port, who, true, false)?;
    }
    desk.only(8090, "open", true, true)?;
    assert!(desk.answers_udp(Client::Friend, Client::Host.v4(), 8053)?);
    assert!(!desk.answers_udp(Client::Stranger, Client::Host.v4(), 8053)?);
    for text in says {
        assert!(log()?.contains(text), "the agent does not say {text:?}: {}", log()?);
    }
    // Whatever the files say.
    if says.is_empty() {
        assert_eq!(desk.run("plan")?.code, 0);
    }
    desk.shell(&format!("kill -TERM {agent}; while [ -d /proc/{} ]; do sleep 0.01; done", agent.trim())).map(drop)
}

/// Closed at boot, IPv4 and IPv6, by the host's address and directly, whatever nobody has seen yet.
fn closed(desk: &Desk, direct: &[IpAddr], what: &str, restore: &str) -> Result {
    let (tries, leaks) = boot(desk, direct, Some(restore))?;
    println!("{what}: {tries} tries, {} leaks", leaks.values().sum::<usize>());
    assert_eq!(leaks, Successes::new(), "{what}");
    for to in [Client::Host.v4(), Client::Host.v6()] {
        let answer = desk.lab.tcp(Client::Stranger, to, 8090)?;
        assert_eq!(answer.peer(), None, "{what}: a container that nobody has seen answers at {to}: {answer}");
    }
    Ok(())
}

const RESTORE: &str = "docker-firewall restore 2>&1";

fn restores(desk: &Desk, direct: &[IpAddr]) -> Result {
    desk.shell(&format!("touch {STATE}/agent"))?;
    closed(desk, direct, "restored", RESTORE)?;
    let set = desk.shell("ipset save ipfriends")?;
    assert!(set.contains(&Client::Friend.v4().to_string()), "{set}");
    assert!(!set.contains("192.0.2.77"), "what has expired stays away: {set}");
    agent_opens(desk, &[])
}

fn nothing_twice(desk: &Desk) -> Result {
    let before = desk.world()?;
    assert!(desk.shell(RESTORE)?.contains("rules are in force already"));
    assert_eq!(desk.world()?, before);
    desk.only(8080, "web", true, false)
}

/// What was last in force is followed, and the file is left to who broke it.
fn a_broken_policy(desk: &Desk, direct: &[IpAddr]) -> Result {
    desk.shell(&format!("echo 'rules = 7' >> {POLICY}; cp {POLICY} /tmp/broken"))?;
    closed(
        desk,
        direct,
        "with a broken policy",
        &format!("{RESTORE} | tee /tmp/said; grep -q 'line [0-9]' /tmp/said"),
    )?;
    agent_opens(desk, &["what was last in force stays in force", POLICY, "line"])?;
    desk.shell(&format!("cmp {POLICY} /tmp/broken; sed -i '/rules = 7/d' {POLICY}")).map(drop)
}

/// One that can be read and not believed in is as bad: a slip in a name.
fn a_slip_in_the_policy(desk: &Desk, direct: &[IpAddr]) -> Result {
    let slip = "\n[[rule]]\nverdict = \"allow\"\ntarget = \"wbe\"\nfrom = \"any\"\n";
    desk.shell(&format!("cp {POLICY} /tmp/policy"))?;
    desk.write(POLICY, &(desk.shell(&format!("cat {POLICY}"))? + slip))?;
    // Somebody else's rule is there before: it stays, below ours.
    let foreign = "iptables -N DOCKER-USER && iptables -A DOCKER-USER -s 192.0.2.99/32 -j DROP";
    closed(desk, direct, "with a slip in the policy", &format!("{foreign} && {RESTORE}"))?;
    let chain = desk.shell("iptables -S DOCKER-USER; iptables -S FORWARD")?;
    let at = |text: &str| chain.find(text).unwrap_or_else(|| panic!("no {text}: {chain}"));
    assert!(at("-j DOCKER-FIREWALL") < at("-A DOCKER-USER -s 192.0.2.99/32 -j DROP"), "{chain}");
    assert_eq!(chain.lines().filter(|line| *line == "-A FORWARD -j DOCKER-USER").count(), 1, "{chain}");
    agent_opens(desk, &["what was last in force stays in force", "wbe"])?;
    desk.shell(&format!("grep -q wbe {POLICY}; mv /tmp/policy {POLICY}")).map(drop)
}

/// A boot does not make the agent forget who was guarded under which name, published or not.
fn another_name(desk: &Desk, direct: &[IpAddr]) -> Result {
    closed(desk, direct, "before a rename", RESTORE)?;
    desk.lab.docker(&["rename", "quiet", "silent"])?.require("rename")?;
    agent_opens(desk, &["which is called silent now", "until then its old name counts"])?;
    desk.lab.docker(&["rename", "silent", "quiet"])?.require("rename").map(drop)
}

fn no_policy(desk: &Desk, direct: &[IpAddr]) -> Result {
    desk.shell(&format!("mv {POLICY} /tmp/policy"))?;
    closed(
        desk,
        direct,
        "without a policy file",
        &format!("{RESTORE} | tee /tmp/said; grep -q 'is missing' /tmp/said"),
    )?;
    agent_opens(desk, &["is missing. To have it back: cp "])?;
    desk.shell(&format!("test ! -e {POLICY}; mv /tmp/policy {POLICY}")).map(drop)
}

/// One that is torn gives way to the one before it; without any it says loudly what that means, and fails nothing else.
fn damaged_records(desk: &Desk, direct: &[IpAddr]) -> Result {
    desk.shell(&format!("cp {STATE}/boot {STATE}/boot.previous; truncate -s -5 {STATE}/boot"))?;
    closed(desk, direct, "with a torn record", &format!("{RESTORE} | tee /tmp/said; grep -q 'is torn' /tmp/said"))?;
    agent_opens(desk, &[])?;
    // The agent had nothing new to write down but has mended the record.
    desk.shell(&format!(
        "cmp {STATE}/boot {STATE}/boot.previous; echo rubbish > {STATE}/boot; rm {STATE}/boot.previous"
    ))?;
    desk.lab.stop_engine()?;
    desk.shell(LOSE)?;
    let said = desk.lab.exec(&["docker-firewall", "restore"])?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("nothing is closed") && said.stderr.contains("apply"), "{said:?}");
    desk.lab.start_engine()?;
    desk.lab.wait_ready("web")?;
    desk.shell(&format!("rm -r {CONFIG} {STATE}"))?;
    let said = desk.lab.exec(&["docker-firewall", "restore"])?;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "nothing guarded, nothing to say: {said:?}");
    Ok(())
}
