//! `explain` beside the kernel, past rules of others: random ones, and those that ufw writes.
//!
//! Whatever `explain` says for certain, real connections must bear out. `tests/run.sh lab` runs it.

#![allow(clippy::expect_used, clippy::panic)]

mod desk;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use desk::{Desk, Result};
use lab::{Client, Engine, Flavour, Lab, Probe, Protocol};

/// Numbers that look random and are the same every time (Marsaglia, "Xorshift RNGs").
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }
}

/// Conditions that hold at any hook; `{FRIEND}` and the like are of the rule's family.
const ANYWHERE: &[&str] = &[
    "",
    "-s {FRIEND}",
    "! -s {FRIEND}",
    "-s {LINK}",
    "-d {BRIDGES}",
    "-p tcp",
    "-p udp",
    "-p tcp -m tcp --dport 80",
    "-p tcp -m tcp --dport 8080",
    "-p tcp -m multiport --dports 22,80,8080:8090",
    "-p udp -m udp ! --dport 53",
    "-p tcp -m tcp --sport 1024:65535",
    "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype ! --src-type LOCAL",
    "-m set --match-set {BAD} src",
    "-m set ! --match-set {BAD} src",
    "-m set --match-set {BADPORTS} src,dst",
    "-m iprange --src-range {RANGE}",
    "-m pkttype --pkt-type unicast",
    "-m mark --mark 0x1/0x1",
    "-m mark ! --mark 0x2",
    "-m comment --comment \"two words -j DROP\"",
    "-m limit --limit 1000/sec",
];
/// What only the tracker tells.
const TRACKED: &[&str] = &[
    "-m conntrack --ctstate NEW",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m conntrack ! --ctstate NEW,UNTRACKED",
    "-m conntrack --ctstate DNAT",
    "-m conntrack --ctdir REPLY",
    "-m conntrack --ctdir ORIGINAL -s {FRIEND}",
    "-p tcp -m conntrack --ctorigdstport 8080",
    "-m conntrack --ctorigdst {HOST}",
    "-m state --state ESTABLISHED",
];
const COMES: &[&str] = &["-i br-ext", "! -i br-ext", "-i docker+", "-i lo", "-i br+"];
const GOES: &[&str] = &["-o docker0", "! -o docker0", "-o br-ext", "-o br+"];

fn rule(dice: &mut Dice, table: &str, hook: &str) -> String {
    let mut words = Vec::new();
    match dice.roll(4) {
        0 if hook != "OUTPUT" && hook != "ANY" => words.push(dice.pick(COMES)),
        1 if matches!(hook, "FORWARD" | "OUTPUT") => words.push(dice.pick(GOES)),
        _ => {}
    }
    words.push(match dice.roll(3) {
        0 if table != "raw" => dice.pick(TRACKED),
        _ => dice.pick(ANYWHERE),
    });
    let mut targets = vec!["-j ACCEPT", "-j DROP", "-j RETURN", "-j ACCEPT", "-j THEIRS", "-g THEIRS"];
    if hook == "ANY" {
        targets.truncate(4);
    }
    match table {
        "filter" => targets.push("-j REJECT"),
        "mangle" => targets.extend(["-j MARK --set-xmark 0x1/0xffffffff", "-j MARK --set-xmark 0x2/0x3"]),
        "raw" => targets.push("-j CT --notrack"),
        _ => {}
    }
    words.push(targets[dice.roll(targets.len())]);
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Some rules of one family, put before or behind what is there.
fn ruleset(dice: &mut Dice, family: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (table, hooks) in [
        ("raw", &["PREROUTING", "OUTPUT"][..]),
        ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT"][..]),
        ("filter", &["INPUT", "FORWARD", "OUTPUT", "DOCKER-USER"][..]),
        ("security", &["INPUT", "FORWARD"][..]),
    ] {
        let _ = writeln!(text, "*{table}\n:THEIRS - [0:0]");
        for _ in 0..dice.roll(4) {
            let _ = writeln!(text, "-A THEIRS {}", rule(dice, table, "ANY"));
        }
        for hook in hooks {
            for _ in 0..dice.roll(3) {
                let place = if dice.roll(2) == 0 { "-I" } else { "-A" };
                let within = if *hook == "DOCKER-USER" { "FORWARD" } else { *hook };
                let _ = writeln!(text, "{place} {hook} {}", rule(dice, table, within));
            }
        }
        text.push_str("COMMIT\n");
    }
    // Without neighbours nobody gets anywhere over IPv6; `explain` speaks of what is sent to ports.
    for (table, hooks) in [
        ("raw", "PREROUTING OUTPUT"),
        ("mangle", "PREROUTING INPUT FORWARD OUTPUT"),
        ("filter", "INPUT OUTPUT"),
        ("security", "INPUT"),
    ] {
        let _ = writeln!(text, "*{table}");
        for hook in hooks.split(' ') {
            let _ = writeln!(text, "-I {hook} -p {{ICMP}} -j ACCEPT");
        }
        text.push_str("COMMIT\n");
    }
    family.iter().fold(text, |text, (name, value)| text.replace(name, value))
}

const V4: &[(&str, &str)] = &[
    ("{FRIEND}", "203.0.113.10/32"),
    ("{LINK}", "203.0.113.0/26"),
    ("{BRIDGES}", "172.16.0.0/12"),
    ("{BADPORTS}", "badports4"),
    ("{BAD}", "bad4"),
    ("{RANGE}", "203.0.113.5-203.0.113.20"),
    ("{HOST}", "203.0.113.1/32"),
    ("{ICMP}", "icmp"),
];
const V6: &[(&str, &str)] = &[
    ("{FRIEND}", "fd00:1::10/128"),
    ("{LINK}", "fd00:1::/122"),
    ("{BRIDGES}", "fd00:d0c::/64"),
    ("{BADPORTS}", "badports6"),
    ("{BAD}", "bad6"),
    ("{RANGE}", "fd00:1::5-fd00:1::20"),
    ("{HOST}", "fd00:1::1/128"),
    ("{ICMP}", "ipv6-icmp"),
];

const SETS: &str = "ipset create bad4 hash:net; ipset add bad4 203.0.113.64/27
    ipset create bad6 hash:ip family inet6; ipset add bad6 fd00:1::66
    ipset create badports4 hash:ip,port; ipset add badports4 203.0.113.66,tcp:80
    ipset create badports6 hash:net,port family inet6; ipset add badports6 fd00:1::66,udp:5353";

/// What ufw 0.36 makes of `default deny incoming`, `default deny routed`, `allow 22/tcp`, `limit 8080/tcp`, `deny from
/// 203.0.113.66` and `route allow in on br-ext from 203.0.113.10`, as far as such packets meet it.
const UFW: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:ufw-before-input - [0:0]
:ufw-before-forward - [0:0]
:ufw-user-input - [0:0]
:ufw-user-forward - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
:ufw-not-local - [0:0]
:ufw-logging-deny - [0:0]
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 239.255.255.250/32 -p udp -m udp --dport 1900 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-user-input -s 203.0.113.66/32 -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p udp -m udp --dport 5553 -j ACCEPT
-A ufw-user-forward -s 203.0.113.10/32 -i br-ext -j ACCEPT
COMMIT
";

/// What was compared.
#[derive(Default)]
struct Tally {
    allowed: usize,
    denied: usize,
    unknown: usize,
    wrong: Vec<String>,
}

#[test]
#[ignore = "needs root and the engines: tests/run.sh runs it"]
fn what_explain_says_past_rules_of_others_is_what_happens() -> Result {
    for (engine, flavour, seed) in [(Engine::V26_1, Flavour::Legacy, 7_u64), (Engine::V28_5, Flavour::Nft, 1)] {
        let desk = Desk::up(engine, flavour, "explain")?;
        desk.lab.run("web", &["-p", "8080:80", "-p", "5353:53/udp"], &[])?;
        desk.shell("docker network create four >/dev/null")?;
        desk.lab.run("plain", &["--network", "four", "-p", "8280:80", "-p", "5553:53/udp"], &[])?;
        desk.shell(SETS)?;
        desk.done("allow web --from 203.0.113.10,203.0.113.66,fd00:1::10")?;
        // A table that is not in what was saved would not be emptied afterwards.
        desk.shell(
            "for program in iptables ip6tables; do for table in raw mangle security; do
               $program -t $table -A OUTPUT -j ACCEPT; $program -t $table -D OUTPUT -j ACCEPT
             done; done
             iptables-save > /clean4; ip6tables-save > /clean6",
        )?;
        let mut tally = Tally::default();
        compare(&desk.lab, &desk, "ufw", &[("iptables", UFW.to_owned())], &mut tally)?;
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
        for number in 0..22 {
            let texts = [("iptables", ruleset(&mut dice, V4)), ("ip6tables", ruleset(&mut dice, V6))];
            compare(&desk.lab, &desk, &format!("ruleset {number}"), &texts, &mut tally)?;
        }
        let Tally { allowed, denied, unknown, wrong } = &tally;
        println!("{engine} {flavour}: {allowed} allowed, {denied} denied, {unknown} unknown, {} wrong", wrong.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(*allowed > 40 && *denied > 100, "{allowed} allowed, {denied} denied");
        assert!(*unknown * 4 < allowed + denied, "{unknown} unknown");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the engines: tests/run.sh runs it"]
fn routes_that_keep_somebody_out_are_seen() -> Result {
    let desk = Desk::up(Engine::V28_5, Flavour::Nft, "explain")?;
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    let said = |client: Client, over: &str| desk.run(&format!("explain :8080 --from {}{over}", client.v4()));
    let reaches = |client: Client| Ok::<_, lab::LabError>(desk.lab.tcp(client, Client::Host.v4(), 8080)?.reached());
    let stranger = Client::Stranger.v4();
    for (make, take, over, code) in [
        (format!("ip route add blackhole {stranger}"), format!("ip route del blackhole {stranger}"), "", 3),
        (format!("ip route add unreachable {stranger}"), format!("ip route del unreachable {stranger}"), "", 3),
        (
            // Its answers would go out elsewhere.
            format!(
                "set -e; ip link add aside type bridge; ip link set aside up; ip route add {stranger} dev aside
                 echo 1 > /proc/sys/net/ipv4/conf/br-ext/rp_filter"
            ),
            "ip link del aside; echo 0 > /proc/sys/net/ipv4/conf/br-ext/rp_filter".to_owned(),
            " --interface br-ext",
            3,
        ),
        // Other tables are not read: nothing is said.
        (
            format!("ip route add blackhole default table 100; ip rule add to {stranger} lookup 100"),
            format!("ip rule del to {stranger} lookup 100"),
            "",
            1,
        ),
    ] {
        assert!(reaches(Client::Stranger)? && said(Client::Stranger, "")?.code == 0, "before {make}");
        desk.shell(&make)?;
        let output = said(Client::Stranger, over)?;
        assert_eq!(
            (output.code, reaches(Client::Stranger)?),
            (code, false),
            "{make}: {} {}",
            output.stdout,
            output.stderr
        );
        let friend = i32::from(code == 1);
        let among = desk.run(&format!("explain :8080 --from {stranger}/26"))?;
        assert!(
            (over, code) != ("", 3) || among.stdout.contains(": denied") && among.stdout.contains(": allowed"),
            "{}",
            among.stdout
        );
        let output = said(Client::Friend, "")?;
        assert_eq!(
            (output.code, reaches(Client::Friend)?),
            (friend, true),
            "{make}: {} {}",
            output.stdout,
            output.stderr
        );
        desk.shell(&take)?;
    }
    Ok(())
}

/// Puts the rules in, asks `explain`, tries, and takes the rules out.
fn compare(lab: &Lab, desk: &Desk, name: &str, texts: &[(&str, String)], tally: &mut Tally) -> Result {
    for (program, text) in texts {
        desk.shell(&format!("{program}-restore --noflush <<'EOF'\n{text}EOF\n"))?;
    }
    let from = "203.0.113.10,203.0.113.66,fd00:1::10,fd00:1::66";
    let said = desk.run(&format!("explain web plain --from {from} --format json"))?;
    let mut asked: Vec<(Probe, String, String)> = Vec::new();
    for line in said.stdout.lines() {
        let value = |name: &str| {
            let start = line.find(&format!("\"{name}\":\"")).expect("a key") + name.len() + 4;
            line[start..].split("\",\"").next().expect("a value").trim_end_matches("\"}").to_owned()
        };
        let client = if value("Address").ends_with("10") { Client::Friend } else { Client::Stranger };
        let protocol = if value("Port").ends_with("tcp") { Protocol::Tcp } else { Protocol::Udp };
        let to: SocketAddr = value("To").parse().expect("a place");
        asked.push((Probe::new(client, protocol, to.ip(), to.port()), value("Answer"), value("Because")));
    }
    assert!(asked.len() > 12, "{} {}", said.stdout, said.stderr);
    let probes: Vec<Probe> = asked.iter().map(|(probe, ..)| *probe).collect();
    let answers = lab.probe_all(&probes)?;
    for ((probe, answer, because), first) in asked.iter().zip(answers) {
        // One that came through where none may is believed at once.
        let open = first.peer().is_some() || answer == "allowed" && gets_through(lab, probe)?;
        let came = || probe.protocol == Protocol::Udp && answer == "allowed" && !open;
        match answer.as_str() {
            "allowed" if open => tally.allowed += 1,
            "denied" if !open => tally.denied += 1,
            "unknown" => tally.unknown += 1,
            // That a datagram came is all that is said of it; its answer may be lost on the way back.
            _ if came() && answer_is_barred(texts) => tally.unknown += 1,
            _ => {
                let rules: String = texts.iter().map(|(_, text)| text.as_str()).collect();
                let Probe { client, protocol, to, port, .. } = probe;
                let what = format!("{client} {protocol} {to} {port}: {answer} because {because}, open: {open}");
                tally.wrong.push(format!("WRONG {name}: {what}\n{rules}"));
            }
        }
    }
    // Connections that began under other rules are not what `explain` speaks of.
    desk.shell("iptables-restore < /clean4; ip6tables-restore < /clean6; conntrack -F 2>/dev/null").map(drop)
}

/// Whether a second try does, or a later one: a loaded machine may lose a packet, and neighbours who were kept from one
/// another under the rules before find themselves again only after a second or two. Rules do not wear off.
fn gets_through(lab: &Lab, probe: &Probe) -> Result<bool> {
    // Whether a datagram's answer gets back is not what was asked.
    let pauses: &[u64] = if probe.protocol == Protocol::Tcp { &[0, 1, 2, 3] } else { &[0] };
    for pause in pauses {
        sleep(Duration::from_secs(*pause));
        if lab.probe(probe)?.peer().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether some rule may bar answers.
fn answer_is_barred(texts: &[(&str, String)]) -> bool {
    texts.iter().any(|(_, text)| text.contains("DROP") || text.contains("REJECT"))
}

/// An address, for the words above.
#[test]
fn the_clients_are_told_by_their_last_digits() {
    let ends = |client: Client, digits: &str| {
        let of = |address: IpAddr| address.to_string().ends_with(digits);
        of(client.v4()) && of(client.v6())
    };
    assert!(ends(Client::Friend, "10") && ends(Client::Stranger, "66"));
}
