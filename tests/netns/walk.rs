//! Chains in the real kernel: its counters say which rules one packet met, and the trace must say the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::UdpSocket;

use docker_firewall::host::kernel::Kernel as _;
use docker_firewall::net::{Family, Protocol};
use docker_firewall::ruleset::{
    ConnDirection, ConnState, LOG_BYTES, LOG_GROUP, Packet, Path, Table, Transport, through,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::world::{inside, kernel, kinds, run};

/// Called from OUTPUT; each calls only later ones, since the kernel refuses loops.
const CHAINS: [&str; 4] = ["OUTPUT", "A", "B", "C"];

fn line(chain: usize) -> impl Strategy<Value = String> {
    let condition = select(
        &[
            "",
            "",
            "-p udp ",
            "-o lo -p udp ",
            "-p tcp ",
            "-o eth0 ",
            "-o l+ ",
            "-m conntrack --ctdir ORIGINAL ",
            "-m conntrack --ctdir REPLY ",
            "-m conntrack --ctstate NEW ",
            "-m conntrack --ctstate DNAT ",
            "-m conntrack ! --ctstate DNAT ",
            "-m conntrack --ctstate INVALID,NEW,UNTRACKED ",
            "-m set --match-set here dst ",
            "-m set ! --match-set here dst,dst ",
            "-m set --match-set pairs dst ",
            "-m set ! --match-set pairs dst ",
            "-m set --match-set pairs dst,dst ",
            "-m set --match-set pairs src,src ",
        ][..],
    );
    let mut targets = vec!["-j RETURN".to_owned(), "-j ACCEPT".to_owned(), "-j DROP".to_owned(), String::new()];
    targets.push(format!("-j NFLOG --nflog-prefix x --nflog-group {LOG_GROUP} --nflog-size {LOG_BYTES}"));
    for later in &CHAINS[chain + 1..] {
        targets.extend([format!("-j {later}"), format!("-j {later}"), format!("-g {later}"), format!("-g {later}")]);
    }
    if chain == 0 {
        // The kernel lets no base chain end early in most of the samples: it would see nothing else.
        targets.retain(|target| target.contains(CHAINS[1]) || target.contains(CHAINS[2]) || target.contains("DROP"));
    }
    (condition, select(targets)).prop_map(|(condition, target)| format!("{condition}{target}").trim_end().to_owned())
}

/// A program for one table, with a policy.
fn table() -> impl Strategy<Value = String> {
    let chain = |index| proptest::collection::vec(line(index), 0..5);
    ((chain(0), chain(1), chain(2), chain(3)), any::<bool>()).prop_map(|(chains, open)| {
        let policy = if open { "ACCEPT" } else { "DROP" };
        let mut text = format!("-F OUTPUT\n-P OUTPUT {policy}\n:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n");
        for (name, lines) in CHAINS.iter().zip([chains.0, chains.1, chains.2, chains.3]) {
            for line in lines {
                let _ = writeln!(text, "-A {name} {line}");
            }
        }
        text
    })
}

/// Packets a rule has seen, by table, chain and index; only those that saw any.
type Counts = BTreeMap<(Table, String, usize), u64>;

fn counted(program: &str) -> Counts {
    let mut counts = Counts::new();
    for table in Table::ALL {
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        for line in run(program, &["-c", "-t", table.name()]).lines().filter(|line| line.starts_with('[')) {
            let packets: u64 = line[1..].split(':').next().unwrap().parse().unwrap();
            let chain = line.split(' ').nth(2).unwrap().to_owned();
            let at = index.entry(chain.clone()).or_default();
            if packets > 0 {
                counts.insert((table, chain, *at), packets);
            }
            *at += 1;
        }
    }
    counts
}

#[test]
fn packets_walk_as_traced() {
    inside("walk::packets_walk_as_traced", || {
        run("ip", &["link", "set", "lo", "up"]);
        run("ipset", &["create", "here", "hash:net"]);
        run("ipset", &["add", "here", "127.0.0.0/8"]);
        run("ipset", &["create", "pairs", "hash:ip,port"]);
        run("ipset", &["add", "pairs", "127.0.0.1,udp:4000"]);
        let mut runner = TestRunner::deterministic();
        let strategy = (table(), table());
        let (mut dropped, mut passed) = (0, 0);
        for kind in kinds() {
            let mut kernel = kernel(kind);
            let program = if kind.name() == "nft" { "iptables-nft-save" } else { "iptables-legacy-save" };
            for _ in 0..60 {
                let (filter, security) = strategy.new_tree(&mut runner).unwrap().current();
                let text = format!("*filter\n{filter}COMMIT\n*security\n{security}COMMIT\n");
                kernel.restore_rules(Family::V4, &text).unwrap();
                let receiver = UdpSocket::bind("127.0.0.1:4000").unwrap();
                let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
                let (from, to) = (sender.local_addr().unwrap(), receiver.local_addr().unwrap());
                // A drop on the way out is an error to who sends.
                let sent = sender.send_to(b"x", to).is_ok();
                let counts = counted(program);
                let packet = Packet {
                    path: Path::Output,
                    in_interface: String::new(),
                    out_interface: "lo".to_owned(),
                    source: from.ip(),
                    destination: to.ip(),
                    transport: Transport::Ports {
                        protocol: Protocol::Udp,
                        source: from.port(),
                        destination: to.port(),
                        syn: false,
                    },
                    state: ConnState::New,
                    direction: Some(ConnDirection::Original),
                    published: None,
                };
                let traced = through(&kernel.observe(&|_| true).unwrap(), Family::V4, "OUTPUT", &packet);
                let mut steps = Counts::new();
                for step in traced.steps {
                    *steps.entry((step.table, step.chain, step.index)).or_default() += 1;
                }
                // A rule without a target only counts; we write none and step over it.
                let bare = |(table, chain, index): &(Table, String, usize)| {
                    traced.unknown.iter().any(|s| (s.table, &s.chain, s.index) == (*table, chain, *index))
                };
                let counts: Counts = counts.into_iter().filter(|(key, _)| !bare(key)).collect();
                assert_eq!(steps, counts, "{kind}\n{text}");
                assert_eq!(!traced.outcome.is_drop(), sent, "{kind}\n{text}");
                if sent { passed += 1 } else { dropped += 1 }
            }
            // What one kind of iptables drops, the other's rules never see.
            let open = "-F OUTPUT\n-P OUTPUT ACCEPT\n";
            kernel.restore_rules(Family::V4, &format!("*filter\n{open}COMMIT\n*security\n{open}COMMIT\n")).unwrap();
        }
        assert!(dropped > 10 && passed > 10, "{dropped} dropped, {passed} passed");
    });
}
