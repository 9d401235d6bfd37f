//! Ways into containers, read off the policy and the engine, and tried in the kernel: the rows of `ls`.

#![allow(clippy::unwrap_used, reason = "a test")]

mod onlooker;

use std::collections::BTreeMap;
use std::net::IpAddr;

use docker_firewall::access::{Exposure, Onlooker, Stranger, View, Way, pending_ways, ways};
use docker_firewall::effective::{Host, Listener, Lookup, Memo, Route, Segment};
use docker_firewall::inventory::{Binding, Container, Endpoint, Inventory, Network, NetworkMode};
use docker_firewall::net::{Family, Protocol, parse_ports};
use docker_firewall::policy::{Policy, Ports, Rule, RuleSource, Verdict};
use docker_firewall::ruleset::{SetDirection, WholeRuleset, parse_whole};
use jiff::Timestamp;
use onlooker::Looker;

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
        labels: [("tier".to_owned(), "front".to_owned())].into_iter().collect(),
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

/// Docker's rules for a published port and what follows, as 28.5 writes them, behind rules of somebody's.
fn kernel(forward: &str, nat: &str, rules: &str) -> Looker<'static> {
    let text = format!(
        "*nat\n:PREROUTING ACCEPT [0:0]\n{nat}COMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {forward} [0:0]\n\
         :DOCKER - [0:0]\n{rules}-A FORWARD -o docker0 -j DOCKER\n-A FORWARD -i docker0 -j ACCEPT\nCOMMIT\n"
    );
    let ruleset = parse_whole(&text).unwrap();
    let route = |block: &str, device: &str| Route { block: block.parse().unwrap(), device: Some(device.to_owned()) };
    let host: IpAddr = "203.0.113.1".parse().unwrap();
    let v6: IpAddr = "fd00:1::1".parse().unwrap();
    let stranger = |address: &str| Stranger { address: address.parse().unwrap(), interface: "eth0".to_owned() };
    Looker {
        rulesets: BTreeMap::from([(Family::V4, ruleset), (Family::V6, WholeRuleset::default())]),
        host: Host {
            addresses: [host, v6, "172.17.0.1".parse().unwrap()].into(),
            routes: vec![
                route("0.0.0.0/0", "eth0"),
                route("203.0.113.0/24", "eth0"),
                route("::/0", "eth0"),
                route("172.17.0.0/16", "docker0"),
            ],
            forwards: Family::ALL.into(),
            bridges: ["docker0".to_owned()].into(),
            ..Host::default()
        },
        sets: &Nothing,
        strangers: BTreeMap::from([
            (Family::V4, vec![stranger("198.18.0.1")]),
            (Family::V6, vec![stranger("2001:2::1")]),
        ]),
        called: BTreeMap::from([(Family::V4, vec![host]), (Family::V6, vec![v6])]),
        standing: BTreeMap::new(),
        listener: Listener::Proxy { to: "172.17.0.2".parse().unwrap(), port: 80 },
        unread: Vec::new(),
        memo: Memo::default(),
    }
}

/// A kernel without sets.
struct Nothing;

impl Lookup for Nothing {
    fn holds(&self, _: &str, _: &[SetDirection], _: &Segment) -> Option<bool> {
        Some(false)
    }
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

fn found(policy: &Policy, inventory: &Inventory, kernel: Option<&Looker<'_>>) -> Vec<Way> {
    let onlooker = kernel.map(|kernel| kernel as &dyn Onlooker);
    let view = View { policy, inventory, onlooker, now: Timestamp::UNIX_EPOCH };
    let containers: Vec<&Container> = inventory.containers.iter().collect();
    let mut found = ways(&view, &containers);
    found.extend(pending_ways(&view, &[]));
    found
}

fn all(policy: &Policy, inventory: &Inventory, kernel: Option<&Looker<'_>>) -> Vec<String> {
    said(&found(policy, inventory, kernel))
}

const DNAT: &str = "-A PREROUTING ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n";
const PUBLISHED: &str = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n";
const LAST: &str = "-A DOCKER ! -i docker0 -o docker0 -j DROP\n";
const ANSWERS: &str = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";

#[test]
fn the_kernel_says_which_way_leads_through_docker_proxy() {
    let world = inventory(vec![container("web", 2, &["0.0.0.0", "::", "127.0.0.1"])]);
    let policy = Policy::default();
    let usual = [
        "web | 0.0.0.0:8080 | 80/tcp | dnat | everyone | world",
        "web | 127.0.0.1:8080 | 80/tcp | dnat | host only | closed",
        "web | [::]:8080 | 80/tcp | proxy | everyone | world",
    ];
    // Without a look at the kernel the engine's usual ways.
    assert_eq!(all(&policy, &world, None), usual);
    let closed = kernel("DROP", DNAT, &[ANSWERS, PUBLISHED, LAST].concat());
    let direct = "web | 172.17.0.2 | 80/tcp | direct | everyone (routed to it) | world";
    let rows = all(&policy, &world, Some(&closed));
    assert_eq!((&rows[..3], rows[3..].join("\n").as_str()), (&usual.map(str::to_owned)[..], direct));
    // With iptables=false, docker-proxy has them all, and the address itself is open.
    assert_eq!(
        all(&policy, &world, Some(&kernel("ACCEPT", "", ""))),
        [
            "web | 0.0.0.0:8080 | 80/tcp | proxy | everyone | world",
            "web | 127.0.0.1:8080 | 80/tcp | dnat | host only | closed",
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
    assert_eq!(all(&open, &world, Some(&kernel("ACCEPT", "", ""))), direct);
    for closed in [kernel("DROP", "", ""), kernel("ACCEPT", "", LAST)] {
        assert_eq!(all(&open, &world, Some(&closed)), Vec::<String>::new());
    }
}

#[test]
fn what_the_kernel_does_is_said_and_what_it_should_do_beside_it() {
    let world = inventory(vec![container("web", 2, &["0.0.0.0"])]);
    let policy = Policy { rules: vec![rule(Verdict::Allow, "web", "192.0.2.1", None)], ..Policy::default() };
    let docker = [ANSWERS, PUBLISHED, LAST].concat();
    let row = |first: &str| {
        let kernel = kernel("DROP", DNAT, &format!("{first}{docker}"));
        let way = found(&policy, &world, Some(&kernel)).swap_remove(0);
        (way.told(), way.exposure.name(), way.because)
    };
    let guarded = "-A FORWARD -o docker0 -p tcp -m tcp ! --dport 22 ! -s 192.0.2.1/32 -j DROP\n";
    assert_eq!(row(guarded), ("192.0.2.1".to_owned(), "restricted", String::new()));
    // The rules are not in the kernel: whoever Docker lets in comes in.
    let (said, exposure, because) = row("");
    assert_eq!((said.as_str(), exposure), ("everyone (policy: 192.0.2.1)", "world"));
    assert!(because.contains("-j ACCEPT"), "{because}");
    // Somebody else's rules before ours let one more in, or nobody, or nobody knows.
    let more = format!("-A FORWARD -s 198.51.100.7/32 -j ACCEPT\n{guarded}");
    assert_eq!(row(&more).0, "192.0.2.1, 198.51.100.7/32 (policy: 192.0.2.1)");
    assert_eq!(row("-A FORWARD -i eth0 -j DROP\n").0, "nobody (policy: 192.0.2.1)");
    let (said, exposure, because) = row(&format!("-A FORWARD -m frobnicate --blue -j ACCEPT\n{guarded}"));
    assert_eq!(because, "iptables -t filter, FORWARD rule 1: -m frobnicate --blue -j ACCEPT");
    assert_eq!((said, exposure), (format!("unknown (because of: {because}) (policy: 192.0.2.1)"), "world"));
    // What only drops takes nothing from who is not spoken of.
    let banned = format!("-A FORWARD -s 192.0.2.1/32 -j DROP\n{guarded}");
    assert_eq!(row(&banned).0, "nobody (policy: 192.0.2.1)");
    let mut kernel = kernel("DROP", DNAT, &format!("{guarded}{docker}"));
    kernel.unread.push("the nftables table inet firewalld".to_owned());
    let way = found(&policy, &world, Some(&kernel)).swap_remove(0);
    let told = "unknown (because of: the nftables table inet firewalld is in the kernel too and was not read)";
    assert_eq!((way.from.as_str(), way.exposure.name()), (told, "restricted"));
}

#[test]
fn whom_others_keep_out_is_left_out() {
    let world = inventory(vec![container("web", 2, &["0.0.0.0"])]);
    let docker = [ANSWERS, PUBLISHED, LAST].concat();
    let policy = Policy::default();
    let banned = kernel("DROP", DNAT, &format!("-A FORWARD -s 192.0.2.0/24 -j DROP\n{docker}"));
    let way = found(&policy, &world, Some(&banned)).swap_remove(0);
    assert_eq!(
        (way.told().as_str(), way.exposure.name()),
        ("everyone except 192.0.2.0/24 (policy: everyone)", "world")
    );
    // Which is no different from what a rule of ours says.
    let policy = Policy { rules: vec![rule(Verdict::Deny, "web", "192.0.2.0/24", None)], ..Policy::default() };
    let way = found(&policy, &world, Some(&banned)).swap_remove(0);
    assert_eq!((way.told().as_str(), way.intended), ("everyone except 192.0.2.0/24", None));
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
        all(&policy, &world, None),
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
