//! Everybody's rules, read as a whole, and packets that are followed through them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Instant;

use docker_firewall::effective::{
    Answer, Cause, Effort, Host, Kernel, Link, Listener, Lookup, Passage, Route, Segment, Start, inbound,
};
use docker_firewall::net::{Family, Protocol};
use docker_firewall::ruleset::{Ask, SetDirection, Target, WholeRule, WholeRuleset, parse_whole};
use proptest::prelude::*;

const SAVES: [&str; 6] = [
    include_str!("fixtures/engines/20.10.24/iptables-save.txt"),
    include_str!("fixtures/engines/26.1.5/iptables-save.txt"),
    include_str!("fixtures/engines/28.5.2/iptables-save.txt"),
    include_str!("fixtures/engines/28.5.2/ip6tables-save.txt"),
    include_str!("fixtures/engines/29-iptables/iptables-save.txt"),
    include_str!("fixtures/engines/29-iptables/ip6tables-save.txt"),
];
const SAVE: &str = SAVES[2];

/// Sets that hold what their names begin with.
struct Sets;

impl Lookup for Sets {
    fn holds(&self, name: &str, _: &[SetDirection], segment: &Segment) -> Option<bool> {
        match name {
            "all" => Some(true),
            "none" => Some(false),
            _ => name.parse().ok().map(|address: IpAddr| segment.source == address),
        }
    }
}

fn host() -> Host {
    let route = |block: &str, device: &str| Route { block: block.parse().unwrap(), device: Some(device.to_owned()) };
    Host {
        addresses: ["203.0.113.1", "172.17.0.1", "fd00:1::1", "fd00:30::1"].map(|own| own.parse().unwrap()).into(),
        routes: vec![
            route("203.0.113.0/24", "br-ext"),
            route("172.17.0.0/16", "docker0"),
            route("fd00:1::/64", "br-ext"),
            route("fd00:30::/64", "br-64f47a0aa2fb"),
        ],
        asks_back: BTreeMap::new(),
        forwards: Family::ALL.into(),
        bridges: BTreeSet::from(["docker0".to_owned(), "br-64f47a0aa2fb".to_owned()]),
        filters_bridges: BTreeSet::new(),
    }
}

fn follow(ruleset: WholeRuleset, from: &str, to: (&str, u16)) -> Passage {
    follow_at(&host(), ruleset, from, to)
}

fn follow_at(host: &Host, ruleset: WholeRuleset, from: &str, to: (&str, u16)) -> Passage {
    let source: IpAddr = from.parse().unwrap();
    let rulesets = BTreeMap::from([(Family::of(&source), ruleset)]);
    let proxy = |_, _, port| match port {
        8080 => Listener::Proxy { to: "172.17.0.2".parse().unwrap(), port: 80 },
        _ => Listener::Nobody,
    };
    let kernel =
        Kernel { rulesets: &rulesets, host, sets: &Sets, listeners: &proxy, unread: &[], effort: Effort::default() };
    let interface = Link::Named("br-ext".to_owned());
    inbound(&kernel, &Start { source, interface, protocol: Protocol::Tcp, to: (to.0.parse().unwrap(), to.1) })
}

/// Some rule that names an address, a port or an interface, or does not.
fn one_of_many() -> impl Strategy<Value = String> {
    let not = || prop::sample::select(vec!["", "", "! "]);
    let address = prop::sample::select(vec!["203.0.113.66/32", "172.17.0.2/32", "172.17.0.9/32", "172.17.0.0/16"]);
    let words = (not(), address, 0usize..7, prop::sample::select(vec![80_u16, 443, 8080, 40_000]));
    let target = prop::sample::select(vec!["ACCEPT", "DROP", "LOG", "LOG", "LOG"]);
    (words, target, prop::bool::weighted(0.1)).prop_map(|((not, address, kind, port), target, unsure)| {
        let condition = match kind {
            0 => format!("{not}-s {address} "),
            1 => format!("{not}-d {address} "),
            2 => format!("-s 172.17.0.2/32 -d {address} "),
            3 => format!("-p tcp -m tcp {not}--dport {port} "),
            4 => format!("{not}-i br-ext -p tcp -m tcp --sport {port} "),
            5 => format!("{not}-o docker0 "),
            _ => "-o br+ ".to_owned(),
        };
        let unsure = if unsure { "-m limit --limit 1/sec " } else { "" };
        format!("{condition}{unsure}-j {target}")
    })
}

/// The recorded rules with some of somebody's before those of a chain.
fn with(table: &str, rules: &[&str]) -> WholeRuleset {
    let mut added = String::new();
    for rule in rules {
        let _ = writeln!(added, "-A {rule}");
    }
    let mut text = String::new();
    let mut inside = false;
    for line in SAVE.lines() {
        inside = if line.starts_with('*') { line == format!("*{table}") } else { inside };
        // Before the first rule: they come first in their chains.
        if inside && (line.starts_with("-A") || line == "COMMIT") {
            text += &std::mem::take(&mut added);
        }
        let _ = writeln!(text, "{line}");
    }
    if !added.is_empty() {
        let _ = write!(
            text,
            "*{table}\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n{added}COMMIT\n"
        );
    }
    parse_whole(&text).unwrap()
}

fn answer(table: &str, rules: &[&str]) -> Answer {
    follow(with(table, rules), "203.0.113.66", ("203.0.113.1", 8080)).answer
}

#[test]
fn what_engines_write_is_understood() {
    for save in SAVES {
        for chain in parse_whole(save).unwrap().tables.values().flat_map(BTreeMap::values) {
            for rule in &chain.rules {
                let known = rule.conditions.iter().all(|condition| condition.ask != Ask::Unknown);
                assert!(known && rule.target != Target::Unknown, "{rule:?}");
            }
        }
    }
}

#[test]
fn a_packet_takes_dockers_ways() {
    let open = |from, to| follow(with("filter", &[]), from, to);
    let published = open("203.0.113.66", ("203.0.113.1", 8080));
    assert_eq!((published.answer, published.reached.1, published.proxied), (Answer::Allowed, 80, false));
    let direct = open("203.0.113.66", ("172.17.0.2", 80));
    assert!(matches!(&direct.cause, Cause::Rule(place) if place.table == "raw"), "{direct:?}");
    let other = open("203.0.113.66", ("203.0.113.1", 8081));
    assert_eq!(other.cause, Cause::Host("nothing listens on 203.0.113.1:8081/tcp".to_owned()));
    // From its own bridge no rule rewrites: docker-proxy takes it.
    let interface = Link::Named("docker0".to_owned());
    let rulesets = BTreeMap::from([(Family::V4, with("filter", &[]))]);
    let proxy = |_, _, _| Listener::Proxy { to: "172.17.0.2".parse().unwrap(), port: 80 };
    let host = host();
    let kernel = Kernel {
        rulesets: &rulesets,
        host: &host,
        sets: &Sets,
        listeners: &proxy,
        unread: &[],
        effort: Effort::default(),
    };
    let (source, to) = ("172.17.0.3".parse().unwrap(), ("203.0.113.1".parse().unwrap(), 8080));
    let near = inbound(&kernel, &Start { source, interface, protocol: Protocol::Tcp, to });
    assert_eq!((near.answer, near.proxied), (Answer::Allowed, true), "{near:?}");
}

#[test]
fn a_rule_that_may_match_makes_an_answer_unknown_only_if_it_decides() {
    use Answer::{Allowed, Denied, Unknown};
    let limited = "-m limit --limit 3/min";
    for (table, rules, expected) in [
        ("filter", vec![format!("FORWARD {limited} -j DROP")], Unknown),
        ("filter", vec![format!("FORWARD {limited} -j ACCEPT")], Allowed),
        ("filter", vec![format!("FORWARD {limited} -j LOG")], Allowed),
        ("filter", vec![format!("FORWARD {limited} -j ACCEPT"), "FORWARD -j DROP".to_owned()], Unknown),
        ("filter", vec![format!("FORWARD {limited} -j DROP"), "FORWARD -j DROP".to_owned()], Denied),
        ("filter", vec![format!("FORWARD -s 10.0.0.0/8 {limited} -j DROP")], Allowed),
        ("filter", vec![format!("FORWARD {limited} -s 10.0.0.0/8 -j DROP")], Allowed),
        ("filter", vec!["FORWARD -m frobnicate --colour blue -j DROP".to_owned()], Unknown),
        ("filter", vec!["FORWARD -j NFQUEUE --queue-num 0".to_owned()], Unknown),
        ("filter", vec![format!("DOCKER-USER {limited} -j RETURN"), "DOCKER-USER -j DROP".to_owned()], Unknown),
        ("filter", vec![format!("DOCKER-USER {limited} -j DOCKER-CT")], Allowed),
        ("filter", vec!["FORWARD -m set --match-set 203.0.113.66 src -j DROP".to_owned()], Denied),
        ("filter", vec!["FORWARD -i br-ext -m set ! --match-set 203.0.113.66 src -j DROP".to_owned()], Allowed),
        ("filter", vec!["FORWARD -m set --match-set nobody-knows src -j DROP".to_owned()], Unknown),
        (
            "filter",
            vec![
                "FORWARD -j SET --add-set all src".to_owned(),
                "FORWARD -m set --match-set all src -j DROP".to_owned(),
            ],
            Unknown,
        ),
        (
            "mangle",
            vec![
                "PREROUTING -j MARK --set-xmark 0x1/0x1".to_owned(),
                "FORWARD -m mark --mark 0x1/0x1 -j DROP".to_owned(),
            ],
            Denied,
        ),
        (
            "mangle",
            vec![
                format!("PREROUTING {limited} -j MARK --set-xmark 0x1/0x1"),
                "FORWARD -m mark --mark 0x1/0x1 -j DROP".to_owned(),
            ],
            Unknown,
        ),
        (
            "nat",
            vec![format!("PREROUTING {limited} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.9:80")],
            Unknown,
        ),
        ("nat", vec!["PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.1:80".to_owned()], Denied),
        ("raw", vec!["PREROUTING -s 203.0.113.66/32 -j DROP".to_owned()], Denied),
        // The answer counts too.
        ("filter", vec!["FORWARD -i docker0 -j DROP".to_owned()], Denied),
        ("raw", vec!["PREROUTING -i docker0 -j CT --notrack".to_owned()], Denied),
        // And so does what comes after it.
        ("filter", vec!["FORWARD -i br-ext -m conntrack --ctstate ESTABLISHED -j DROP".to_owned()], Denied),
        ("filter", vec!["FORWARD -i br-ext -p tcp -m tcp ! --tcp-flags SYN,ACK SYN -j DROP".to_owned()], Denied),
        (
            "filter",
            vec![
                "FORWARD -i br-ext -m conntrack --ctstate NEW -j ACCEPT".to_owned(),
                "FORWARD -i docker0 -j ACCEPT".to_owned(),
                "FORWARD -j DROP".to_owned(),
            ],
            Denied,
        ),
    ] {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        assert_eq!(answer(table, &rules), expected, "{table} {rules:?}");
    }
}

/// The tracker takes the data that a container sends for a new connection of its own, which Docker hides behind the host.
#[test]
fn a_connection_that_is_not_tracked_may_lose_its_name() {
    let untracked = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 203.0.113.66/32 -j CT --notrack\nCOMMIT\n";
    let hiding =
        "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\nCOMMIT\n";
    let to = |text: &str| follow(parse_whole(text).unwrap(), "203.0.113.66", ("172.17.0.2", 80));
    assert_eq!(to(untracked).answer, Answer::Allowed);
    assert_eq!(to(hiding).answer, Answer::Allowed);
    let lost = to(&format!("{untracked}{hiding}"));
    assert_eq!(lost.answer, Answer::Unknown);
    assert!(matches!(&lost.cause, Cause::Rule(place) if place.hook == "POSTROUTING"), "{lost:?}");
}

#[test]
fn routes_that_lead_nowhere_or_elsewhere_stop_packets() {
    let from = |host: &Host, from: &str| follow_at(host, with("filter", &[]), from, ("203.0.113.1", 8080)).answer;
    let mut host = host();
    assert_eq!(from(&host, "203.0.113.66"), Answer::Allowed);
    assert_eq!(from(&host, "198.51.100.7"), Answer::Denied, "no way back");
    host.routes.push(Route { block: "203.0.113.66/32".parse().unwrap(), device: None });
    assert_eq!(from(&host, "203.0.113.66"), Answer::Denied, "a blackhole");
    assert_eq!(from(&host, "203.0.113.67"), Answer::Allowed);
    host.routes.push(Route { block: "198.51.100.0/24".parse().unwrap(), device: Some("eth1".to_owned()) });
    assert_eq!(from(&host, "198.51.100.7"), Answer::Allowed, "answers go out elsewhere");
    host.asks_back.insert("br-ext".to_owned(), false);
    assert_eq!(from(&host, "198.51.100.7"), Answer::Allowed);
    host.asks_back.insert("br-ext".to_owned(), true);
    assert_eq!(from(&host, "198.51.100.7"), Answer::Denied, "rp_filter");
    assert_eq!(from(&host, "203.0.113.67"), Answer::Allowed);
}

#[test]
fn what_was_not_read_leaves_no_answer() {
    let rulesets = BTreeMap::from([(Family::V4, with("filter", &[]))]);
    let host = host();
    let nobody = |_, _, _| Listener::Nobody;
    let unread = ["the nftables table inet firewalld".to_owned()];
    let kernel = Kernel {
        rulesets: &rulesets,
        host: &host,
        sets: &Sets,
        listeners: &nobody,
        unread: &unread,
        effort: Effort::default(),
    };
    let answer = |to: &str, port| {
        let (source, interface) = ("203.0.113.66".parse().unwrap(), Link::Named("br-ext".to_owned()));
        inbound(&kernel, &Start { source, interface, protocol: Protocol::Tcp, to: (to.parse().unwrap(), port) }).answer
    };
    assert_eq!(answer("203.0.113.1", 8080), Answer::Unknown);
    assert_eq!(answer("203.0.113.1", 8081), Answer::Unknown);
    assert_eq!(answer("172.17.0.2", 80), Answer::Denied);
}

#[test]
fn loops_and_chasms_end() {
    let lines =
        "*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A B -j A\nCOMMIT\n";
    let ruleset = parse_whole(lines).unwrap();
    assert_eq!(follow(ruleset, "203.0.113.66", ("172.17.0.2", 80)).answer, Answer::Unknown);
}

#[test]
fn many_lines_take_their_time_and_no_more() {
    let mut text = String::from("*filter\n:FORWARD ACCEPT [0:0]\n");
    for number in 0_u32..700_000 {
        let [_, a, b, c] = number.to_be_bytes();
        let _ = writeln!(text, "-A FORWARD -s 10.{a}.{b}.{c}/32 -p tcp -m tcp --dport 443 -j DROP");
    }
    text.push_str("COMMIT\n");
    let start = Instant::now();
    let ruleset = parse_whole(&text).unwrap();
    let read = start.elapsed();
    assert_eq!(follow(ruleset, "203.0.113.66", ("172.17.0.2", 80)).answer, Answer::Allowed);
    println!("700,000 rules: read in {read:?}, followed in {:?}", start.elapsed().saturating_sub(read));
}

proptest! {
    #[test]
    fn nothing_breaks_the_reading(text in ".{0,300}") {
        let _ = parse_whole(&text);
        let _ = WholeRule::parse(&text);
        let _ = parse_whole(&format!("*filter\n:FORWARD DROP [0:0]\n-A FORWARD {text}\nCOMMIT\n"));
    }

    /// Cut, doubled or overwritten anywhere, a recorded dump is an error or a ruleset that can be followed.
    #[test]
    fn altered_dumps_are_followed_or_refused(
        save in prop::sample::select(&SAVES[..]),
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
        instead in "[ -~\n]{0,12}",
    ) {
        let mut text = save.to_owned();
        let from = at.index(text.len());
        let to = (from + length).min(text.len());
        text.replace_range(from..to, &instead);
        for text in [text.as_str(), &save[..from]] {
            if let Ok(ruleset) = parse_whole(text) {
                let v6 = save.contains("ip6tables");
                let (source, to) = if v6 { ("fd00:1::66", "fd00:1::1") } else { ("203.0.113.66", "203.0.113.1") };
                let _ = follow(ruleset, source, (to, 8080));
            }
        }
    }

    /// A long chain, in which rules are found by what they name, does what the same rules do in short ones, one after
    /// another.
    #[test]
    fn a_long_chain_does_what_short_ones_do(
        rules in prop::collection::vec(one_of_many(), 30..60),
        to in prop::sample::select(vec![("203.0.113.1", 8080), ("172.17.0.2", 80), ("172.17.0.9", 443)]),
    ) {
        let mut long = "*filter\n:FORWARD ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:ALL - [0:0]\n".to_owned();
        let mut short = long.clone();
        let parts = 0..rules.len().div_ceil(10);
        for part in parts.clone() {
            let _ = writeln!(short, ":P{part} - [0:0]");
        }
        long += "-A FORWARD -j ALL\n-A INPUT -j ALL\n";
        short += "-A FORWARD -j ALL\n-A INPUT -j ALL\n";
        for part in parts {
            let _ = writeln!(short, "-A ALL -j P{part}");
        }
        for (number, rule) in rules.iter().enumerate() {
            let _ = writeln!(long, "-A ALL {rule}");
            let _ = writeln!(short, "-A P{} {rule}", number / 10);
        }
        let [long, short] = [long, short].map(|text| parse_whole(&(text + "COMMIT\n")).unwrap());
        let answers = [long, short].map(|ruleset| follow(ruleset, "203.0.113.66", to).answer);
        prop_assert_eq!(answers[0], answers[1]);
    }

    /// A rule that nobody understands in the way of a packet is never passed over.
    #[test]
    fn what_is_not_understood_stays_unknown(module in "[a-z]{3,8}x", option in "[a-z-]{2,9}", value in "[a-z0-9]{1,6}") {
        let rule = format!("FORWARD -m {module} --{option} {value} -j DROP");
        prop_assert_eq!(answer("filter", &[&rule]), Answer::Unknown);
    }
}
