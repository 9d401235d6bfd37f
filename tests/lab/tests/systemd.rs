//! The services in a real boot: systemd with Docker's unit, ours and another firewall's, and the power cut in between.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::kill::{Hammer, Successes};
use lab::{Booted, Client, Probe, Protocol};

const LIMIT: Duration = Duration::from_secs(40);
const LINGER: Duration = Duration::from_secs(1);
const BOOT: &str = "docker-firewall-boot.service";
const AGENT: &str = "docker-firewall-agent.service";

/// What a power cut takes away of what lies in the kernel.
const LOSE: &str = "for tables in iptables ip6tables; do
        for table in raw mangle nat filter security; do $tables -t $table -F; $tables -t $table -X; done
        for chain in INPUT FORWARD OUTPUT; do $tables -P $chain ACCEPT; done
    done 2> /dev/null
    ipset destroy
    for link in $(ls /sys/class/net); do case $link in docker*|br-????????????) ip link del $link ;; esac; done";

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn a_real_boot() -> Result {
    let desk = Desk::up(lab::Engine::V28_5, lab::Flavour::Nft, "systemd")?;
    desk.refused("service install", 1, &["systemd does not run this system", "--no-systemd", "restore", "agent"])?;
    no_systemd(&desk)?;
    let always = ["--restart", "always"];
    desk.lab.run("web", &[&always[..], &["-p", "8080:80", "-p", "8053:53/udp"]].concat(), &[])?;
    desk.lab.run("open", &[&always[..], &["-p", "8090:80"]].concat(), &[])?;
    desk.lab.macvlan("lan")?;
    desk.lab.run("far", &[&always[..], &["--network", "lan", "--ip", "203.0.113.200"]].concat(), &[])?;
    desk.done(&format!("allow web far --from {},{}", Client::Friend.v4(), Client::Friend.v6()))?;
    // One that flushes whatever it finds at boot.
    desk.shell("grep -q 'flush ruleset' /etc/nftables.conf; systemctl enable nftables.service 2> /dev/null")?;
    desk.lab.stop_engine()?;

    let booted = desk.lab.boot()?;
    installs(&booted)?;
    let (booted, leaks) = again(&desk, booted, "with both services")?;
    assert_eq!(leaks, Successes::new());
    in_order(&booted)?;
    follows(&desk, &booted)?;

    booted.shell(&format!("systemctl disable {BOOT}"))?;
    let (booted, leaks) = again(&desk, booted, "without the service for the boot")?;
    assert!(!leaks.is_empty(), "there is nothing to close at boot, or the prober is not looking");
    uninstalls(&booted)
}

/// Another init system gets the program, and is told what to do with it.
fn no_systemd(desk: &Desk) -> Result {
    let somebody =
        ["setpriv", "--reuid=1000", "--clear-groups", "/usr/local/bin/docker-firewall", "service", "install"];
    desk.refused_command(&[], &somebody, 1, &["by root", "sudo"])?;
    let install = "service install --no-systemd";
    desk.shell("mkdir -p /usr/local/libexec; chmod o+w /usr/local/libexec")?;
    desk.refused(
        install,
        1,
        &["/usr/local/libexec may be changed by others than root", "chmod go-w /usr/local/libexec"],
    )?;
    desk.shell("chmod o-w /usr/local/libexec")?;
    let told = desk.done(install)?;
    assert!(told.contains("docker-firewall restore") && told.contains("docker-firewall agent"), "{told}");
    desk.shell(
        "cmp /usr/local/bin/docker-firewall /usr/local/libexec/docker-firewall; test -e /var/lib/docker-firewall/agent",
    )?;
    desk.done("service uninstall")?;
    desk.shell("! ls /usr/local/libexec/docker-firewall /var/lib/docker-firewall/agent 2> /dev/null").map(drop)
}

fn until(booted: &Booted<'_>, what: &str, is_true: impl Fn() -> Result<bool>) -> Result {
    let begun = Instant::now();
    while !is_true()? {
        if begun.elapsed() > LIMIT {
            let log =
                booted.shell("docker-firewall plan 2>&1; journalctl --no-pager -n 40 -u docker.service -u docker-firewall-agent.service; systemctl list-jobs")?;
            panic!("not within {LIMIT:?}: {what}\n{log}");
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn is_active(booted: &Booted<'_>, unit: &str) -> Result<bool> {
    Ok(booted.exec(&["systemctl", "is-active", unit])?.stdout.trim() == "active")
}

fn installs(booted: &Booted<'_>) -> Result {
    until(booted, "docker runs", || is_active(booted, "docker.service"))?;
    let dry = booted.exec(&["docker-firewall", "service", "install", "--dry-run"])?;
    assert_eq!(dry.code, 2, "{dry:?}");
    booted.shell("test ! -e /usr/local/libexec/docker-firewall")?;
    let told = booted.shell("docker-firewall service install")?;
    println!("{told}");
    assert!(told.contains("enabled and running") && told.contains("Exposure level"), "{told}");
    // Once more changes nothing.
    let told = booted.shell("docker-firewall service install")?;
    assert!(told.contains("this version is there already") && !told.contains("written"), "{told}");
    println!("{}", booted.shell("docker-firewall service status")?);
    booted.shell("docker-firewall plan")?;
    diagnosed(booted)
}

/// What is wrong with the services is told, and mended by what is printed beside it.
fn diagnosed(booted: &Booted<'_>) -> Result {
    let said = |what: &str, fix: &str| -> Result<bool> {
        let told =
            booted.exec(&["docker-firewall", "doctor", "--format", "{{.Health}} {{.Check}} {{.Text}} -> {{.Fix}}"])?;
        Ok(told.stdout.lines().any(|line| line.contains(what) && line.contains(fix)))
    };
    let well = || Ok(said("ok services", "")? && said("ok agent", "")? && said("ok boot-record", "")?);
    until(booted, "all is well", well)?;
    for (break_it, what, fix) in [
        (
            format!("echo '# mine' >> /etc/systemd/system/{AGENT}; systemctl daemon-reload"),
            format!("warning services {AGENT} is not as this version would install it"),
            "docker-firewall service install".to_owned(),
        ),
        (
            format!("systemctl disable {BOOT}"),
            format!("UNSAFE services {BOOT} is disabled"),
            format!("systemctl enable {BOOT}"),
        ),
        (
            format!("systemctl stop {AGENT}"),
            "UNSAFE agent it is installed and does not run".to_owned(),
            "systemctl start docker-firewall-agent".to_owned(),
        ),
    ] {
        booted.shell(&break_it)?;
        until(booted, &what, || said(&what, &fix))?;
        booted.shell(&fix)?;
        until(booted, "all is well again", well)?;
    }
    Ok(())
}

/// The power goes, and comes back: what a stranger reaches until some time after the agent is ready.
fn again<'a>(desk: &'a Desk, booted: Booted<'a>, what: &str) -> Result<(Booted<'a>, Successes)> {
    booted.cut()?;
    desk.shell(LOSE)?;
    let (v4, v6) = (Client::Host.v4(), Client::Host.v6());
    let targets: Vec<_> = [v4, v6]
        .into_iter()
        .flat_map(|to| [(Protocol::Tcp, to, 8080), (Protocol::Udp, to, 8053)])
        .chain([(Protocol::Tcp, [172, 17, 0, 2].into(), 80), (Protocol::Tcp, [172, 17, 0, 3].into(), 80)])
        .collect();
    let hammer = Hammer::start(&desk.lab, &targets);
    let begun = Instant::now();
    let booted = desk.lab.boot()?;
    let friend = Probe::new(Client::Friend, Protocol::Tcp, v4, 8080).patience(Duration::from_millis(20));
    until(&booted, "a friend is served", || Ok(desk.lab.probe(&friend)?.peer() == Some("web")))?;
    let served = begun.elapsed();
    until(&booted, "the agent is ready", || is_active(&booted, AGENT))?;
    // What no rule guards is a stranger's too, once it has been seen.
    let open = Probe { client: Client::Stranger, port: 8090, ..friend };
    until(&booted, "what nobody guards is open", || Ok(desk.lab.probe(&open)?.peer() == Some("open")))?;
    sleep(LINGER);
    let (tries, mut leaks) = hammer.end();
    // One of the two addresses is that of `open`, which a stranger may reach in the end.
    leaks.retain(|(_, target), _| !target.contains("172.17.0."));
    println!(
        "{what}: {tries} tries, {} leaks; a friend is served {} ms after the power came back",
        leaks.values().sum::<usize>(),
        served.as_millis()
    );
    Ok((booted, leaks))
}

/// Ours ran after what may flush it and before the engine.
fn in_order(booted: &Booted<'_>) -> Result {
    let at = |unit: &str, what: &str| -> Result<u64> {
        let text = booted.shell(&format!("systemctl show --value -p {what} {unit}"))?;
        Ok(text.trim().parse().unwrap_or(0))
    };
    let other = at("nftables.service", "ExecMainExitTimestampMonotonic")?;
    let (begun, ended) = (at(BOOT, "ExecMainStartTimestampMonotonic")?, at(BOOT, "ExecMainExitTimestampMonotonic")?);
    let (engine, agent) = ("docker.service", AGENT);
    let (engine, agent) =
        (at(engine, "ExecMainStartTimestampMonotonic")?, at(agent, "ExecMainStartTimestampMonotonic")?);
    assert!(
        0 < other && other <= begun && ended <= engine && engine < agent,
        "{other} {begun} {ended} {engine} {agent}"
    );
    println!(
        "the service for the boot took {} ms, and the agent began {} ms after the engine",
        (ended - begun) / 1000,
        (agent - engine) / 1000
    );
    println!("{}", booted.shell(&format!("journalctl --no-pager -o cat -b -u {BOOT}"))?);
    Ok(())
}

/// All that the agent does works behind the unit's walls: bridges, containers' own namespaces, a kill.
fn follows(desk: &Desk, booted: &Booted<'_>) -> Result {
    let reaches = |client, to: [u8; 4], port| -> Result<bool> {
        let probe = Probe::new(client, Protocol::Tcp, to.into(), port).patience(Duration::from_millis(200));
        Ok(desk.lab.probe(&probe)?.reached())
    };
    let far = [203, 0, 113, 200];
    until(booted, "a friend is served over macvlan", || reaches(Client::Friend, far, 80))?;
    assert!(!reaches(Client::Stranger, far, 80)?);
    booted.shell("docker restart -t 0 web far")?;
    until(booted, "rules follow", || Ok(booted.exec(&["docker-firewall", "plan"])?.code == 0))?;
    until(booted, "a friend is served over macvlan again", || reaches(Client::Friend, far, 80))?;
    assert!(!reaches(Client::Stranger, far, 80)? && !reaches(Client::Stranger, [203, 0, 113, 1], 8080)?);
    let third = || Ok(booted.shell("docker-firewall status")?.contains("Third line:  up"));
    until(booted, "the third line is up", third)?;
    let killed = Instant::now();
    booted.shell(&format!("systemctl kill --signal KILL {AGENT}"))?;
    until(booted, "it is back", || {
        let restarts = booted.shell(&format!("systemctl show --value -p NRestarts {AGENT}"))?;
        Ok(restarts.trim() != "0" && is_active(booted, AGENT)?)
    })?;
    until(booted, "the third line is up again", third)?;
    println!("killed, and ready again after {} ms", killed.elapsed().as_millis());
    Ok(())
}

fn uninstalls(booted: &Booted<'_>) -> Result {
    let told = booted.shell("docker-firewall service uninstall")?;
    assert!(told.contains("The rules stay in force"), "{told}");
    booted.shell(
        "test ! -e /usr/local/libexec/docker-firewall && test ! -e /var/lib/docker-firewall/agent
        ! ls -R /etc/systemd/system | grep docker-firewall
        iptables -S | grep -q DOCKER-FIREWALL",
    )?;
    assert!(booted.shell("docker-firewall service uninstall")?.contains("Nothing to do"));
    assert_eq!(booted.exec(&["docker-firewall", "service", "status"])?.code, 1);
    Ok(())
}
