//! What the kernel tells of packets that it drops, by rules as we write them.

use std::fmt::Write as _;
use std::net::UdpSocket;

use docker_firewall::attempt::{Content, Header};
use docker_firewall::host::kernel::Kernel as _;
use docker_firewall::host::watch::DropWatch;
use docker_firewall::net::{Family, PortRange, Protocol};
use docker_firewall::ruleset::{Action, LOG_BURST, LogPath, LogPrefix, Match, Rule, render_rule};

use crate::world::{inside, kernel, kinds, run};

#[test]
fn drops_are_told_of_within_the_limit() {
    inside("drops::drops_are_told_of_within_the_limit", || {
        run("ip", &["link", "set", "lo", "up"]);
        let mut watch = DropWatch::open().unwrap();
        assert!(DropWatch::open().is_err(), "the group has one reader");
        for kind in kinds() {
            let to = |port| Match::DestinationPorts(PortRange::single(Protocol::Udp, port));
            let tells = |rule: Option<&str>| {
                Action::Log(
                    LogPrefix { backstop: false, path: LogPath::Host, rule: rule.map(str::to_owned) }.to_string(),
                )
            };
            let rules = [
                Rule::new([to(4001), Match::Unknown, Match::Seldom(Family::V4)], tells(None)),
                Rule::new([to(4001)], Action::Drop),
                Rule::new([to(4002), Match::NotDnat, Match::Unknown], tells(Some("1918610c"))),
                Rule::new([to(4002)], Action::Drop),
            ];
            let mut text = String::from("*filter\n-F OUTPUT\n");
            for rule in &rules {
                let _ = writeln!(text, "-A OUTPUT {}", render_rule(rule));
            }
            text.push_str("COMMIT\n");
            kernel(kind).restore_rules(Family::V4, &text).unwrap();
            for _ in 0..200 {
                let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
                assert!(sender.send_to(b"x", "127.0.0.1:4001").is_err(), "{kind}: it was dropped");
            }
            let last = UdpSocket::bind("127.0.0.1:0").unwrap();
            assert!(last.send_to(b"x", "127.0.0.1:4002").is_err());
            let (mut closed, mut missed) = (0, 0);
            let end = 'heard: loop {
                let (found, missing) = watch.wait().unwrap();
                missed += missing;
                for dropped in found {
                    let header = Header::parse(&dropped.bytes).unwrap();
                    assert_eq!(header.source.to_string(), "127.0.0.1");
                    let Content::Ports { protocol: Protocol::Udp, source, destination, .. } = header.content else {
                        panic!("{header:?}")
                    };
                    match LogPrefix::parse(&dropped.prefix).unwrap().rule {
                        None => closed += u32::from(destination == 4001),
                        Some(id) => break 'heard (id, source, destination),
                    }
                }
            };
            assert_eq!(end, ("1918610c".to_owned(), last.local_addr().unwrap().port(), 4002), "{kind}");
            assert!((LOG_BURST..LOG_BURST + 5).contains(&closed), "{kind}: {closed} of 200 were told of");
            assert_eq!(missed, 0, "{kind}");
            kernel(kind).restore_rules(Family::V4, "*filter\n-F OUTPUT\nCOMMIT\n").unwrap();
            assert_eq!(kernel(kind).refuses_to_log(), None, "{kind}");
            let left = kernel(kind).observe(&|_| true).unwrap();
            assert!(left.tables.values().all(|table| table.chains.len() == 3), "{kind}: the trial left a chain");
        }
    });
}
