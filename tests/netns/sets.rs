//! Sets in the real kernel.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use docker_firewall::host::flavour::Kind;
use docker_firewall::host::kernel::{Kernel as _, KernelError};
use docker_firewall::host::membership::{KernelSets, Side};
use docker_firewall::host::tools::Tools;
use docker_firewall::net::{Family, Protocol};
use docker_firewall::ruleset::{
    Action, Chain, ConnDirection, ConnState, Counts, Dump, IpSet, Line, Match, Member, Outcome, Packet, Path, Rule,
    SetDirection, SetKind, Table, TableDump, Transport, parse_ipset_save, render_set_create, render_set_entry,
    render_set_key, trace,
};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::strategies;
use crate::world::{inside, kernel, run};

fn sample(count: usize) -> BTreeMap<String, IpSet> {
    let mut runner = TestRunner::deterministic();
    let strategy = strategies::set();
    (0..count).map(|index| (format!("set{index}"), strategy.new_tree(&mut runner).unwrap().current())).collect()
}

fn script(sets: &BTreeMap<String, IpSet>) -> String {
    let mut text = String::new();
    for (name, set) in sets {
        let _ = writeln!(text, "{}", render_set_create(name, &set.shape));
        for (entry, member) in &set.members {
            let _ = writeln!(text, "add {name} {}", render_set_entry(&entry, member));
        }
    }
    text
}

/// What `ipset save` prints, without the options that the kernel chooses, sorted as sets are not.
fn saved() -> Vec<String> {
    let mut lines: Vec<String> = run("ipset", &["save"])
        .lines()
        .map(|line| line.split(" bucketsize ").next().unwrap_or_default().replace(" packets 0 bytes 0", ""))
        .collect();
    lines.sort_unstable();
    lines
}

/// Timeouts in whole thousands of seconds: the clock moves between writing and reading, minutes on a busy machine.
fn rounded(line: &str) -> String {
    let mut out = String::new();
    let mut after_timeout = false;
    for word in line.split(' ') {
        match word.parse::<u32>() {
            Ok(seconds) if after_timeout && seconds > 0 => write!(out, "{} ", seconds / 1000).unwrap(),
            _ => write!(out, "{word} ").unwrap(),
        }
        after_timeout = word == "timeout";
    }
    out
}

#[test]
fn sets_are_saved_as_rendered() {
    inside("sets::sets_are_saved_as_rendered", || {
        let mut sets = sample(150);
        for set in sets.values_mut() {
            let rounded = set.members.iter().map(|(entry, member)| {
                // Just below a whole thousand, so that minutes may pass; see `rounded`.
                let timeout = member.timeout.map(|left| if left == 0 { 0 } else { left.max(2000) / 1000 * 1000 - 1 });
                (entry, Member { timeout, ..member.clone() })
            });
            set.members = rounded.collect();
        }
        let text = script(&sets);
        let mut kernel = kernel(Kind::Nft);
        kernel.restore_sets(&text).unwrap();
        let mut wanted: Vec<String> = text.lines().map(rounded).collect();
        wanted.sort_unstable();
        let mut found: Vec<String> = saved().iter().map(|line| rounded(line)).collect();
        found.sort_unstable();
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted);
        }
        let dump = kernel.observe(&|name| name != "set3").unwrap();
        assert_eq!(dump.sets.keys().collect::<Vec<_>>(), sets.keys().collect::<Vec<_>>());
        for (name, set) in &dump.sets {
            assert_eq!(set.shape, sets[name].shape, "{name}");
            let mut entries = set.members.keys();
            if name == "set3" {
                assert_eq!(entries.next(), None, "only its header was asked for");
            } else {
                assert!(entries.eq(sets[name].members.keys()), "{name}");
            }
        }
    });
}

#[test]
fn what_fails_names_its_line_and_keeps_the_lines_before() {
    inside("sets::what_fails_names_its_line_and_keeps_the_lines_before", || {
        let mut kernel = kernel(Kind::Nft);
        let mut text = String::from("create a hash:ip\nadd a 192.0.2.1\nadd a 192.0.2.1\n");
        // Far more than a pipe holds, none of which will be read.
        for number in 0..200_000_u32 {
            let _ = writeln!(text, "add a {}", std::net::Ipv4Addr::from_bits(number));
        }
        let error = kernel.restore_sets(&text).unwrap_err();
        assert!(
            matches!(&error, KernelError::Failed { line: Some((3, line)), .. } if line == "add a 192.0.2.1"),
            "{error}"
        );
        assert_eq!(kernel.observe(&|_| true).unwrap().sets["a"].members.len(), 1);
    });
}

#[test]
fn large_sets_pass_both_ways() {
    inside("sets::large_sets_pass_both_ways", || {
        let mut text = String::from("create a hash:ip maxelem 1000000\n");
        for number in 1..=100_000_u32 {
            let _ = writeln!(text, "add a {}", std::net::Ipv4Addr::from_bits(number));
        }
        let mut kernel = kernel(Kind::Nft);
        kernel.restore_sets(&text).unwrap();
        assert_eq!(kernel.observe(&|_| true).unwrap().sets["a"].members.len(), 100_000);
    });
}

#[test]
fn odd_names_are_read() {
    inside("sets::odd_names_are_read", || {
        for name in ["sp ace", "back\\slash", "a#b", "list of", "-x"] {
            run("ipset", &["create", name, "hash:ip"]);
            run("ipset", &["add", name, "192.0.2.1"]);
        }
        let dump = kernel(Kind::Nft).observe(&|name| name != "-x").unwrap();
        assert_eq!(dump.sets.len(), 5);
        for (name, set) in dump.sets {
            assert_eq!(set.members.len(), usize::from(name != "-x"), "{name}");
        }
    });
}

/// A packet whose source and destination say what `ipset test` says.
fn packet(address: IpAddr, second: Option<IpAddr>, port: Option<(Protocol, u16)>, interface: &str) -> Packet {
    Packet {
        path: Path::Forward,
        in_interface: interface.to_owned(),
        out_interface: String::new(),
        source: address,
        destination: second.unwrap_or(address),
        transport: port.map_or(Transport::Other, |(protocol, source)| Transport::Ports {
            protocol,
            source,
            destination: 1,
            syn: true,
        }),
        state: ConnState::New,
        direction: Some(ConnDirection::Original),
        published: None,
    }
}

/// One set, one chain that drops who is in it.
fn guard(name: &str, set: &IpSet, directions: Vec<SetDirection>) -> Dump {
    let rule = Rule::new([Match::Set { name: name.to_owned(), negated: false, directions }], Action::Drop);
    let line = Line { text: String::new(), rule: Some(rule), counts: Counts::default() };
    let chain = Chain { policy: None, lines: vec![line] };
    let table = TableDump { chains: [("X".to_owned(), chain)].into() };
    Dump {
        tables: [((set.shape.family, Table::Filter), table)].into(),
        sets: [(name.to_owned(), set.clone())].into(),
        ..Dump::default()
    }
}

#[test]
fn membership_is_what_the_kernel_says() {
    use SetDirection::{Dst, Src};

    inside("sets::membership_is_what_the_kernel_says", || {
        // Blocks within blocks, and exceptions from them.
        let text = "create net hash:net\nadd net 10.0.0.0/8\nadd net 10.1.0.0/16 nomatch\nadd net 10.1.2.0/24\n\
                    add net 10.1.2.3 nomatch\ncreate ipn hash:ip,port,net\nadd ipn 10.0.0.1,tcp:80,10.0.0.0/8\n\
                    add ipn 10.0.0.1,tcp:80,10.1.0.0/16 nomatch\nadd ipn 10.0.0.1,udp:80,10.1.0.0/16\n\
                    create netp hash:net,port\nadd netp 10.0.0.0/8,tcp:80\nadd netp 10.1.0.0/16,tcp:80 nomatch\n\
                    add netp 10.1.0.0/16,udp:80\ncreate ni hash:net,iface\nadd ni 0.0.0.0/0,eth0\n\
                    add ni 10.0.0.0/8,eth0 nomatch\nadd ni 10.0.0.0/8,br0\nadd ni 10.1.0.0/16,eth0\n\
                    create ip hash:ip timeout 600\nadd ip 10.0.0.1\nadd ip 10.1.2.3\n\
                    create ipp hash:ip,port\nadd ipp 10.0.0.1,tcp:80\nadd ipp 10.1.2.3,udp:80\n";
        let mut kernel = kernel(Kind::Nft);
        kernel.restore_sets(text).unwrap();
        let dump = kernel.observe(&|_| true).unwrap();
        let tools = Tools::from_env();
        let addresses = ["10.0.0.1", "10.1.0.1", "10.1.2.1", "10.1.2.3", "11.0.0.1"];
        let mut asked = 0;
        for (name, set) in &dump.sets {
            for (first, second) in addresses.iter().flat_map(|first| addresses.map(|second| (*first, second))) {
                for (protocol, link) in [(Protocol::Tcp, "eth0"), (Protocol::Udp, "br0"), (Protocol::Sctp, "eth1")] {
                    let (a, b): (IpAddr, IpAddr) = (first.parse().unwrap(), second.parse().unwrap());
                    let port = (protocol, 80);
                    let (key, directions) = match set.shape.kind {
                        SetKind::Ip | SetKind::Net => (first.to_owned(), vec![Src]),
                        SetKind::IpPort | SetKind::NetPort => (format!("{first},{protocol}:80"), vec![Src, Src]),
                        SetKind::IpPortNet => (format!("{first},{protocol}:80,{second}"), vec![Src, Src, Dst]),
                        SetKind::NetIface => (format!("{first},{link}"), vec![Src, Src]),
                        SetKind::Other(_) => unreachable!(),
                    };
                    let real = tools.run("ipset", &["test", name, &key], "").unwrap().unwrap().success;
                    let packet = packet(a, Some(b), Some(port), link);
                    let traced = trace(&guard(name, set, directions), Family::V4, Table::Filter, "X", &packet);
                    assert_eq!(traced.outcome == Outcome::Drop, real, "{name} {key}");
                    asked += 1;
                }
            }
        }
        assert_eq!(asked, 6 * 25 * 3);
    });
}

#[test]
fn keys_delete_what_they_name() {
    inside("sets::keys_delete_what_they_name", || {
        let sets = sample(40);
        let mut text = script(&sets);
        for (name, set) in &sets {
            for entry in set.members.keys() {
                let _ = writeln!(text, "del {name} {}", render_set_key(&entry));
            }
        }
        let mut kernel = kernel(Kind::Nft);
        kernel.restore_sets(&text).unwrap();
        assert!(kernel.observe(&|_| true).unwrap().sets.values().all(|set| set.members.is_empty()));
    });
}

/// Asked over netlink, the kernel says what `ipset test` says.
#[test]
fn membership_is_asked_without_a_process() {
    inside("sets::membership_is_asked_without_a_process", || {
        let script = "create four hash:ip\nadd four 192.0.2.1\ncreate six hash:net family inet6\nadd six fd00:1::/64\n\
                      create blocks hash:net\nadd blocks 10.0.0.0/8\nadd blocks 10.9.0.0/16 nomatch\n\
                      create pairs hash:ip,port\nadd pairs 192.0.2.1,udp:53\n\
                      create triples hash:ip,port,net\nadd triples 192.0.2.2,tcp:80,10.0.0.0/8\n\
                      create links hash:net,iface\nadd links 192.0.2.0/24,eth0\n\
                      create ports bitmap:port range 1-100\nadd ports 80\ncreate lists list:set\nadd lists four\n\
                      create none hash:ip\n";
        crate::world::run_with("ipset", &["restore"], script);
        let sets = KernelSets::open().unwrap();
        let side = |address: &str, port| Side { address: address.parse().unwrap(), port, interface: Some("eth0") };
        let (src, dst) = (SetDirection::Src, SetDirection::Dst);
        let asked = |name: &str, directions: &[SetDirection], protocol, from: &str, to: &str, port| {
            sets.holds(name, directions, protocol, (side(from, None), side(to, port)))
        };
        let tcp = |name: &str, directions: &[SetDirection], from: &str, to: &str| {
            asked(name, directions, Protocol::Tcp, from, to, Some(80))
        };
        for (name, directions, from, to, expected) in [
            ("four", &[src][..], "192.0.2.1", "192.0.2.9", Some(true)),
            ("four", &[dst], "192.0.2.1", "192.0.2.9", Some(false)),
            ("four", &[src], "fd00:1::1", "fd00:1::2", Some(false)),
            ("six", &[src], "fd00:1::1", "fd00:2::2", Some(true)),
            ("six", &[dst], "fd00:1::1", "fd00:2::2", Some(false)),
            ("blocks", &[src], "10.1.2.3", "192.0.2.9", Some(true)),
            ("blocks", &[src], "10.9.2.3", "192.0.2.9", Some(false)),
            ("triples", &[dst, dst, src], "10.1.2.3", "192.0.2.2", Some(true)),
            ("triples", &[dst, dst, src], "11.1.2.3", "192.0.2.2", Some(false)),
            ("links", &[src, src], "192.0.2.77", "10.0.0.1", Some(true)),
            ("links", &[src, src], "192.0.3.77", "10.0.0.1", Some(false)),
            ("ports", &[dst], "192.0.2.1", "192.0.2.2", Some(true)),
            ("ports", &[src], "192.0.2.1", "192.0.2.2", None),
            ("lists", &[src], "192.0.2.1", "192.0.2.2", None),
            ("nosuch", &[src], "192.0.2.1", "192.0.2.2", None),
        ] {
            // A second time, from memory.
            for _ in 0..2 {
                assert_eq!(tcp(name, directions, from, to), expected, "{name} {directions:?} {from} {to}");
            }
        }
        let pair = |protocol, port| asked("pairs", &[dst, dst], protocol, "10.0.0.1", "192.0.2.1", Some(port));
        assert_eq!(
            [pair(Protocol::Udp, 53), pair(Protocol::Tcp, 53), pair(Protocol::Udp, 54)],
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!(sets.somebody_in("four"), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(sets.somebody_in("six"), Some("fd00:1::".parse().unwrap()));
        assert_eq!((sets.somebody_in("none"), sets.somebody_in("nosuch")), (None, None));
    });
}

/// More than a message takes, of every sort that goes in bulk, and the lines around it that do not.
#[test]
fn members_in_bulk_are_what_ipset_makes_of_them() {
    inside("sets::members_in_bulk_are_what_ipset_makes_of_them", || {
        let mut text = String::new();
        let mut tails = ["", " timeout 4999", " nomatch", " comment \"the \u{fc} office\"", " timeout 0 comment \"x\""]
            .iter()
            .cycle();
        let mut next = || *tails.next().unwrap();
        for (name, family) in [("a", "inet"), ("b", "inet6")] {
            let _ = writeln!(text, "create {name} hash:net family {family} timeout 0 comment");
            let _ = writeln!(text, "add {name} {}", if family == "inet" { "10.1.0.0/16" } else { "2001:db8::/32" });
            for number in 0..6000_u32 {
                let _ = match family {
                    "inet" => writeln!(text, "add {name} {}{}", std::net::Ipv4Addr::from_bits(number << 8 | 1), next()),
                    _ => writeln!(text, "add {name} 2001:db9:{number:x}::/48{}", next()),
                };
            }
            for number in 0..500_u32 {
                let _ = writeln!(
                    text,
                    "del {name} {}",
                    match family {
                        "inet" => std::net::Ipv4Addr::from_bits(number << 8 | 1).to_string(),
                        _ => format!("2001:db9:{number:x}::/48"),
                    }
                );
            }
        }
        let _ = writeln!(text, "create c hash:ip\ncreate d hash:ip,port\nadd d 192.0.2.1,tcp:80");
        for number in 0..200_u32 {
            let _ = writeln!(text, "add c {}/29", std::net::Ipv4Addr::from_bits((number + 1) << 16));
        }
        let _ = writeln!(text, "swap a a2\nadd d 192.0.2.1,tcp:81");
        let text = format!("create a2 hash:net timeout 0 comment\n{text}");
        let sorted = |text: &str| {
            // A table grows when one bucket of it is full, so its size is up to a seed of the kernel's.
            let sizeless = |line: &str| {
                let line = line.split(" bucketsize ").next().unwrap();
                let size = line.split_once(" hashsize ").and_then(|(_, rest)| rest.split(' ').next());
                size.map_or(line.to_owned(), |size| line.replacen(&format!(" hashsize {size}"), "", 1))
            };
            let mut lines: Vec<String> = text.lines().map(|line| rounded(&sizeless(line))).collect();
            lines.sort_unstable();
            lines
        };
        kernel(Kind::Nft).restore_sets(&text).unwrap();
        let ours = sorted(&run("ipset", &["save"]));
        run("ipset", &["destroy"]);
        // In short pieces nothing goes in bulk.
        for line in text.lines().collect::<Vec<_>>().chunks(60) {
            kernel(Kind::Nft).restore_sets(&(line.join("\n") + "\n")).unwrap();
        }
        let save = run("ipset", &["save"]);
        assert_eq!(ours, sorted(&save));
        // Listed in bulk as well.
        let (listed, printed) = (kernel(Kind::Nft).observe(&|_| true).unwrap().sets, parse_ipset_save(&save).unwrap());
        for (name, set) in &listed {
            assert!(set.members.keys().eq(printed[name].members.keys()), "{name}");
            for (ours, theirs) in set.members.values().zip(printed[name].members.values()) {
                assert_eq!((&ours.comment, ours.nomatch), (&theirs.comment, theirs.nomatch), "{name}");
                let (ours, theirs) = (ours.timeout.map(i64::from), theirs.timeout.map(i64::from));
                let left = |timeout| timeout >= Some(4000);
                assert!(ours == theirs || (left(ours) && left(theirs)), "{name}: {ours:?} {theirs:?}");
            }
        }
        assert_eq!(ours.len(), 4 + 2 * (1 + 5500) + 200 * 8 + 2 + 1);
    });
}

#[test]
fn a_refused_line_of_a_bulk_is_named_in_ipsets_words() {
    inside("sets::a_refused_line_of_a_bulk_is_named_in_ipsets_words", || {
        let fill = |create: &str, bad: &str, tail: &str| {
            let mut text = format!("{create}\n");
            for number in 1..=5000_u32 {
                let _ = match number {
                    4321 => writeln!(text, "add a {bad}{tail}"),
                    _ => writeln!(text, "add a {}{tail}", std::net::Ipv4Addr::from_bits(number << 8)),
                };
            }
            text
        };
        let held = |name: &str| kernel(Kind::Nft).observe(&|_| true).unwrap().sets[name].members.len();
        for (create, bad, words, line, kept) in [
            ("create a hash:ip", "0.0.1.0", "already added", 4322, 4320),
            (
                "create a hash:net",
                "0.0.0.0/0",
                "The value of the CIDR parameter of the IP address is invalid",
                4322,
                4320,
            ),
            ("create a hash:ip", "2001:db8::1", "", 4322, 4320),
            ("create a hash:ip", "192.0.2.1 timeout 5", "created without timeout support", 4322, 4320),
            ("create a hash:ip maxelem 1000", "192.0.2.1", "Hash is full", 1002, 1000),
        ] {
            let error = kernel(Kind::Nft).restore_sets(&fill(create, bad, "")).unwrap_err();
            let KernelError::Failed { stderr, line: Some((number, text)), .. } = &error else { panic!("{error}") };
            assert!(stderr.contains(words) && stderr.contains(&format!("line {line}:")), "{error}");
            assert_eq!((*number, text.starts_with("add a ")), (line, true), "{error}");
            assert_eq!(held("a"), kept, "{error}");
            run("ipset", &["destroy", "a"]);
        }
        // Where it may be there already, nothing is wrong.
        kernel(Kind::Nft).restore_sets(&fill("create a hash:ip", "0.0.1.0", " -exist")).unwrap();
        assert_eq!(held("a"), 4999);
        run("ipset", &["destroy", "a"]);
        let error = kernel(Kind::Nft).restore_sets(&fill("create b hash:ip", "192.0.2.1", "")).unwrap_err();
        assert!(matches!(&error, KernelError::Failed { line: Some((2, _)), .. }), "{error}");
        assert!(error.to_string().contains("does not exist"), "{error}");
        run("ipset", &["destroy", "b"]);
    });
}
