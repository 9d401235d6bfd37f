//! Counters, `top`, `metrics` and the agent's page: a friend's and a stranger's datagrams, counted one by one.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::Client;

on_both_ends!(all_of_it, "metrics");

/// How long something may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

const LOG: &str = "/tmp/agent.log";
const SOCKET: &str = "/run/docker-firewall/agent.sock";

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80", "-p", "8053:53/udp"], &["tcp=80", "udp=53"])?;
    desk.done("set create ipfriends")?;
    desk.done(&format!("set add ipfriends {} {}", Client::Friend.v4(), Client::Friend.v6()))?;
    desk.done("allow web --from ipfriends")?;
    every_datagram(desk)?;
    what_is_written_anew(desk)?;
    sets_of_an_older_version(desk)?;
    a_file_that_is_replaced(desk)?;
    the_page(desk)
}

/// Sends so many datagrams from one port and waits for the answer to each, if there is to be one.
fn send(desk: &Desk, client: Client, count: usize, answered: bool) -> Result {
    let wait = if answered { "head -n 1 <&3 > /dev/null" } else { "true" };
    let script = format!(
        "exec 3<>/dev/udp/{}/8053; for i in $(seq {count}); do printf 'hello 7' >&3; {wait}; done",
        Client::Host.v4()
    );
    desk.lab.exec_as(client, &["timeout", "20", "bash", "-c", &script])?.require(&script).map(drop)
}

/// Waits for something to be true.
fn until(what: &str, is_true: impl Fn() -> Result<bool>) -> Result {
    let begun = Instant::now();
    while !is_true()? {
        assert!(begun.elapsed() < PATIENCE, "not true after {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The value of the only sample that begins so.
fn value(page: &str, begins: &str) -> Option<u64> {
    let line = page.lines().find(|line| line.starts_with(begins))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Packets of the friend's rule in and out, and those that no rule allowed.
fn counted(page: &str) -> [Option<u64>; 3] {
    // The ID of `allow web --from ipfriends`, which no version changes.
    let rule = |direction: &str| {
        let labels = format!("{{rule=\"67f80d3a\",verdict=\"allow\",direction=\"{direction}\",container=\"web\"}}");
        value(page, &format!("docker_firewall_rule_packets_total{labels}"))
    };
    [rule("in"), rule("out"), value(page, "docker_firewall_closed_packets_total{container=\"web\"}")]
}

fn every_datagram(desk: &Desk) -> Result {
    send(desk, Client::Friend, 5, true)?;
    send(desk, Client::Stranger, 7, false)?;
    let page = || desk.done("metrics");
    until("what no rule allowed is counted", || Ok(counted(&page()?)[2] == Some(7)))?;
    assert_eq!(counted(&page()?), [Some(5), Some(5), Some(7)], "{}", page()?);
    // 20 bytes of IP, 8 of UDP, 7 that the stranger said.
    let page = page()?;
    assert_eq!(value(&page, "docker_firewall_closed_bytes_total{container=\"web\"}"), Some(7 * 35), "{page}");
    assert_eq!(value(&page, "docker_firewall_agent_running"), Some(0), "{page}");
    let rules = desk.done("rules --counters --format json")?;
    assert!(rules.contains("\"Packets\":\"10\""), "{rules}");
    let top = desk.done("top web --no-stream --format json")?;
    let closed = top.lines().find(|line| line.contains("\"Verdict\":\"closed\"")).unwrap_or_default();
    assert!(closed.contains("\"Packets\":\"7\"") && closed.contains("\"Container\":\"web\""), "{top}");
    desk.refused("top nobody --no-stream", 1, &["no container is meant by nobody"])?;
    // Whoever reads through a pipe gets plain text, and when he goes it ends without a word.
    let piped = desk.shell("timeout 20 docker firewall top 2>&1 | head -n 2; echo ${PIPESTATUS:-}")?;
    assert!(piped.starts_with("CONTAINER") && !piped.contains('\u{1b}'), "{piped:?}");
    // On a terminal it is drawn anew, and Ctrl-C ends it with the code for that.
    let drawn = desk.lab.exec(&[
        "bash",
        "-c",
        "timeout --foreground --preserve-status --signal INT 3 docker-firewall top > /tmp/top 2>&1; echo $?; cat /tmp/top",
    ])?;
    assert!(drawn.stdout.starts_with("130\nCONTAINER"), "{drawn:?}");
    Ok(())
}

/// A second rule, the same rules once more, and chains that somebody touched.
fn what_is_written_anew(desk: &Desk) -> Result {
    let before = counted(&desk.done("metrics")?);
    desk.done("apply")?;
    desk.done("allow web --from 198.51.100.7 --port 80")?;
    desk.shell("iptables -A DOCKER-FIREWALL-TO -j RETURN; iptables -t security -I DOCKER-FIREWALL-FROM -j RETURN")?;
    desk.done("apply")?;
    assert_eq!(desk.run("plan")?.code, 0);
    assert_eq!(counted(&desk.done("metrics")?), before);
    send(desk, Client::Friend, 1, true)?;
    let after = counted(&desk.done("metrics")?);
    assert_eq!(after[..2], [before[0].map(|count| count + 1), before[1].map(|count| count + 1)]);
    desk.only(8080, "web", true, false)
}

/// Sets that do not count are made anew, behind a closed door.
fn sets_of_an_older_version(desk: &Desk) -> Result {
    desk.shell(
        "for set in df4-guarded df6-guarded df4-host-guarded; do
            ipset save $set | sed -e '1s/ counters//' -e 's/ packets [0-9]* bytes [0-9]*//' -e \"s/ $set / older /\" |
                ipset restore
            ipset swap older $set
            ipset destroy older
        done",
    )?;
    assert!(!desk.shell("ipset list -terse df4-guarded")?.contains("counters"));
    assert_eq!(desk.run("plan")?.code, 2);
    desk.only(8080, "web", true, false)?;
    desk.done("apply")?;
    assert!(desk.shell("ipset list -terse df4-guarded")?.contains("counters"));
    assert_eq!(desk.run("plan")?.code, 0);
    desk.only(8080, "web", true, false)
}

/// Whoever reads the file sees a whole one, and a full disk leaves the old one.
fn a_file_that_is_replaced(desk: &Desk) -> Result {
    let script = "mkdir -p /tmp/textfile; F=/tmp/textfile/docker-firewall.prom
        docker-firewall metrics --output $F
        (for i in $(seq 20); do docker-firewall metrics --output $F || echo failed; done; touch /tmp/textfile/done) &
        while ! [ -e /tmp/textfile/done ]; do
            [ \"$(head -c 25 $F)\" = '# HELP docker_firewall_bu' ] || echo no beginning
            [ \"$(tail -n 1 $F)\" = 'docker_firewall_agent_running 0' ] || echo no end
        done
        ls -A /tmp/textfile; stat -c %a $F; grep -c EOF $F";
    let seen = desk.lab.exec(&["bash", "-c", script])?.stdout;
    assert_eq!(seen, "docker-firewall.prom\ndone\n644\n0\n");
    desk.shell("mkdir -p /tmp/full && mount -t tmpfs -o size=64k full /tmp/full")?;
    desk.done("metrics --output /tmp/full/a.prom")?;
    // Another text, for one that is the same is not written.
    desk.shell("echo old >> /tmp/full/a.prom; cp /tmp/full/a.prom /tmp/whole; dd if=/dev/zero of=/tmp/full/zero bs=1k 2> /dev/null || true")?;
    desk.refused("metrics --output /tmp/full/a.prom", 1, &["no space left"])?;
    desk.shell("cmp /tmp/full/a.prom /tmp/whole && umount /tmp/full").map(drop)
}

fn place(desk: &Desk) -> PathBuf {
    desk.lab.path(SOCKET)
}

/// What the agent answers to these bytes.
fn ask(desk: &Desk, request: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(place(desk))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn start(desk: &Desk) -> Result<String> {
    let agent = desk.shell(&format!("setsid docker-firewall agent > {LOG} 2>&1 & echo $!"))?;
    until(
        "the agent answers",
        || Ok(ask(desk, "GET /metrics HTTP/1.0\r\n\r\n").is_ok_and(|a| a.contains("full\"} "))),
    )?;
    Ok(agent.trim().to_owned())
}

fn the_page(desk: &Desk) -> Result {
    let agent = start(desk)?;
    let mode =
        std::fs::metadata(place(desk)).map(|data| (data.file_type().is_socket(), data.permissions().mode() & 0o777));
    assert!(matches!(mode, Ok((true, 0o600))), "{mode:?}");
    let open = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    let page = ask(desk, open).unwrap_or_default();
    assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("# EOF\n"), "{page}");
    assert!(
        page.contains("application/openmetrics-text") && page.contains("docker_firewall_agent_running 1\n"),
        "{page}"
    );
    assert_eq!(counted(&page)[2], counted(&desk.done("metrics --format openmetrics")?)[2]);
    assert!(desk.done("metrics")?.contains("docker_firewall_agent_pass_duration_seconds_count{kind=\"full\"}"));
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "405"),
        ("\u{0}\u{1}\u{2}\r\n\r\n", "400"),
    ] {
        let answer = ask(desk, request).unwrap_or_default();
        assert!(answer.split(' ').nth(1) == Some(status), "{request:?}: {answer:?}");
    }
    let long = ask(desk, &format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)));
    assert!(!long.is_ok_and(|answer| answer.contains(" 200 ")), "a megabyte of header was taken");

    // Readers who say nothing hold up neither the agent nor, for long, other readers.
    let idle: Vec<_> = (0..20).map(|_| UnixStream::connect(place(desk))).collect();
    let before = desk.lab.addresses("web", "bridge")?.v4;
    desk.lab.docker(&["stop", "-t", "0", "web"])?.require("stop")?;
    desk.lab.run("taker", &[], &["tcp=80"])?;
    desk.lab.docker(&["start", "web"])?.require("start")?;
    desk.lab.wait_ready("web")?;
    until("the agent follows", || Ok(desk.run("plan")?.code == 0))?;
    assert_ne!(desk.lab.addresses("web", "bridge")?.v4, before);
    desk.only(8080, "web", true, false)?;
    until("others are served", || Ok(ask(desk, open).is_ok_and(|page| page.ends_with("# EOF\n"))))?;
    drop(idle);

    // The sums outlive the address.
    let page = ask(desk, open).unwrap_or_default();
    assert!(counted(&page)[2] >= Some(7), "{page}");
    desk.shell(&format!("kill -KILL {agent}"))?;
    until("it is gone", || Ok(ask(desk, open).is_err()))?;
    assert!(place(desk).exists(), "nobody was there to take it away");
    // The kernel's lock ends with the process, which has ended by now.
    let agent = start(desk)?;
    desk.shell(&format!("kill -TERM {agent}"))?;
    until("it has ended", || Ok(!place(desk).exists()))
}
