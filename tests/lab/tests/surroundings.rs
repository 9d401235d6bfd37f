//! What is wrong around the command: no root, no tools, another engine or none, a full disk, somebody else at work,
//! and an administrator who presses Ctrl-C.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use desk::{CONFIG, Desk, Result};
use lab::{Client, Engine, Lab, LabError, LabSpec};

on_both_ends!(all_of_it, "around");

/// A user without any rights, also without those of the group `docker`.
const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp";

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.lab.run("web2", &["-p", "8090:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done("allow web --from 203.0.113.10")?;
    without_rights(desk)?;
    without_tools(desk)?;
    other_engines(desk)?;
    full_disks(desk)?;
    somebody_else_at_work(desk)?;
    stopped_halfway(desk)?;
    without_an_engine(desk)
}

/// A line that is refused, with these variables around it.
fn refused(desk: &Desk, env: &[(&str, &str)], line: &str, says: &[&str]) -> Result {
    desk.refused_command(env, &line.split(' ').collect::<Vec<_>>(), 1, says)
}

fn without_rights(desk: &Desk) -> Result {
    for line in ["allow web2 --from any", "set add ipfriends 192.0.2.1", "status", "plan", "reset --force"] {
        refused(desk, &[], &format!("{NOBODY} docker-firewall {line}"), &["CAP_NET_ADMIN", "sudo docker firewall"])?;
    }
    // Root in name only, as in many containers.
    refused(desk, &[], "setpriv --bounding-set -net_admin docker firewall allow web2 --from any", &["CAP_NET_ADMIN"])?;
    for line in ["rules", "set ls", "set export ipfriends", "default"] {
        let says = ["Permission denied", "run the command again with sudo"];
        refused(desk, &[], &format!("{NOBODY} docker-firewall {line}"), &says)?;
    }
    // Where the files may be read, they are.
    desk.shell(&format!("chmod -R a+rX {CONFIG}"))?;
    for (line, says) in [("rules", "203.0.113.10"), ("set ls", "ipfriends"), ("default", "open")] {
        let output = desk.lab.exec(&["sh", "-c", &format!("{NOBODY} docker-firewall {line}")])?;
        assert!(output.success() && output.stdout.contains(says), "{line}: {output:?}");
        assert_eq!(output.stderr, "", "{line}");
    }
    let group = desk.shell("stat -c %g /var/run/docker.sock")?;
    let member = format!("setpriv --reuid 65534 --regid 65534 --groups {group} env HOME=/tmp docker-firewall ls");
    let output = desk.lab.exec(&["sh", "-c", &member])?;
    assert!(output.success() && output.stdout.contains("203.0.113.10"), "{output:?}");
    assert_eq!(output.stderr, "note: read from the policy, not from the kernel, which needs CAP_NET_ADMIN (sudo)\n");
    desk.shell(&format!("chmod -R go-rwx {CONFIG}")).map(drop)
}

/// Tools are looked for where distributions put them, whatever `PATH` says; what is not installed is named.
fn without_tools(desk: &Desk) -> Result {
    for (tool, debian, fedora) in [
        ("ipset", "apt-get install ipset", "dnf install ipset"),
        ("iptables-save", "apt-get install iptables", "dnf install iptables"),
    ] {
        let path = desk.shell(&format!("command -v {tool}"))?;
        let before = desk.world()?;
        // Every name of iptables is a link to one program, which is found by other names too.
        let real = if tool == "ipset" { path } else { desk.shell(&format!("readlink -f {path}"))? };
        desk.shell(&format!("mv {real} {real}.gone"))?;
        let output = desk.run("allow web2 --from any")?;
        let rules = desk.run("rules")?;
        desk.shell(&format!("mv {real}.gone {real}"))?;
        assert_eq!(output.code, 1, "{output:?}");
        for text in ["is not installed", debian, fedora, "Nothing was changed"] {
            assert!(output.stderr.contains(text), "{text}: {output:?}");
        }
        assert!(rules.success(), "{rules:?}");
        assert_eq!(desk.world()?, before);
    }
    // A tool that fails says why, in its own words.
    desk.shell("mv /usr/sbin/ipset /usr/sbin/ipset.real")?;
    let script = "#!/bin/sh\n[ \"$1\" != restore ] || { echo 'ipset: Kernel error received: Out of memory' >&2; exit 1; }\n\
                  exec ipset.real \"$@\"\n";
    desk.write("/usr/sbin/ipset", script)?;
    desk.shell("chmod +x /usr/sbin/ipset")?;
    let refused = desk.refused("allow web2 --from any", 1, &["Kernel error received: Out of memory"]);
    desk.shell("mv /usr/sbin/ipset.real /usr/sbin/ipset")?;
    refused
}

/// Rules are made only where the engine's packets pass.
fn other_engines(desk: &Desk) -> Result {
    let allow = "firewall allow web2 --from any";
    for (host, says) in [
        ("unix:///nowhere.sock", "Cannot connect to the Docker daemon at unix:///nowhere.sock"),
        ("tcp://127.0.0.1:1", "cannot reach the engine at tcp://127.0.0.1:1"),
        ("http://h:1", "bind address format: http://h:1"),
    ] {
        refused(desk, &[], &format!("docker -H {host} {allow}"), &[says])?;
        refused(desk, &[("DOCKER_HOST", host)], &format!("docker {allow}"), &[says])?;
    }
    refused(
        desk,
        &[],
        &format!("docker --context nope {allow}"),
        &["unable to resolve docker endpoint: context \"nope\""],
    )?;
    desk.shell("docker context create here --docker host=unix:///var/run/docker.sock")?;
    for line in ["docker --context here firewall ls web", "docker-firewall -c here ls web"] {
        assert!(desk.shell(line)?.contains("203.0.113.10"), "{line}");
    }
    // Another lab's engine, whose socket somebody brought here.
    let other = Lab::up(LabSpec::new(Engine::V26_1).name("elsewhere"))?;
    other.run("web2", &["-p", "8090:80"], &[])?;
    let socket = desk.lab.dir().join("elsewhere.sock");
    relay(&socket, other.socket())?;
    let host = format!("unix://{}", socket.display());
    let ids = desk.lab.exec(&["docker", "-H", &host, "ps", "-q"])?.require("docker ps")?;
    assert_eq!(ids.lines().count(), 1);
    let line = format!("docker -H {host} {allow}");
    refused(desk, &[], &line, &["Run docker firewall on the engine's own host"])?;
    other.docker(&["network", "create", "yard"])?.require("docker network create")?;
    refused(desk, &[], &line, &["this network namespace", "run docker firewall where"])
}

/// Hands connections on to another socket, until the test ends.
fn relay(from: &std::path::Path, to: std::path::PathBuf) -> Result {
    let listener = UnixListener::bind(from).map_err(|source| LabError::Io { what: "relay".to_owned(), source })?;
    spawn(move || {
        for mut near in listener.incoming().flatten() {
            let Ok(mut far) = UnixStream::connect(&to) else { continue };
            let (Ok(mut near_too), Ok(mut far_too)) = (near.try_clone(), far.try_clone()) else { continue };
            spawn(move || std::io::copy(&mut near, &mut far).map(|_| far.shutdown(std::net::Shutdown::Write)));
            spawn(move || std::io::copy(&mut far_too, &mut near_too));
        }
    });
    Ok(())
}

fn full_disks(desk: &Desk) -> Result {
    desk.shell("mkdir -p /tmp/tiny && mount -t tmpfs -o size=32k tmpfs /tmp/tiny")?;
    for (variable, from) in
        [("DOCKER_FIREWALL_CONFIG_DIR", CONFIG), ("DOCKER_FIREWALL_STATE_DIR", "/var/lib/docker-firewall")]
    {
        desk.shell(&format!("cp -a {from}/. /tmp/tiny/"))?;
        let env = [(variable, "/tmp/tiny")];
        let plan = desk.lab.exec_with(&env, &["docker", "firewall", "plan"])?;
        assert_eq!(plan.code, 0, "{plan:?}");
        desk.shell("dd if=/dev/zero of=/tmp/tiny/fill bs=1k count=100 2>/dev/null || true")?;
        let files = desk.shell("find /tmp/tiny -type f | sort | xargs sha256sum")?;
        for line in ["allow web2 --from any", "set add ipfriends 192.0.2.1", "set create other"] {
            let says = ["no space left on the device of /tmp/tiny/", "nothing was changed"];
            refused(desk, &env, &format!("docker firewall {line}"), &says)?;
        }
        assert_eq!(desk.shell("find /tmp/tiny -type f | sort | xargs sha256sum")?, files);
        desk.shell("mount -o remount,ro /tmp/tiny")?;
        refused(desk, &env, "docker firewall allow web2 --from any", &["read-only file", "nothing was changed"])?;
        desk.shell("mount -o remount,rw /tmp/tiny && find /tmp/tiny -mindepth 1 -delete")?;
    }
    desk.shell("umount /tmp/tiny")?;
    let env = [("DOCKER_FIREWALL_RUN_DIR", "/proc/nowhere")];
    refused(desk, &env, "docker firewall allow web2 --from any", &["cannot lock /proc/nowhere"])
}

fn somebody_else_at_work(desk: &Desk) -> Result {
    let mut holder = desk.lab.command(&["flock", "/run/docker-firewall/lock", "sleep", "1.5"]);
    let mut holder = holder.spawn().map_err(|source| LabError::Io { what: "flock".to_owned(), source })?;
    sleep(Duration::from_millis(200));
    let begun = Instant::now();
    let said = desk.told("allow web --from 192.0.2.1")?;
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    assert!(said.contains("Waiting for another command to finish changing the firewall..."), "{said}");
    assert!(said.contains("192.0.2.1; everything else closed. Rule 2."), "{said}");
    let _ = holder.wait();
    // Eight at once: none is lost, and none undoes another.
    desk.shell(
        "for i in 1 2 3 4; do
             docker firewall set add ipfriends 192.0.2.$i & docker firewall allow web2 --from 198.51.100.$i &
         done; wait",
    )?;
    assert_eq!(desk.idle("rules -q")?.stdout.lines().count(), 6);
    assert_eq!(desk.idle("set export ipfriends")?.stdout.matches("add ipfriends 192.0.2.").count(), 4);
    assert_eq!(desk.idle("plan")?.code, 0);
    desk.done("rm --target web2")?;
    desk.done("rm 2").map(drop)
}

/// Ctrl-C while waiting ends at once; in the middle of a change everything is put back.
fn stopped_halfway(desk: &Desk) -> Result {
    let before = desk.world()?;
    // By SIGTERM: what a script's shell starts in the background ignores SIGINT.
    let stop = |script: &str| desk.lab.exec(&["sh", "-c", script]);
    let waiting = stop(
        "flock /run/docker-firewall/lock sleep 2 & sleep 0.2
         docker-firewall allow web2 --from any & p=$!; sleep 0.4; kill -TERM $p; wait $p",
    )?;
    assert_eq!(waiting.code, 130, "{waiting:?}");
    sleep(Duration::from_millis(1700));
    assert_eq!(desk.world()?, before);
    desk.shell("mv /usr/sbin/ipset /usr/sbin/ipset.real")?;
    let slow = "#!/bin/sh\nipset.real \"$@\"; code=$?; [ \"$1\" != restore ] || sleep 1; exit $code\n";
    desk.write("/usr/sbin/ipset", slow)?;
    desk.shell("chmod +x /usr/sbin/ipset")?;
    let mut outcomes = Vec::new();
    for program in ["docker-firewall", "docker firewall"] {
        for wait in ["0.7", "1.5", "2.5"] {
            let script = format!("{program} allow web2 --from any & p=$!; sleep {wait}; kill -TERM $p; wait $p");
            let output = stop(&script)?;
            let rules = desk.run("rules -q")?.stdout.lines().count();
            outcomes.push((program, wait, output, rules, desk.world()? == before));
            // Left to its end where the request came too late.
            if rules == 2 {
                desk.done("rm 2")?;
            }
        }
    }
    desk.shell("mv /usr/sbin/ipset.real /usr/sbin/ipset")?;
    for (program, wait, output, rules, same) in &outcomes {
        match output.code {
            130 => assert!(*same && *rules == 1, "{program} {wait}: {output:?}"),
            0 => assert_eq!(*rules, 2, "{program} {wait}: {output:?}"),
            _ => panic!("{program} {wait}: {output:?}"),
        }
    }
    assert!(
        outcomes.iter().any(|(.., output, _, _)| output.stderr.contains("the change in hand is finished or undone"))
    );
    assert_eq!(desk.world()?, before);
    Ok(())
}

/// Rules need the engine; sets are changed without it, and the rules go on holding.
fn without_an_engine(desk: &Desk) -> Result {
    desk.done("set add ipfriends 203.0.113.66")?;
    desk.done("allow web --from ipfriends")?;
    desk.lab.stop_engine()?;
    for line in ["allow web2 --from any", "rm 1", "apply", "plan", "status", "ls", "default closed"] {
        desk.refused(
            line,
            1,
            &["Cannot connect to the Docker daemon at unix:///var/run/docker.sock", "systemctl status"],
        )?;
    }
    for line in ["rules", "set ls", "default"] {
        assert!(desk.idle(line)?.success(), "{line}");
    }
    desk.done("set del ipfriends 203.0.113.66")?;
    assert_eq!(desk.idle("set test ipfriends 203.0.113.66")?.code, 1);
    let chains = desk.shell("iptables-save | grep -c -- '-A DOCKER-FIREWALL'")?;
    assert_ne!(chains, "0");
    assert!(!desk.lab.tcp(Client::Stranger, Client::Host.v4(), 8080)?.reached());
    Ok(())
}
