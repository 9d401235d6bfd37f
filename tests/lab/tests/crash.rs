//! Power cuts, torn files, full disks, clocks that jump, and many at once: the rules come through all of it.
//!
//! Needs root, the engines of `tests/engines.sh`, strace and libfaketime: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{CONFIG, Desk, POLICY, Result};
use lab::{Client, Engine, Flavour, LabError, Output};

const STATE: &str = "/var/lib/docker-firewall";
const RUN: &str = "/run/docker-firewall";
const LOG: &str = "/tmp/agent.log";
/// Changes of each of two shells that work at once.
const ROUNDS: usize = 12;
/// How long the agent may take, on a machine that does much else: more than a tick.
const LATER: Duration = Duration::from_secs(20);

fn newest(name: &str) -> Result<Desk> {
    Desk::up(Engine::V28_5, Flavour::Nft, name)
}

/// A guarded container, a set and two rules.
fn guarded(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done(&format!("set add ipfriends {} {}", Client::Friend.v4(), Client::Friend.v6()))?;
    desk.done("allow web --from ipfriends")?;
    desk.done("allow web --from 198.51.100.1 --port 443")?;
    desk.only(8080, "web", true, false)
}

fn until(desk: &Desk, what: &str, limit: Duration, is_true: impl Fn() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !is_true()? {
        assert!(begun.elapsed() < limit, "not true after {limit:?}: {what}\n{}", desk.shell(&format!("cat {LOG}"))?);
        sleep(Duration::from_millis(50));
    }
    println!("{what}: {} ms", begun.elapsed().as_millis());
    Ok(begun.elapsed())
}

fn start_agent(desk: &Desk, environment: &[(&str, &str)]) -> Result<String> {
    let script = format!("setsid docker-firewall agent > {LOG} 2>&1 & echo $!");
    let agent = desk.lab.exec_with(environment, &["sh", "-c", &script])?.require("agent")?;
    until(desk, "the agent follows", LATER, || Ok(desk.shell(&format!("cat {LOG}"))?.contains("follows the engine")))?;
    // By the same clock.
    let plan = || Ok(desk.lab.exec_with(environment, &["docker-firewall", "plan"])?.success());
    until(desk, "its first pass is over", LATER, plan)?;
    Ok(agent)
}

fn in_force(desk: &Desk) -> Result<bool> {
    Ok(desk.run("plan")?.code == 0)
}

/// Calls of the system that change what a disk holds. What is written to a staged file counts when it is synced.
const WRITES: [&str; 9] =
    ["mkdir", "fsync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "fchmod", "ftruncate"];

/// Between any two of those calls the process is killed, or the power fails: what is on the disk then leads to the old
/// policy or to the new one.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn every_prefix_of_what_is_written() -> Result {
    let desk = &newest("prefix")?;
    guarded(desk)?;
    let mut cuts = 0;
    for command in ["allow web --from 192.0.2.0/24", "set add ipfriends 192.0.2.7", "rm 2"] {
        let keep = format!("rm -rf /root/old; mkdir /root/old; cp -a --parents {CONFIG} {STATE} /root/old");
        desk.shell(&keep)?;
        let back = format!("rm -rf {CONFIG} {STATE}; cp -a /root/old/. /; docker firewall apply");
        let old = ours(desk)?;
        let calls = traced(desk, command, None)?;
        let new = ours(desk)?;
        assert!(old != new, "{command} changes something");
        for (index, call) in calls.iter().enumerate() {
            let nth = calls[..=index].iter().filter(|other| *other == call).count();
            for power in [false, true] {
                desk.shell(&back)?;
                desk.shell("ipset -exist del ipfriends 192.0.2.7; docker firewall apply")?;
                assert_eq!(ours(desk)?, old, "back to before {command}");
                traced(desk, command, Some((call, nth)))?;
                let what = format!("{command}, before {call} {nth}, power {power}");
                if power {
                    // The kernel forgets everything, the disk nothing.
                    desk.shell(&format!(
                        "rm -rf /root/cut; mkdir /root/cut; cp -a --parents {CONFIG} {STATE} /root/cut
                         docker firewall reset --force; rm -rf {CONFIG} {STATE}; cp -a /root/cut/. /"
                    ))?;
                }
                let said = desk.told("apply")?;
                assert!(!said.contains("warning"), "{what}: {said}");
                assert!(in_force(desk)?, "{what}");
                let now = ours(desk)?;
                assert!(now == old || now == new, "{what}:\n{}", now.join("\n"));
                let left =
                    desk.shell(&format!("find {CONFIG} {STATE} -name '.docker*' -o -path '*/pending/*.conf'"))?;
                assert_eq!(left, "", "{what}");
                cuts += 1;
            }
        }
        println!("{command}: {}", calls.join(" "));
    }
    println!("{cuts} cuts");
    Ok(())
}

/// What the kernel and the owner's files hold.
fn ours(desk: &Desk) -> Result<Vec<String>> {
    let mut lines: Vec<String> = desk.world()?.0.into_iter().filter(|line| !line.contains(STATE)).collect();
    // The order of members and the size of their table are chance, and so is the seed.
    for line in &mut lines {
        if let Some(at) = line.find(" hashsize") {
            line.truncate(at);
        }
    }
    lines.sort();
    Ok(lines)
}

/// A command under strace: its writing calls, in order; killed before the n-th call of a name.
fn traced(desk: &Desk, command: &str, kill: Option<(&str, usize)>) -> Result<Vec<String>> {
    let words: Vec<&str> = ["docker-firewall"].into_iter().chain(command.split(' ')).collect();
    let inside = desk.lab.command(&words);
    let log = desk.lab.path("/tmp/strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-e", &format!("trace={}", WRITES.join(",")), "-e", "signal=none", "-o"]).arg(&log);
    if let Some((call, nth)) = kill {
        strace.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    }
    strace.arg(inside.get_program()).args(inside.get_args()).env_clear();
    strace.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = strace.stdin(Stdio::null()).output().map_err(|error| LabError::Failed {
        what: "strace (apt-get install strace)".to_owned(),
        output: Output { stderr: error.to_string(), ..Output::default() },
    })?;
    assert_eq!(output.status.success(), kill.is_none(), "{command}, {kill:?}: {output:?}");
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let call = |line: &str| Some(line.split_once(' ')?.1.trim().split_once('(')?.0.to_owned());
    Ok(text.lines().filter_map(call).filter(|call| WRITES.contains(&call.as_str())).collect())
}

/// A file that was cut or blotted out is never taken for what somebody meant.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn torn_files() -> Result {
    let desk = &newest("torn")?;
    guarded(desk)?;
    let set = format!("{CONFIG}/sets/ipfriends.conf");
    for file in [POLICY, &set] {
        desk.shell(&format!("cp {file} /tmp/whole"))?;
        let size: usize = desk.shell(&format!("stat -c %s {file}"))?.parse().unwrap_or_default();
        let zeroes = format!("truncate -s 0 {file}; truncate -s {size} {file}");
        let cuts = [0, size / 3, size / 2, size - 2].map(|length| format!("truncate -s {length} {file}"));
        for tear in cuts.into_iter().chain([zeroes]) {
            desk.shell(&tear)?;
            if desk.shell(&format!("tail -c 1 {file} | od -An -c"))?.trim() != "\\n" {
                for line in ["apply", "set add ipfriends 192.0.2.1", "allow web --from 192.0.2.1"] {
                    desk.refused(line, 1, &[file, "what was in force before still is"])?;
                }
            }
            desk.only(8080, "web", true, false)?;
            desk.shell(&format!("cp /tmp/whole {file}"))?;
        }
    }
    for file in [format!("{STATE}/last-good/policy.toml"), format!("{STATE}/last-good/sets/ipfriends.conf")] {
        for tear in ["truncate -s 7", "truncate -s 0", "truncate -s 0 \"$1\"; truncate -s 99"] {
            desk.shell(&format!("set -- {file}; {tear} {file}"))?;
            let said = desk.told("apply")?;
            let empty_set = file.contains("/sets/") && tear == "truncate -s 0";
            assert!(empty_set || (said.contains("warning") && said.contains(&file)), "{tear} {file}: {said}");
            assert!(!desk.told("apply")?.contains("warning"), "{file} was made anew");
            desk.only(8080, "web", true, false)?;
        }
    }
    // Left behind by nobody: a lock without a holder, a record of namespaces that says nothing.
    desk.shell(&format!("printf 99999 > {RUN}/lock; printf '\\0\\0 x\\n/' > {RUN}/sandboxes"))?;
    desk.done("apply")?;
    // Both the policy and its record are gone: nobody meant to open the door.
    desk.shell(&format!("rm {POLICY}; truncate -s 5 {STATE}/last-good/policy.toml"))?;
    desk.refused("apply", 1, &[POLICY, "is missing"])?;
    desk.only(8080, "web", true, false)
}

/// The three directories on a file system of their own, full or read-only: nothing changes, and it says so.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn no_room() -> Result {
    let desk = &newest("full")?;
    guarded(desk)?;
    for place in [CONFIG, STATE, RUN] {
        desk.shell(&format!(
            "cp -a {place} /tmp/kept; mount -t tmpfs -o size=256k,nr_inodes=64,mode=755 none {place}; cp -a /tmp/kept/. {place}
             rm -r /tmp/kept"
        ))?;
    }
    let agent = start_agent(desk, &[])?;
    desk.shell("printf 'version = 1\\ndefault = \"closed\"\\n' > /tmp/policy.toml; yes | head -c 300000 > /tmp/yes")?;
    for (place, fill, room, says) in [
        (CONFIG, "cat /tmp/yes > @/fill; true", "rm @/fill", "no space left"),
        (STATE, "cat /tmp/yes > @/fill; true", "rm @/fill", "no space left"),
        (CONFIG, "mkdir @/f; for i in $(seq 99); do touch @/f/$i; done; true", "rm -r @/f", "no space left"),
        (STATE, "mkdir @/f; for i in $(seq 99); do touch @/f/$i; done; true", "rm -r @/f", "no space left"),
        (CONFIG, "mount -o remount,ro @", "mount -o remount,rw @", "ead-only"),
        (STATE, "mount -o remount,ro @", "mount -o remount,rw @", "ead-only"),
        // Not to be remounted: the agent holds a file in it open for writing.
        (RUN, "mount -t tmpfs -o ro none @", "umount @", "ead-only"),
    ] {
        println!("{place}: {fill}");
        desk.shell(&format!("({}) 2> /dev/null", fill.replace('@', place)))?;
        for line in [
            "allow web --from 203.0.113.66",
            "deny web --from 203.0.113.10",
            "rm 1",
            "default closed",
            "set create more",
            "set add ipfriends 203.0.113.66",
            "set del ipfriends 203.0.113.10",
            "apply -f /tmp/policy.toml",
            "apply --hook forward",
        ] {
            desk.refused(line, 1, &[place, says])?;
        }
        // What is in force is kept by the agent that needs no room for it.
        if place != RUN {
            desk.shell("iptables -F DOCKER-USER")?;
            until(desk, "a flush is mended", LATER, || in_force(desk))?;
        }
        desk.only(8080, "web", true, false)?;
        desk.shell(&room.replace('@', place))?;
        desk.done("allow web --from 203.0.113.66")?;
        assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
        desk.done("rm 3")?;
    }
    // A policy that cannot be recorded is not put in force, and the agent says why.
    desk.shell(&format!("(cat /tmp/yes > {STATE}/fill; true) 2> /dev/null; sed -i s/ipfriends/any/ {POLICY}"))?;
    until(desk, "the agent says so", LATER, || Ok(desk.shell(&format!("cat {LOG}"))?.contains("no space left")))?;
    desk.only(8080, "web", true, false)?;
    desk.shell(&format!("rm {STATE}/fill"))?;
    until(desk, "it goes on", LATER, || desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web"))?;
    // A lock needs no room: what takes access away works on a full disk.
    desk.shell(&format!("sed -i s/any/ipfriends/ {POLICY}; (cat /tmp/yes > {RUN}/fill; true) 2> /dev/null"))?;
    desk.done("set del ipfriends 203.0.113.10")?;
    assert!(!desk.reaches(Client::Friend, Client::Host.v4(), 8080, "web")?);
    desk.shell(&format!("kill {agent}")).map(drop)
}

const FAKE: &str = "/root/libfaketime.so.1";

/// The wall clock jumps; the kernel's timers run on.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn clocks() -> Result {
    let desk = &newest("clock")?;
    guarded(desk)?;
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    std::fs::copy(&library, desk.lab.path(FAKE)).map_err(|error| LabError::Failed {
        what: format!("{library} (apt-get install libfaketime)"),
        output: Output { stderr: error.to_string(), ..Output::default() },
    })?;
    let clock = [
        ("LD_PRELOAD", FAKE),
        ("FAKETIME_TIMESTAMP_FILE", "/root/clock"),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let by_hand = |line: &str| -> Result<String> {
        let words: Vec<&str> = ["docker-firewall"].into_iter().chain(line.split(' ')).collect();
        desk.lab.exec_with(&clock, &words)?.require(line)
    };
    let set_clock = |offset: &str| desk.shell(&format!("echo {offset} > /root/clock"));
    let (stranger, far) = (Client::Stranger.v4(), "192.0.2.44");
    set_clock("+0")?;
    let agent = start_agent(desk, &clock)?;
    by_hand(&format!("allow web --from {stranger} --for 1h"))?;
    by_hand(&format!("set add ipfriends {far} {} --for 1h", Client::Stranger.v6()))?;
    desk.shell("ipset add ipfriends 192.0.2.55 timeout 7200")?;
    desk.only(8080, "web", true, true)?;

    // Less than the end: only the timers follow.
    set_clock("+1800")?;
    until(desk, "a timer follows the clock", LATER, || Ok((1700..=1805).contains(&seconds(desk, far)?)))?;
    assert!(seconds(desk, "192.0.2.55")? > 7000, "what was added by hand keeps the kernel's clock");
    desk.only(8080, "web", true, true)?;
    // A reboot: the time that is left is the right one.
    desk.shell(&format!("docker-firewall reset --force; kill {agent}"))?;
    by_hand("apply")?;
    let left = seconds(desk, far)?;
    assert!((1700..=1800).contains(&left), "{left} s");
    let agent = start_agent(desk, &clock)?;

    // Over the end.
    desk.shell("ipset add ipfriends 192.0.2.55 timeout 7200")?;
    set_clock("+7200")?;
    until(desk, "what has ended is closed", LATER, || {
        Ok(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?
            && !desk.reaches(Client::Stranger, Client::Host.v6(), 8080, "web")?)
    })?;
    desk.only(8080, "web", true, false)?;
    assert!(seconds(desk, "192.0.2.55")? > 7000);
    // Nor after a reboot; and by hand it may come back, on the kernel's clock.
    desk.shell(&format!("kill {agent}; docker-firewall reset --force"))?;
    by_hand("apply")?;
    desk.only(8080, "web", true, false)?;
    let agent = start_agent(desk, &clock)?;
    desk.shell(&format!("ipset add ipfriends {far} timeout 600"))?;
    desk.shell("iptables -F DOCKER-USER")?;
    until(desk, "a pass", LATER, || Ok(desk.shell("iptables -S DOCKER-USER")?.contains("-j DOCKER-FIREWALL")))?;
    assert!(seconds(desk, far)? > 500);

    // Back: the moment that the file names is yet to come, again.
    set_clock("+1800")?;
    until(desk, "the clock is what counts", LATER, || {
        Ok(seconds(desk, far)? > 1700 && desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?)
    })?;
    desk.shell(&format!("kill {agent}")).map(drop)
}

/// Seconds that a member of the set still has; 0 when it is none.
fn seconds(desk: &Desk, address: &str) -> Result<u32> {
    let saved = desk.shell("ipset save ipfriends")?;
    let line = saved.lines().find(|line| line.contains(&format!("add ipfriends {address} ")));
    let word = line.and_then(|line| line.split_once("timeout ")).and_then(|(_, rest)| rest.split(' ').next());
    Ok(word.and_then(|word| word.parse().ok()).unwrap_or_default())
}

/// Two shells and the agent at once, while a container restarts: nobody's change is lost, and each is true when its command
/// returns.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn many_at_once() -> Result {
    let desk = &newest("many")?;
    guarded(desk)?;
    desk.lab.run("other", &[], &[])?;
    let agent = start_agent(desk, &[])?;
    let rules = format!(
        "set -e; for i in $(seq {ROUNDS}); do docker-firewall allow web --from 198.51.100.1$i
         ipset test ipfriends 203.0.113.10; grep -q 198.51.100.1$i {POLICY}
         ipset save | grep -q 198.51.100.1$i
         docker-firewall allow other --from 203.0.113.9; docker-firewall rm --target other; done 2>&1"
    );
    let sets = format!(
        "set -e; for i in $(seq {ROUNDS}); do docker-firewall set add ipfriends 203.0.113.66 192.0.2.$i
         docker-firewall set test ipfriends 203.0.113.66; ipset test ipfriends 192.0.2.$i
         docker-firewall set del ipfriends 203.0.113.66; ! ipset test ipfriends 203.0.113.66; done 2>&1"
    );
    let restarts = "set -e; for i in $(seq 5); do docker restart -t 0 other; done 2>&1";
    std::thread::scope(|scope| {
        let workers = [rules.as_str(), &sets, restarts].map(|script| scope.spawn(move || desk.shell(script)));
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok::<(), LabError>(())
    })?;
    until(desk, "everything is in force", LATER, || in_force(desk))?;
    let policy = desk.shell(&format!("cat {POLICY}"))?;
    let set = desk.shell(&format!("cat {CONFIG}/sets/ipfriends.conf"))?;
    for i in 1..=ROUNDS {
        assert!(policy.contains(&format!("\"198.51.100.1{i}\"")), "rule {i} was lost:\n{policy}");
        assert!(set.lines().any(|line| line == format!("add ipfriends 192.0.2.{i}")), "entry {i} was lost:\n{set}");
    }
    desk.only(8080, "web", true, false)?;
    desk.shell(&format!("kill {agent}")).map(drop)
}

/// An import of many is killed at any time; a process that hangs is named, and can be ended.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn a_long_import() -> Result {
    let desk = &newest("import")?;
    guarded(desk)?;
    desk.done("deny web --from 198.51.100.0/24")?;
    let many = "(echo 'create many hash:net family inet maxelem 200000'
        awk 'BEGIN { for (i = 0; i < 100000; i++) printf \"add many 10.%d.%d.%d\\n\", i / 65536, i / 256 % 256, i % 256 }')";
    desk.shell(&format!(
        "{many} > /tmp/many.conf; docker-firewall set create many; docker-firewall allow web --from many"
    ))?;
    let begun = Instant::now();
    desk.done("set import many /tmp/many.conf")?;
    let whole = begun.elapsed();
    println!("whole import: {} ms", whole.as_millis());
    desk.shell(
        "docker-firewall set create none; docker-firewall set export none | sed s/none/many/g > /tmp/none.conf",
    )?;
    for part in [1_u32, 4, 6, 7] {
        desk.done("set import many /tmp/none.conf")?;
        let after = (whole * part / 8).as_secs_f64();
        desk.shell(&format!(
            "docker-firewall set import many /tmp/many.conf > /dev/null 2>&1 & sleep {after:.3}; kill -9 $! || true"
        ))?;
        desk.done("apply")?;
        assert!(in_force(desk)?);
        let count = desk.shell("ipset list -t many | sed -n 's/Number of entries: //p'")?;
        println!("killed after {after:.3} s: {count}");
        assert!(count == "0" || count == "100000", "killed after {after} s: {count} entries");
        desk.only(8080, "web", true, false)?;
    }
    // Stopped in the middle, with the lock in its hand.
    let after = (whole / 2).as_secs_f64();
    let import = "docker-firewall set import many /tmp/many.conf > /dev/null 2>&1";
    let stopped = desk.shell(&format!("{import} & sleep {after:.3}; kill -STOP $!; echo $!"))?;
    let held = desk.shell(&format!("cat {RUN}/lock"))?;
    assert_eq!(held.trim(), stopped.trim(), "it was stopped before it had the lock, or afterwards");
    let begun = Instant::now();
    let says = [stopped.trim(), "nothing was changed", "ps -fp", "kill"];
    let output = desk.run("rm 1")?;
    assert_eq!(output.code, 1);
    for text in says {
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
    println!("gave up after {} s", begun.elapsed().as_secs());
    desk.shell(&format!("kill -9 {stopped}"))?;
    desk.done("apply")?;
    assert!(in_force(desk)?);
    desk.only(8080, "web", true, false)
}

/// The killed one's tool writes on: nobody may read the kernel before that has ended.
#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn a_tool_that_outlives_its_caller() -> Result {
    let desk = &newest("orphan")?;
    guarded(desk)?;
    // One that takes its time before it does what it was told.
    let slow = "#!/bin/sh\ncase \"$*\" in *noflush*|*-n*) sleep 2 ;; esac\nexec /usr/sbin/${0##*/} \"$@\"\n";
    desk.shell("mkdir -p /tmp/slow")?;
    desk.write("/tmp/slow/it", slow)?;
    desk.shell("chmod +x /tmp/slow/it; for t in iptables ip6tables; do for k in '' -nft -legacy; do ln -sf it /tmp/slow/$t$k-restore; done; done")?;
    desk.shell("PATH=/tmp/slow:$PATH docker-firewall rm 1 > /dev/null 2>&1 & sleep 1; kill -9 $!")?;
    desk.done("apply")?;
    sleep(Duration::from_secs(5));
    assert!(in_force(desk)?, "what the killed command's tool wrote came after all");
    desk.only(8080, "web", true, false)
}
