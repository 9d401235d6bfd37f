//! Text of rules and sets: what is rendered is read back, and nothing that a tool may print breaks the reading.

#![allow(clippy::unwrap_used)]

mod strategies;

use std::fmt::Write as _;

use docker_firewall::net::Family;
use docker_firewall::ruleset::{
    Action, Match, SetEntry, SetKind, Table, parse_ipset_list_terse, parse_ipset_save, parse_iptables_save, parse_rule,
    render_rule, render_set_create, render_set_entry, tracks_connections,
};
use proptest::prelude::*;
use proptest::sample::select;

const ENGINES: [(&str, Family, &str); 6] = [
    ("20.10", Family::V4, include_str!("fixtures/engines/20.10.24/iptables-save.txt")),
    ("26.1", Family::V4, include_str!("fixtures/engines/26.1.5/iptables-save.txt")),
    ("28.5", Family::V4, include_str!("fixtures/engines/28.5.2/iptables-save.txt")),
    ("28.5", Family::V6, include_str!("fixtures/engines/28.5.2/ip6tables-save.txt")),
    ("29", Family::V4, include_str!("fixtures/engines/29-iptables/iptables-save.txt")),
    ("29", Family::V6, include_str!("fixtures/engines/29-iptables/ip6tables-save.txt")),
];

proptest! {
    #[test]
    fn rules_read_back(rule in select(&Family::ALL[..]).prop_flat_map(strategies::rule)) {
        let text = render_rule(&rule);
        prop_assert_eq!(parse_rule(&text), Some(rule), "{}", text);
    }

    #[test]
    fn sets_read_back(set in strategies::set()) {
        let mut text = render_set_create("x", &set.shape);
        for (entry, member) in &set.members {
            let _ = write!(text, "\nadd x {}", render_set_entry(&entry, member));
        }
        let sets = parse_ipset_save(&text).unwrap();
        prop_assert_eq!(&sets["x"], &set, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse_iptables_save(Family::V4, &text);
        let _ = parse_ipset_save(&text);
        let _ = parse_ipset_list_terse(&text);
        let _ = parse_rule(&text);
    }

    #[test]
    fn anything_like_a_save_is_read_or_refused(lines in proptest::collection::vec(
        "([*:#]|-A |-A X |\\[|create |add |add x |Name: |Type: |Header:|COMMIT|:X - \\[0:0\\]|\\*filter|create x hash:)?\\PC{0,12}( comment \"|\"|,|/)?",
        0..12,
    )) {
        let text = lines.join("\n");
        let _ = parse_iptables_save(Family::V6, &text);
        let _ = parse_ipset_save(&text);
        let _ = parse_ipset_list_terse(&text);
        for line in &lines {
            let _ = parse_rule(line);
        }
    }
}

#[test]
fn engines_rules_are_kept_to_the_letter() {
    for (engine, family, text) in ENGINES {
        let tables = parse_iptables_save(family, text).unwrap();
        let mut kept = Vec::new();
        for chain in &tables[&(family, Table::Filter)].chains {
            kept.extend(chain.1.lines.iter().map(|line| format!("-A {} {}", chain.0, line.text)));
            for line in &chain.1.lines {
                if let Some(rule) = &line.rule {
                    assert_eq!(render_rule(rule), line.text, "{engine}");
                }
            }
        }
        let filter = text.split("*filter\n").nth(1).unwrap().split("COMMIT").next().unwrap();
        let mut printed: Vec<&str> = filter.lines().filter(|line| line.starts_with("-A")).collect();
        kept.sort_unstable();
        printed.sort_unstable();
        assert_eq!(kept, printed, "{engine}");
    }
}

#[test]
fn foreign_rules_stay_foreign() {
    for text in [
        "",
        "-j REJECT --reject-with icmp-port-unreachable",
        "! -i docker0 -o docker0 -j DROP",
        "-s 10.0.0.0/8 -j DROP",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-m conntrack --ctstate DNAT --ctorigdstport 80 -j ACCEPT",
        "-p tcp -m tcp -j ACCEPT",
        "-p tcp -m tcp --dport 0 -j ACCEPT",
        "-p tcp -m udp --dport 1 -j ACCEPT",
        "-p tcp -m tcp ! --dport 80 -j ACCEPT",
        "-p udp -m udp ! --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT",
        "-m conntrack --ctstate NEW --ctdir REPLY -j DROP",
        "-m set --match-set a dst --return-nomatch -j DROP",
        "-m set --match-set a up -j DROP",
        "-m mark --mark 0x1 -j DROP",
        "-m comment --comment \"unfinished -j DROP",
        "-i docker0",
    ] {
        assert_eq!(parse_rule(text), None, "{text}");
    }
    let rule = parse_rule("-m comment --comment \"a b \\\"q\\\" \\\\ $x\" -j X").unwrap();
    assert_eq!(rule.matches, [Match::Comment("a b \"q\" \\ $x".to_owned())]);
}

#[test]
fn an_extension_is_no_jump() {
    let save = "*filter\n:FORWARD ACCEPT [0:0]\n:MINE - [0:0]\n[5:300] -A FORWARD -j LOG\n-A FORWARD -j MINE\nCOMMIT\n";
    let tables = parse_iptables_save(Family::V4, save).unwrap();
    let lines = &tables[&(Family::V4, Table::Filter)].chains["FORWARD"].lines;
    assert_eq!((lines[0].text.as_str(), &lines[0].rule), ("-j LOG", &None));
    assert!(lines[1].rule.is_some());
}

#[test]
fn half_a_save_is_an_error_with_its_place() {
    for (text, place) in [
        ("*filter\n:A - [0:0]\n-A A -j DROP\n", "line 3, column 13"),
        ("*filter\n-A NOPE -j DROP\nCOMMIT\n", "line 2, column 4"),
        ("*filter\n:A - [0:0]\n[1:2] -A NOPE -j DROP\nCOMMIT\n", "line 3, column 10"),
        ("*filter\n*nat\n", "line 2, column 1"),
        ("hello\n", "line 1, column 1"),
        ("*filter\nhello\nCOMMIT\n", "line 2, column 1"),
        ("# Table `filter' is incompatible, use 'nft' tool.\n", "line 1, column 1"),
    ] {
        let error = parse_iptables_save(Family::V4, text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text:?}: {error}");
    }
    assert!(parse_iptables_save(Family::V4, "# Table `foo' is incompatible, use 'nft' tool.\n").is_ok());
    let error = parse_ipset_save("create a hash:ip\nadd b 1.1.1.1\n").unwrap_err().to_string();
    assert!(error.starts_with("line 2, column 5"), "{error}");
    assert!(parse_ipset_save("flush\n").is_err());
}

/// As ipset 7.17 printed it.
const FOREIGN_SETS: &str = r#"create n hash:net family inet hashsize 1024 maxelem 65536 timeout 100 comment bucketsize 12 initval 0x44cb5cf1
add n 10.0.0.0/8 timeout 0 nomatch comment "foo"
add n 11.0.0.0/8 timeout 4 comment "he said \ ok "
create bi bitmap:ip range 10.0.0.0-10.0.0.255 timeout 5
add bi 10.0.0.4 timeout 4
create tt hash:ip family inet6 hashsize 1024 maxelem 65536 timeout 10 counters comment skbinfo bucketsize 12 initval 0x1
add tt ::0.1.0.2 timeout 10 packets 0 bytes 0 comment "a"
create ic hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x83a66aa4
add ic 1.1.1.1,icmp:echo-request
add ic 1.1.1.1,tcp:0
create odd"name hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x506f2fc1
create sp ace hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x56668b5f
add sp ace 1.1.1.1
create nm hash:ip family inet hashsize 1024 maxelem 65536 netmask 24 bucketsize 12 initval 0x6431f329
add nm 10.0.0.0
create i6 hash:net,iface family inet6 hashsize 1024 maxelem 65536 bucketsize 12 initval 0x843c130c
add i6 fd00::1,physdev:eth0
add i6 fd00::2,br0 wildcard
add i6 ::/0,eth0
create m hash:mac hashsize 1024 maxelem 65536 comment bucketsize 12 initval 0x843c130c
add m 00:11:22:33:44:55 comment "two
lines"
create l list:set size 8
add l n
add l sp ace
"#;

#[test]
fn every_type_of_set_is_read() {
    let sets = parse_ipset_save(FOREIGN_SETS).unwrap();
    assert_eq!(sets.len(), 10);
    let other = |text: &str| SetEntry::Other(text.to_owned());
    let n = &sets["n"];
    assert_eq!((n.shape.timeout, n.shape.comment), (Some(100), true));
    let exception = &n.members[&SetEntry::Net("10.0.0.0/8".parse().unwrap())];
    assert_eq!((exception.timeout, exception.nomatch, exception.comment.as_deref()), (Some(0), true, Some("foo")));
    assert_eq!(sets["bi"].shape.kind, SetKind::Other("bitmap:ip range 10.0.0.0-10.0.0.255 timeout 5".to_owned()));
    assert_eq!(sets["bi"].members[&other("10.0.0.4")].timeout, Some(4));
    assert!(sets["tt"].members.contains_key(&SetEntry::Net("::1:2/128".parse().unwrap())));
    assert!(sets["ic"].members.contains_key(&other("1.1.1.1,icmp:echo-request")));
    assert_eq!(sets["sp ace"].members.len(), 1);
    assert!(sets.contains_key("odd\"name"));
    assert!(matches!(&sets["nm"].shape.kind, SetKind::Other(text) if text.contains("netmask 24")));
    assert_eq!(sets["nm"].shape.kind.name(), "hash:ip");
    let i6 = &sets["i6"].members;
    assert!(i6.contains_key(&other("fd00::2,br0 wildcard")) && i6.contains_key(&other("fd00::1,physdev:eth0")));
    assert!(i6.contains_key(&SetEntry::NetIface("::/0".parse().unwrap(), "eth0".to_owned())));
    assert_eq!(sets["m"].members[&other("00:11:22:33:44:55")].comment.as_deref(), Some("two\nlines"));
    assert!(sets["l"].members.contains_key(&other("sp ace")));
    assert_eq!(render_set_create("l", &sets["l"].shape), "create l list:set size 8");
}

#[test]
fn terse_lists_are_read() {
    let text = "Name: a b\nType: hash:ip,port\nRevision: 6\nHeader: family inet6 hashsize 64 maxelem 9 timeout 3 comment \
                bucketsize 12 initval 0x1\nSize in memory: 256\nReferences: 2\nNumber of entries: 7\n\n\
                Name: l\nType: list:set\nRevision: 3\nHeader: size 8\nSize in memory: 80\nReferences: 0\n";
    let headers = parse_ipset_list_terse(text).unwrap();
    assert_eq!(headers.len(), 2);
    assert_eq!((headers[0].name.as_str(), headers[0].references, headers[0].entries), ("a b", 2, Some(7)));
    assert_eq!((&headers[0].shape.kind, headers[0].shape.family), (&SetKind::IpPort, Family::V6));
    assert_eq!((headers[0].shape.hashsize, headers[0].shape.maxelem, headers[0].shape.timeout), (64, 9, Some(3)));
    assert_eq!(headers[1].entries, None);
    assert!(parse_ipset_list_terse("Header: x\n").is_err());
    assert!(parse_ipset_list_terse("Name: x\n").is_err());
}

#[test]
fn a_large_set_is_read_whole() {
    let count: u32 = 200_000;
    let mut text = String::from("create big hash:net family inet hashsize 1024 maxelem 2000000 comment\n");
    for number in 0..count {
        let address = std::net::Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_761));
        let _ = writeln!(text, "add big {address} comment \"\"");
    }
    assert_eq!(parse_ipset_save(&text).unwrap()["big"].members.len(), usize::try_from(count).unwrap());
}

/// Every other kind of rule is drawn above; this one is IPv6's alone, and both tools print it so.
#[test]
fn a_type_of_icmpv6_reads_back() {
    let text = "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN";
    let rule = parse_rule(text).unwrap();
    assert_eq!(rule.matches, [Match::Icmp6(135)]);
    assert_eq!(render_rule(&rule), text);
    for foreign in
        ["-p ipv6-icmp -j RETURN", "-p ipv6-icmp -m icmp6 --icmpv6-type 135/0 -j RETURN", "-m icmp6 -j RETURN"]
    {
        assert_eq!(parse_rule(foreign), None, "{foreign}");
    }
}

/// Of `filter` and TCP alone, so that it is not drawn above either.
#[test]
fn a_reset_reads_back() {
    let text = "-p tcp -m set --match-set df6-unseen dst -m conntrack --ctstate NEW -j REJECT --reject-with tcp-reset";
    let rule = parse_rule(text).unwrap();
    assert_eq!(rule.action, Action::Reset);
    assert_eq!(render_rule(&rule), text);
    assert_eq!(parse_rule("-p tcp -j REJECT"), None);
}

#[test]
fn tracking_is_told_by_rules_and_not_by_comments() {
    for (tracks, rule) in [
        (true, "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        (true, "[3:180] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"),
        (true, "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"),
        (true, "-A INPUT -m comment --comment \"a b\" -m state --state NEW -j DROP"),
        (false, "-A INPUT -m comment --comment \"of -m conntrack and -j DNAT\" -j DROP"),
        (false, "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"),
        (false, ":DNAT - [0:0]"),
        (false, ""),
    ] {
        let save = format!("# -m conntrack\n*nat\n:DOCKER - [0:0]\n{rule}\nCOMMIT\n");
        assert_eq!(tracks_connections(&save), tracks, "{rule}");
    }
}
