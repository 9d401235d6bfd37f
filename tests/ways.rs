//! Ways into containers, read off the policy, the engine and the kernel: the rows of `ls`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use docker_firewall::access::{Exposure, View, Way, pending_ways, ways};
use docker_firewall::inventory::{Binding, Container, Endpoint, Inventory, Network, NetworkMode};
use docker_firewall::net::{Family, Protocol, parse_ports};
use docker_firewall::policy::{Policy, Ports, Rule, RuleSource, Verdict};
use docker_firewall::ruleset::{Dump, parse_iptables_save};
use jiff::Timestamp;

fn container(name: &str, last: u8, host: &[&str]) -> Container {
    let binding = |address: &&str| Binding {
        protocol: Protocol::Tcp,
        container_port: 80,
        host_address: address.parse().unwrap(),
        host_port: Some(8080),
    };
    Container {
        id: format!("{last:0>64}"),
        name: name.to_owned(),
        labels: BTreeMap::from([("tier".to_owned(), "front".to_owned())]),
        running: true,
        mode: NetworkMode::Own,
        endpoints: vec![Endpoint { network: "n".to_owned(), v4: Some([172, 17, 0, last].into()), v6: None }],
        bindings: host.iter().map(binding).collect(),
        sandbox: None,
    }
}

fn inventory(containers: Vec<Container>) -> Inventory {
    let network = Network {
        id: "n".to_owned(),
        name: "bridge".to_owned(),
        driver: "bridge".to_owned(),
        bridge: Some("docker0".to_owned()),
        subnets: vec!["172.17.0.0/16".parse().unwrap()],
        gateways: Vec::new(),
        internal: false,
        parent: None,
        mode: None,
    };
    Inventory { containers, networks: vec![network], ..Inventory::default() }
}

fn rule(verdict: Verdict, target: &str, source: &str, port: Option<&str>) -> Rule {
    Rule {
        verdict,
        targets: vec![target.parse().unwrap()],
        ports: Ports { container: port.map(|port| parse_ports(port).unwrap()), published: None },
        sources: vec![RuleSource::parse(source).unwrap().0],
        interface: None,
        expires: None,
        comment: None,
        pending: true,
        log: false,
        line: None,
    }
}

fn kernel(forward: &str, rules: &str) -> Dump {
    let text = format!("*filter\n:FORWARD {forward} [0:0]\n:DOCKER - [0:0]\n{rules}COMMIT\n");
    Dump { tables: parse_iptables_save(Family::V4, &text).unwrap(), ..Dump::default() }
}

fn said(ways: &[Way]) -> Vec<String> {
    let row = |way: &Way| {
        let rules: Vec<String> = way.rules.iter().map(ToString::to_string).collect();
        let cells = [&way.to.name, &way.published, &way.port, &way.road.to_string(), &way.from, way.exposure.name()]
            .map(str::to_owned)
            .into_iter()
            .chain([rules.join(",")])
            .filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().join(" | ")
    };
    ways.iter().map(row).collect()
}

fn all(policy: &Policy, inventory: &Inventory, kernel: Option<&Dump>, differs: bool) -> Vec<String> {
    let view = View::new((policy, inventory), kernel, differs, Timestamp::UNIX_EPOCH);
    let containers: Vec<&Container> = inventory.containers.iter().collect();
    let mut found = ways(&view, &containers);
    found.extend(pending_ways(&view, &[]));
    said(&found)
}

const PUBLISHED: &str = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n";
const LAST: &str = "-A DOCKER ! -i docker0 -o docker0 -j DROP\n";

#[test]
fn the_kernel_says_which_way_leads_through_docker_proxy() {
    let world = inventory(vec![container("web", 2, &["0.0.0.0", "::", "127.0.0.1"])]);
    let policy = Policy::default();
    let closed = kernel("DROP", &[PUBLISHED, LAST].concat());
    let usual = [
        "web | 0.0.0.0:8080 | 80/tcp | dnat | everyone | world",
        "web | 127.0.0.1:8080 | 80/tcp | dnat | host only | closed",
        "web | [::]:8080 | 80/tcp | proxy | everyone | world",
    ];
    assert_eq!(all(&policy, &world, Some(&closed), false), usual);
    // Without a look at the kernel the engine's usual ways.
    assert_eq!(all(&policy, &world, None, false), usual);
    // With iptables=false, docker-proxy has them all, and the address itself is open.
    let bare = kernel("ACCEPT", "");
    assert_eq!(
        all(&policy, &world, Some(&bare), false),
        [
            "web | 0.0.0.0:8080 | 80/tcp | proxy | everyone | world",
            "web | 127.0.0.1:8080 | 80/tcp | proxy | host only | closed",
            "web | [::]:8080 | 80/tcp | proxy | everyone | world",
            "web | 172.17.0.2 | all | direct | everyone (routed to it) | world",
        ]
    );
}

#[test]
fn an_address_that_the_engine_leaves_open_is_a_way() {
    let world = inventory(vec![container("web", 2, &[])]);
    let open = Policy::default();
    let direct = ["web | 172.17.0.2 | all | direct | everyone (routed to it) | world"];
    assert_eq!(all(&open, &world, Some(&kernel("ACCEPT", PUBLISHED)), false), direct);
    for closed in [kernel("DROP", PUBLISHED), kernel("ACCEPT", &[PUBLISHED, LAST].concat())] {
        assert_eq!(all(&open, &world, Some(&closed), false), Vec::<String>::new());
    }
    let guarded = Policy { rules: vec![rule(Verdict::Allow, "web", "192.0.2.1", None)], ..Policy::default() };
    let rows = all(&guarded, &world, Some(&kernel("ACCEPT", PUBLISHED)), false);
    assert_eq!(rows[1], "web | 172.17.0.2 | all | direct | 192.0.2.1 (routed to it) | restricted | 1");
    let rows = all(&guarded, &world, Some(&kernel("DROP", PUBLISHED)), false);
    assert_eq!(rows, ["web | no published port | closed | 1"]);
    let one_port = Policy { rules: vec![rule(Verdict::Allow, "web", "any", Some("443"))], ..Policy::default() };
    let rows = all(&one_port, &world, Some(&kernel("ACCEPT", PUBLISHED)), false);
    assert_eq!(rows[1..], ["web | 172.17.0.2 | 443/tcp | direct | everyone (routed to it) | world | 1"]);
    let denied = Policy { rules: vec![rule(Verdict::Deny, "web", "192.0.2.1", None)], ..Policy::default() };
    let rows = all(&denied, &world, Some(&kernel("ACCEPT", PUBLISHED)), false);
    assert_eq!(rows[1], "web | 172.17.0.2 | all | direct | everyone except 192.0.2.1 (routed to it) | world | 1");
}

#[test]
fn never_less_is_said_than_what_is_open() {
    let world = inventory(vec![container("web", 2, &["0.0.0.0"])]);
    let policy = Policy { rules: vec![rule(Verdict::Allow, "web", "192.0.2.1", None)], ..Policy::default() };
    assert_eq!(
        all(&policy, &world, Some(&kernel("DROP", PUBLISHED)), false),
        ["web | 0.0.0.0:8080 | 80/tcp | dnat | 192.0.2.1 | restricted | 1"]
    );
    // The rules are not in the kernel: whoever Docker lets in comes in.
    assert_eq!(
        all(&policy, &world, Some(&kernel("ACCEPT", PUBLISHED)), true),
        [
            "web | 0.0.0.0:8080 | 80/tcp | dnat | everyone | world | 1",
            "web | 172.17.0.2 | all | direct | everyone (routed to it) | world | 1",
        ]
    );
}

#[test]
fn those_that_rest_and_those_yet_to_come_have_rows() {
    let stopped = Container { running: false, ..container("old", 3, &["0.0.0.0"]) };
    let host = Container { mode: NetworkMode::Host, endpoints: Vec::new(), ..container("hosty", 4, &[]) };
    let lodger = Container {
        mode: NetworkMode::Container("hosty".to_owned()),
        endpoints: Vec::new(),
        ..container("lodger", 5, &[])
    };
    let world = inventory(vec![host, lodger, stopped]);
    let rules = vec![
        rule(Verdict::Allow, "old", "192.0.2.1", None),
        rule(Verdict::Allow, "hosty", "192.0.2.1", Some("9100")),
        rule(Verdict::Allow, "later", "192.0.2.1", None),
        rule(Verdict::Deny, "later", "192.0.2.2", None),
        rule(Verdict::Deny, "*", "192.0.2.3", None),
    ];
    let policy = Policy { rules, ..Policy::default() };
    assert_eq!(
        all(&policy, &world, None, false),
        [
            "hosty | host 0.0.0.0:9100 | 9100/tcp | host | 192.0.2.1 except 192.0.2.3 | restricted | 2,5",
            "hosty | host [::]:9100 | 9100/tcp | host | 192.0.2.1 except 192.0.2.3 | restricted | 2,5",
            "hosty | host network | all others | host | everyone (not guarded) | world",
            "lodger | network of hosty | shared | as hosty | world | 2,5",
            "old | nobody (stopped) | closed | 1,5",
            "later | nobody (no such container yet) | closed | 3,4",
        ]
    );
    assert!(Exposure::World > Exposure::Restricted && Exposure::Restricted > Exposure::Closed);
}
