//! Containers on the host's network and in other containers' networks: what rules with ports do for them.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::{Client, Probe, Protocol};

on_both_ends!(all_of_it, "hostnet");

/// What may still come after a withdrawal: what was on its way.
const GRACE: Duration = Duration::from_secs(1);

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("hostapp", &["--network", "host"], &["tcp=9100,9102", "stream=9101", "udp=9100"])?;
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    // The kernel lists a table once somebody has looked at it.
    desk.done("plan")?;
    let untouched = desk.world()?;
    without_a_port(desk)?;
    assert_eq!(desk.world()?, untouched);
    who_gets_in(desk)?;
    what_is_not_judged(desk)?;
    sessions_of_the_withdrawn_end(desk)?;
    desk.clear()?;
    somebody_elses_port(desk)?;
    desk.clear()?;
    broad_targets(desk)?;
    desk.clear()?;
    ranges_and_rests(desk)?;
    desk.clear()?;
    one_address_of_another(desk)?;
    desk.clear()?;
    lodgers(desk)
}

/// The error of a rule without a port lists what the container listens on, and its command does what it says.
fn without_a_port(desk: &Desk) -> Result {
    let command = "docker firewall allow hostapp --from any --port 9100-9102/tcp,9100/udp";
    desk.refused(
        "allow hostapp --from any",
        1,
        &[
            "hostapp is on the host's own network, where Docker does not know which ports are its",
            "hostapp listens on:\n  [::]:9100/tcp  peer-ready (pid ",
            "[::]:9100/udp  peer-ready (pid ",
            command,
        ],
    )?;
    let words: Vec<&str> = command.split(' ').skip(2).chain(["--dry-run"]).collect();
    assert_eq!(desk.words(&words)?.code, 2, "the command of the error is not understood");
    desk.refused("deny hostapp --from 203.0.113.66", 1, &["the rule has to name them"])?;
    desk.refused("allow hostapp --from any --port 1-30000", 1, &["30000 ports are too many"])?;
    desk.lab.docker(&["create", "--name", "resting", "--network", "host", lab::IMAGE])?.require("docker create")?;
    desk.refused("allow resting --from any", 1, &["resting does not run", "--port PORT"])?;
    desk.lab.docker(&["rm", "resting"])?.require("docker rm").map(drop)
}

fn udp(desk: &Desk, client: Client, to: IpAddr, port: u16) -> Result<bool> {
    desk.answers_udp(client, to, port)
}

fn who_gets_in(desk: &Desk) -> Result {
    desk.only(9100, "hostapp", true, true)?;
    desk.done("set create lan")?;
    desk.done("set add lan 203.0.113.10 fd00:1::10")?;
    let said = desk.told("allow hostapp --from lan --port 9100,9101,9100/udp")?;
    assert_eq!(
        said,
        "hostapp, on the host's network: 9100-9101/tcp open to lan; 9100/udp open to lan; its other ports are not \
         guarded. Rule 1.\n"
    );
    desk.only(9100, "hostapp", true, false)?;
    desk.only(9102, "hostapp", true, true)?;
    for to in [Client::Host.v4(), Client::Host.v6()] {
        assert!(udp(desk, Client::Friend, to, 9100)?, "{to}");
        assert!(!udp(desk, Client::Stranger, to, 9100)?, "{to}");
    }
    // What was counted is another test's.
    let template = "{{.Container}} {{.Published}} {{.Port}} {{.Path}} {{.From}} {{.Rules}} {{.Managed}}";
    let listed = desk.words(&["ls", "hostapp", "--format", template])?.stdout;
    let rows: Vec<String> = listed.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        rows,
        [
            "hostapp host 0.0.0.0:9100-9101 9100-9101/tcp host lan 1 true",
            "hostapp host [::]:9100-9101 9100-9101/tcp host lan 1 true",
            "hostapp host 0.0.0.0:9100 9100/udp host lan 1 true",
            "hostapp host [::]:9100 9100/udp host lan 1 true",
            "hostapp host network all others host everyone (not guarded) false",
        ]
    );
    let json = desk.idle("ls hostapp --format json")?.stdout;
    assert!(
        json.contains("\"Published\":\"host 0.0.0.0:9100-9101\"") && json.contains("\"Port\":\"all others\""),
        "{json}"
    );
    let status = desk.idle("status")?.stdout;
    assert!(status.contains("0 of 2 running containers, and 1 on the host's network"), "{status}");
    assert_eq!(desk.idle("plan")?.code, 0);
    Ok(())
}

/// The host itself, containers, and what host and container send out, with the guarded port as source port too.
fn what_is_not_judged(desk: &Desk) -> Result {
    let own = [Ipv4Addr::LOCALHOST.into(), Client::Host.v4(), Client::Host.v6()];
    for to in own {
        assert!(desk.reaches(Client::Host, to, 9100, "hostapp")?, "{to}");
        assert!(udp(desk, Client::Host, to, 9100)?, "{to}");
    }
    // Datagrams go to the bridge's own address: a server that waits everywhere answers from there in any case.
    let gateway = "{{.NetworkSettings.Networks.bridge.Gateway}}";
    let gateway = desk.lab.docker(&["inspect", "--format", gateway, "web"])?.require("docker inspect")?;
    let gateway: IpAddr = gateway.parse().unwrap_or(Client::Host.v4());
    for (protocol, to) in [(Protocol::Tcp, Client::Host.v4()), (Protocol::Tcp, gateway), (Protocol::Udp, gateway)] {
        let answer = desk.lab.from_container("web", protocol, to, 9100)?;
        assert!(answer.starts_with("peer hostapp"), "{protocol} {to}: {answer}");
    }
    desk.lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7000"])?;
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for to in [Client::Stranger.v4(), Client::Stranger.v6()] {
            let answer = desk.lab.from_container("hostapp", protocol, to, 7000)?;
            assert!(answer.starts_with("peer stranger"), "{protocol} {to}: {answer}");
            assert!(desk.lab.probe(&Probe::new(Client::Host, protocol, to, 7000))?.reached(), "{protocol} {to}");
        }
    }
    // A guarded port may be the near end of what this side begins, of the host and, on its network, of the container.
    desk.done("allow hostapp --from lan --port 9300,9300/udp")?;
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let answer =
            desk.shell(&format!("perl -MIO::Socket::INET -e '{CALL}' {protocol} {}", Client::Stranger.v4()))?;
        assert!(answer.starts_with("peer stranger from 203.0.113.1"), "{protocol}: {answer}");
    }
    desk.done("rm 2").map(drop)
}

/// Calls port 7000 of an address from port 9300, and prints the answer.
const CALL: &str = r#"alarm 5; my $s = IO::Socket::INET->new(Proto => $ARGV[0], LocalAddr => "203.0.113.1",
    LocalPort => 9300, PeerAddr => $ARGV[1], PeerPort => 7000) or die $@; $s->send("hello\n"); $s->recv(my $b, 200); print $b"#;

fn sessions_of_the_withdrawn_end(desk: &Desk) -> Result {
    for to in [Client::Host.v4(), Client::Host.v6()] {
        let stream = desk.lab.hold_tcp(Client::Friend, to, 9101)?;
        let push = desk.lab.hold_udp(Client::Friend, to, 9100)?;
        assert!(stream.received_during(GRACE) > 0 && push.received_during(GRACE) > 0, "{to}: no live session");
        desk.done("set del lan 203.0.113.10 fd00:1::10")?;
        let late = Instant::now() + GRACE;
        sleep(3 * GRACE);
        assert_eq!((stream.received_after(late), push.received_after(late)), (0, 0), "{to}");
        desk.only(9100, "hostapp", false, false)?;
        assert!(!udp(desk, Client::Friend, to, 9100)?);
        desk.done("set add lan 203.0.113.10 fd00:1::10")?;
        desk.only(9100, "hostapp", true, false)?;
    }
    desk.done("rm 1")?;
    desk.only(9100, "hostapp", true, true)
}

/// Nobody locks himself out: a port on which somebody else listens is refused, whatever the process calls itself.
fn somebody_elses_port(desk: &Desk) -> Result {
    desk.lab.serve_as(Client::Host, &["tcp=22", "udp=5353"])?;
    for line in ["allow hostapp --from any --port 22", "deny hostapp --from any --port 20-25"] {
        desk.refused(line, 1, &["[::]:22/tcp is not hostapp's: peer-ready (pid ", "Nothing was changed", "--pending"])?;
    }
    desk.refused("allow hostapp --from any --port 5353/udp", 1, &["[::]:5353/udp is not hostapp's"])?;
    desk.refused("allow network:host --from any --port 22", 1, &["is not hostapp's"])?;
    let policy = "version = 1\n[[rule]]\nverdict = \"allow\"\ntarget = \"hostapp\"\nfrom = \"any\"\n";
    desk.write("/tmp/ssh.toml", &format!("{policy}port = \"22\"\n"))?;
    desk.refused("apply -f /tmp/ssh.toml", 1, &["rule 1: [::]:22/tcp is not hostapp's"])?;
    desk.write("/tmp/bare.toml", policy)?;
    desk.refused("apply -f /tmp/bare.toml", 1, &["rule 1 (line ", "the rule has to name them"])?;
    let said = desk.told("allow hostapp --from 203.0.113.10,fd00:1::10 --port 22 --pending")?;
    assert!(said.contains("warning: [::]:22/tcp is not hostapp's"), "{said}");
    desk.only(22, "host", true, false)?;
    // Accepted once, it is no reason to refuse anything else later.
    let said = desk.told("apply")?;
    assert!(said.contains("warning: rule 1: [::]:22/tcp is not hostapp's"), "{said}");
    desk.done("allow web --from any").map(drop)
}

/// Broad targets pass over it without ports, and say so; `'*'` never means the host's ports.
fn broad_targets(desk: &Desk) -> Result {
    let passed = "hostapp is on the host's own network and is passed over";
    for line in
        ["allow * --from 203.0.113.10", "allow network:host --from 203.0.113.10", "deny * --from any --port 9102"]
    {
        let said = desk.told(line)?;
        assert!(said.contains(passed), "{line}: {said}");
        desk.only(9102, "hostapp", true, true)?;
        desk.done("rm 1")?;
    }
    let said = desk.told("allow network:host --from 203.0.113.10,fd00:1::10 --port 9102")?;
    assert!(!said.contains("warning"), "{said}");
    desk.only(9102, "hostapp", true, false)?;
    // Of a port that another rule names, a rule without ports speaks too.
    desk.done("deny * --from 203.0.113.10")?;
    assert!(!desk.reaches(Client::Friend, Client::Host.v4(), 9102, "hostapp")?);
    assert!(desk.reaches(Client::Friend, Client::Host.v6(), 9102, "hostapp")?);
    desk.done("default closed")?;
    desk.only(9100, "hostapp", true, true)?;
    desk.done("default open").map(drop)
}

fn ranges_and_rests(desk: &Desk) -> Result {
    desk.done("allow hostapp --from 203.0.113.10,fd00:1::10 --port 9000-9101,9000-9199/udp")?;
    desk.only(9100, "hostapp", true, false)?;
    desk.only(9102, "hostapp", true, true)?;
    // While it rests its ports stay guarded; and no command opens it because it has another name.
    desk.lab.docker(&["stop", "hostapp"])?.require("docker stop")?;
    desk.done("apply")?;
    desk.lab.docker(&["start", "hostapp"])?.require("docker start")?;
    desk.lab.wait_ready("hostapp")?;
    desk.only(9100, "hostapp", true, false)?;
    desk.lab.docker(&["rename", "hostapp", "other"])?.require("docker rename")?;
    desk.refused("apply", 1, &["rule 1 names hostapp, which is called other now and would be open"])?;
    desk.only(9100, "hostapp", true, false)?;
    desk.lab.docker(&["rename", "other", "hostapp"])?.require("docker rename").map(drop)
}

/// A container that Docker gives one address of the host decides alone there.
fn one_address_of_another(desk: &Desk) -> Result {
    desk.shell("ip addr add 203.0.113.2/24 dev br-ext")?;
    desk.lab.run("single", &["-p", "203.0.113.2:9200:80"], &[])?;
    // docker-proxy answers there what the kernel is not asked to rewrite.
    desk.shell("iptables -t nat -F DOCKER")?;
    let single: IpAddr = Ipv4Addr::new(203, 0, 113, 2).into();
    let reached = |client| desk.reaches(client, single, 9200, "single");
    assert!(reached(Client::Friend)? && reached(Client::Stranger)?);
    desk.done("allow hostapp --from 203.0.113.10 --port 9200 --pending")?;
    // Nothing says a word of `single`, so nothing is judged there.
    assert!(reached(Client::Friend)? && reached(Client::Stranger)?);
    desk.done("allow single --from 203.0.113.66")?;
    assert!(!reached(Client::Friend)? && reached(Client::Stranger)?);
    let members = desk.shell("ipset save | grep 203.0.113.2,tcp:9200")?;
    assert!(members.contains("nomatch") && members.lines().any(|line| !line.contains("nomatch")), "{members}");
    assert_eq!(desk.idle("plan")?.code, 0);
    desk.done("rm 2")?;
    assert!(reached(Client::Friend)? && reached(Client::Stranger)?);
    desk.lab.docker(&["rm", "-f", "single"])?.require("docker rm").map(drop)
}

/// Containers in the network of another one: its rules decide, and that is said.
fn lodgers(desk: &Desk) -> Result {
    desk.lab.run("side", &["--label", "side", "--network", "container:web"], &["tcp=82"])?;
    desk.lab.run("chained", &["--network", "container:side"], &["tcp=83"])?;
    desk.lab.run("onhost", &["--network", "container:hostapp"], &["tcp=9400"])?;
    for (name, owner) in [("side", "web"), ("chained", "web"), ("onhost", "hostapp")] {
        let line = format!("allow {name} --from 203.0.113.10 --port 80");
        let hint = format!("Name {owner} instead: docker firewall allow {owner} --from 203.0.113.10 --port 80/tcp");
        desk.refused(&line, 1, &[&format!("{name} uses the network of {owner}"), &hint])?;
    }
    // A lodger's port is its owner's: named for the owner, it is guarded, and it is nobody else's.
    desk.done("allow hostapp --from 203.0.113.10,fd00:1::10 --port 9400")?;
    desk.only(9400, "onhost", true, false)?;
    let said = desk.told("allow label:side --from 203.0.113.10")?;
    assert!(said.contains("warning: side uses the network of web: its ports are web's"), "{said}");
    let said = desk.told("allow * --from 203.0.113.10")?;
    assert!(!said.contains("side uses"), "{said}");
    let listed = |name: &str| -> Result<String> {
        let text = desk.idle(&format!("ls {name}"))?.stdout;
        Ok(text.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(listed("side")?, "side network of web shared as web 3 yes");
    assert_eq!(listed("chained")?, "chained network of web shared as web 3 yes");
    desk.lab.docker(&["stop", "web"])?.require("docker stop")?;
    assert_eq!(listed("side")?, "side network of web shared nobody (stopped) 3 yes");
    desk.lab.docker(&["rm", "web"])?.require("docker rm")?;
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    let gone = listed("side")?;
    assert!(gone.starts_with("side network of ") && gone.ends_with("nobody (that container is gone) no"), "{gone}");
    desk.refused("allow side --from any", 1, &["side uses the network of a container that is gone"])
}
