//! Rules: where they go, whom they mean, what is said of them, and that nothing of others is touched.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::thread::sleep;
use std::time::Duration;

use desk::{Desk, POLICY, Result};
use lab::Client;

on_both_ends!(all_of_it, "rules");

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80", "-p", "5353:53/udp"], &[])?;
    desk.lab.run("web2", &["-p", "8090:80"], &[])?;
    for name in ["front1", "front2", "front3", "front4", "front5"] {
        desk.lab.run(name, &["--label", "tier=front", "-p", &format!("830{}:80", &name[5..])], &[])?;
    }
    let compose = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=api"];
    desk.lab.run("shop-api-1", &[&compose[..], &["-p", "8400:80"]].concat(), &[])?;
    one_container_and_no_other(desk)?;
    desk.clear()?;
    the_world_by_its_number(desk)?;
    desk.clear()?;
    ports_and_interfaces(desk)?;
    desk.clear()?;
    places(desk)?;
    desk.clear()?;
    targets_of_all_kinds(desk)?;
    desk.clear()?;
    names_that_are_yet_to_come(desk)?;
    desk.clear()?;
    access_that_ends(desk)?;
    desk.clear()?;
    what_no_rule_reaches(desk)?;
    desk.clear()?;
    addresses_left_open_are_listed(desk)?;
    desk.clear()?;
    plans_write_nothing(desk)?;
    desk.clear()?;
    reset_leaves_what_is_not_ours(desk)
}

fn one_container_and_no_other(desk: &Desk) -> Result {
    let said = desk.told("allow web --from 203.0.113.10,fd00:1::10")?;
    assert_eq!(
        said,
        "web is guarded: every port (published: 53/udp, 80/tcp) from 203.0.113.10, fd00:1::10; everything else closed. \
         Rule 1.\n"
    );
    desk.only(8080, "web", true, false)?;
    desk.only(8090, "web2", true, true)?;
    // The same again, by its ID and the beginning of it, is the same rule.
    let id = desk.lab.docker(&["inspect", "--format", "{{.Id}}", "web"])?.require("docker inspect")?;
    let before = desk.world()?;
    for name in ["web", &id, &id[..12]] {
        let said = desk.told(&format!("allow {name} --from fd00:1::10,203.0.113.10"))?;
        assert!(said.contains("rule 1 says this already"), "{said}");
    }
    assert_eq!(desk.world()?, before);
    assert!(desk.shell(&format!("cat {POLICY}"))?.contains("target = \"web\""));
    let said = desk.told("rm --target web")?;
    assert!(said.contains("web is not guarded: as open as Docker leaves it."), "{said}");
    desk.only(8080, "web", true, true)
}

/// What is open to the world is called so, however it was written.
fn the_world_by_its_number(desk: &Desk) -> Result {
    desk.done("allow web --from 0.0.0.0/0,0.0.0.0/0,192.0.2.1 --port 80")?;
    assert!(desk.shell(&format!("cat {POLICY}"))?.contains("from = [\"0.0.0.0/0\", \"192.0.2.1\"]"));
    let listed = desk.idle("ls web")?.stdout;
    let from = |port: &str| listed.lines().find(|line| line.contains(port)).unwrap_or_default().to_owned();
    assert!(from("0.0.0.0:8080").contains("everyone"), "{listed}");
    assert!(!from("[::]:8080").contains("everyone"), "{listed}");
    assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    assert!(!desk.reaches(Client::Stranger, Client::Host.v6(), 8080, "web")?);
    Ok(())
}

fn ports_and_interfaces(desk: &Desk) -> Result {
    let (v4, v6) = (Client::Host.v4(), Client::Host.v6());
    desk.done("allow web --from any --port 53/udp,443,8000-8010")?;
    desk.only(8080, "web", false, false)?;
    assert!(desk.answers_udp(Client::Stranger, v4, 5353)?);
    desk.done("allow web --from any --published 8080 --interface br-ext")?;
    desk.only(8080, "web", true, true)?;
    desk.done("deny web --from 203.0.113.66,fd00:1::66 --published 8080")?;
    desk.only(8080, "web", true, false)?;
    assert!(desk.answers_udp(Client::Stranger, v6, 5353)?);
    desk.done("rm 3")?;
    desk.done("allow web --from any --interface lo")?;
    desk.only(8080, "web", false, false)
}

/// A new deny goes behind the denies and before the allows, a new allow last; comments of people stay.
fn places(desk: &Desk) -> Result {
    desk.done("allow web --from any")?;
    let said = desk.told("deny web --from 203.0.113.66,fd00:1::66")?;
    assert_eq!(
        said,
        "web is open: every port (published: 53/udp, 80/tcp) from anybody; denied: every port (published: 53/udp, \
         80/tcp) from 203.0.113.66, fd00:1::66. Rule 1.\n"
    );
    desk.only(8080, "web", true, false)?;
    desk.shell(&format!("sed -i 's/^from = \"any\"/# my words\\n&  # and more/' {POLICY}"))?;
    let said = desk.told("deny web --from 203.0.113.10")?;
    assert!(said.contains("Rule 2."), "{said}");
    let said = desk.told("allow web --from 192.0.2.1")?;
    assert!(said.contains("Rule 4.") && said.contains("it can never match: rule 3 always decides first"), "{said}");
    assert!(!desk.reaches(Client::Friend, Client::Host.v4(), 8080, "web")?);
    desk.words(&["allow", "web", "--from", "203.0.113.10", "--before", "1", "--comment", "the \"boss\""])?
        .require("allow --before")?;
    desk.only(8080, "web", true, false)?;
    let said = desk.told("deny web --from any --before 2")?;
    assert!(said.contains("rule 5 can no longer match: this one always decides first"), "{said}");
    let rules = desk.idle("rules")?.stdout;
    let verdicts: Vec<&str> = rules.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(verdicts, ["allow", "deny", "deny", "deny", "allow", "allow"], "{rules}");
    let id = desk.idle("rules -q")?.stdout.lines().nth(1).unwrap_or_default().to_owned();
    desk.done(&format!("rm {id}"))?;
    let text = desk.shell(&format!("cat {POLICY}"))?;
    assert!(text.contains("# my words\nfrom = \"any\"  # and more"), "{text}");
    assert_eq!(desk.idle("rules -q")?.stdout.lines().count(), 5);
    let said = desk.told("rm 2 3")?;
    assert!(said.contains("web is open: "), "{said}");
    desk.only(8080, "web", true, true)?;
    // A deny for everybody is what is true, whatever stands behind it.
    let said = desk.told("deny web --from any")?;
    assert!(said.contains("web is guarded: closed to everybody. Rule 1."), "{said}");
    desk.done("rm 1")?;
    let said = desk.told("deny web2 --from any")?;
    assert!(said.contains("web2 is closed to everybody."), "{said}");
    desk.only(8090, "web2", false, false)
}

fn targets_of_all_kinds(desk: &Desk) -> Result {
    let said = desk.told("allow label:tier=front --from 203.0.113.10,fd00:1::10")?;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(lines[2].starts_with("front3 is guarded: ") && lines[2].ends_with("Rule 1."), "{said}");
    assert_eq!(lines[3], "And 2 more; `docker firewall ls` shows them all.");
    desk.only(8305, "front5", true, false)?;
    desk.done("allow shop/api --from 203.0.113.66,fd00:1::66")?;
    desk.only(8400, "shop-api-1", false, true)?;
    desk.only(8090, "web2", true, true)?;
    desk.lab.docker(&["network", "create", "yard"])?.require("docker network create")?;
    desk.lab.run("swing", &["--network", "yard", "-p", "8500:80"], &[])?;
    desk.done("allow network:yard --from 203.0.113.10 --port 80")?;
    assert!(desk.reaches(Client::Friend, Client::Host.v4(), 8500, "swing")?);
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8500, "swing")?);
    desk.done("deny * --from 203.0.113.66")?;
    for port in [8080, 8090, 8400, 8500] {
        assert!(!desk.lab.tcp(Client::Stranger, Client::Host.v4(), port)?.reached(), "{port}");
    }
    desk.done("rm --target *")?;
    desk.done("default closed")?;
    desk.only(8080, "web", false, false)?;
    desk.only(8305, "front5", true, false)?;
    assert_eq!(desk.done("default")?, "closed");
    desk.done("default open")?;
    desk.only(8080, "web", true, true)
}

fn names_that_are_yet_to_come(desk: &Desk) -> Result {
    desk.refused("allow later --from 203.0.113.10", 1, &["no container is named later", "--pending"])?;
    let pending = "allow later --from 203.0.113.10 --pending";
    assert_eq!(desk.told(pending)?, "No container is named by later yet. Rule 1.\n");
    // Removed, it waits for nobody.
    assert_eq!(desk.told("rm 1")?, "Removed rule 1: allow later --from 203.0.113.10\n");
    desk.done(pending)?;
    desk.lab.run("later", &["-p", "8600:80"], &[])?;
    desk.done("apply")?;
    assert!(desk.reaches(Client::Friend, Client::Host.v4(), 8600, "later")?);
    assert!(!desk.reaches(Client::Stranger, Client::Host.v6(), 8600, "later")?);
    // A container that rests is spoken of as one that rests.
    desk.lab.docker(&["stop", "later"])?.require("docker stop")?;
    let said = desk.told("allow later --from 192.0.2.1")?;
    assert!(said.contains("everything else closed (when it runs). Rule 2."), "{said}");
    assert!(desk.idle("ls later")?.stdout.contains("nobody (stopped)"));
    desk.lab.docker(&["rm", "later"])?.require("docker rm").map(drop)
}

/// An allow that has ended keeps its container guarded.
fn access_that_ends(desk: &Desk) -> Result {
    desk.done("allow web --from any --for 3s")?;
    desk.only(8080, "web", true, true)?;
    sleep(Duration::from_millis(3300));
    desk.only(8080, "web", false, false)?;
    assert!(desk.idle("rules")?.stdout.contains("(over)"));
    desk.done("apply")?;
    desk.only(8080, "web", false, false)?;
    assert!(desk.idle("ls web")?.stdout.contains("nobody"));
    let said = desk.told("allow web --from 192.0.2.1 --port 80")?;
    assert!(said.contains("web is guarded: 80/tcp from 192.0.2.1; everything else closed. Rule 2."), "{said}");
    Ok(())
}

/// What nobody can guard from here is refused by name, and never called guarded.
fn what_no_rule_reaches(desk: &Desk) -> Result {
    desk.lab.run("hosty", &["--network", "host"], &["tcp=9999"])?;
    desk.lab.run("lodger", &["--network", "container:web"], &["tcp=82"])?;
    desk.lab.run("homely", &["-p", "127.0.0.1:8700:80"], &[])?;
    desk.lab.run("bound", &["-p", "203.0.113.1:8701:80"], &[])?;
    desk.refused("allow hosty --from any", 1, &["hosty is on the host's own network", "--port 9999/tcp"])?;
    desk.refused("allow lodger --from any", 1, &["lodger uses the network of web", "Name web instead"])?;
    let said = desk.told("allow * --from 203.0.113.10")?;
    assert!(!said.contains("hosty is guarded"), "{said}");
    assert!(!desk.lab.tcp(Client::Stranger, Client::Host.v4(), 8701)?.reached());
    assert!(desk.lab.tcp(Client::Friend, Client::Host.v4(), 8701)?.reached());
    // What was counted is another test's.
    let template = "{{.Container}} {{.Published}} {{.Port}} {{.Path}} {{.From}} {{.Rules}} {{.Managed}}";
    let listed = desk.words(&["ls", "--format", template])?.stdout;
    let row = |name: &str| {
        let found = listed.lines().find(|line| line.split_whitespace().next() == Some(name));
        found.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("hosty"), "hosty host network host everyone (not guarded) false");
    assert_eq!(row("homely"), "homely 127.0.0.1:8700 80/tcp dnat host only 1 true");
    assert_eq!(row("bound"), "bound 203.0.113.1:8701 80/tcp dnat 203.0.113.10 1 true");
    assert!(listed.contains("[::]:8080"), "{listed}");
    for line in desk.idle("ls --format json")?.stdout.lines() {
        assert!(
            line.starts_with("{\"Allowed\":\"") && line.contains("\"Container\":\"") && line.ends_with('}'),
            "{line}"
        );
    }
    desk.lab.docker(&["rm", "-f", "hosty", "lodger", "homely", "bound"])?.require("docker rm").map(drop)
}

/// Engines up to 27 leave containers' own addresses to whoever is routed to them: `ls` says so where it is so.
fn addresses_left_open_are_listed(desk: &Desk) -> Result {
    let shown = desk.lab.docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web2"])?;
    let address: std::net::IpAddr = shown.require("docker inspect")?.trim().parse().expect("an address");
    let reached = |client| Ok::<_, lab::LabError>(desk.lab.tcp(client, address, 80)?.reached());
    let listed = |exposure: &str| {
        let listed = desk.idle("ls web2 --format {{.Published}}={{.Path}}={{.Exposed}}")?.stdout;
        Ok::<_, lab::LabError>(listed.contains(&format!("{address}=direct={exposure}")))
    };
    assert_eq!(listed("world")?, reached(Client::Stranger)?);
    desk.done("allow web2 --from 203.0.113.10")?;
    assert!(!listed("world")? && !reached(Client::Stranger)?);
    assert_eq!(listed("restricted")?, reached(Client::Friend)?);
    desk.done("rm 1").map(drop)
}

fn plans_write_nothing(desk: &Desk) -> Result {
    desk.done("allow web --from 203.0.113.10")?;
    assert_eq!(desk.idle("plan")?.code, 0);
    for line in ["allow web2 --from any --dry-run", "rm 1 --dry-run", "default closed --dry-run"] {
        let output = desk.idle(line)?;
        assert_eq!(output.code, 2, "{line}: {output:?}");
    }
    let text = desk.shell(&format!("cat {POLICY}"))?;
    let more = "\n[[rule]]\nverdict = \"deny\"\ntarget = \"web2\"\nfrom = \"203.0.113.66\"\n";
    desk.write("/tmp/policy.toml", &format!("{text}\n{more}"))?;
    assert_eq!(desk.idle("apply -f /tmp/policy.toml --dry-run")?.code, 2);
    desk.write("/tmp/slip.toml", &format!("{text}\n{more}").replace("web2", "webb"))?;
    desk.refused("apply -f /tmp/slip.toml", 1, &["rule 2 (line ", "no container is meant by webb; did you mean web?"])?;
    desk.done("apply -f /tmp/policy.toml")?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8090, "web2")?);
    assert_eq!(desk.shell(&format!("cmp /tmp/policy.toml {POLICY} && echo same"))?, "same");
    assert_eq!(desk.done("apply")?, "Nothing to do: 2 rules in force.");
    Ok(())
}

/// Docker's rules, a foreign set and foreign rules are what they were, byte for byte; `apply` brings ours back.
fn reset_leaves_what_is_not_ours(desk: &Desk) -> Result {
    desk.shell(
        "ipset create crowdsec hash:ip; ipset add crowdsec 192.0.2.66
         iptables -I DOCKER-USER -s 192.0.2.250 -j DROP
         iptables -A FORWARD -s 192.0.2.251 -m comment --comment 'mine it'\"'\"'s \"x\"' -j DROP
         ip6tables -I FORWARD -s 2001:db8::1 -j DROP",
    )?;
    let before = desk.world()?;
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    desk.done("allow web --from ipfriends")?;
    desk.done("deny web2 --from ipset:crowdsec")?;
    desk.only(8080, "web", true, false)?;
    let ours = desk.world()?;
    desk.done("reset --force")?;
    let left = desk.world()?;
    let kernel = |world: &desk::World| -> Vec<String> {
        world.0.iter().filter(|line| !line.contains("/etc/") && !line.contains("/var/lib/")).cloned().collect()
    };
    // A table that nobody had looked at before may now be listed, empty.
    let tables = |lines: Vec<String>| -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        for part in lines.split(|line| line == "COMMIT") {
            if part.iter().any(|line| line.starts_with("-A") || line.starts_with("create")) {
                kept.extend_from_slice(part);
            }
        }
        kept
    };
    assert_eq!(tables(kernel(&left)), tables(kernel(&before)));
    desk.only(8080, "web", true, true)?;
    assert_eq!(desk.done("reset --force")?, "Nothing to do: the kernel holds nothing of docker firewall.");
    // A member that no file has goes with its set, and is named for the last time.
    desk.done("apply")?;
    assert_eq!(desk.world()?.0.len(), ours.0.len());
    desk.only(8080, "web", true, false)?;
    desk.shell("ipset add ipfriends 198.51.100.9")?;
    let said = desk.told("reset --force")?;
    assert!(said.contains("in no file, and gone with it: 198.51.100.9"), "{said}");
    assert_eq!(desk.shell("ipset list -n")?.trim(), "crowdsec");
    desk.done("apply")?;
    desk.only(8080, "web", true, false)
}
