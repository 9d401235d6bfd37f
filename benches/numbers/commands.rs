//! Commands as whole processes, each beside what a person would type instead. The engine is made up, the kernel is real, in a
//! network namespace of its own.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use docker_firewall::net::Family;

use crate::Result;
use crate::engine::{Engine, host_port};
use crate::figure::{Bound, Figure, so_many};
use crate::ground::prepare;
use crate::process::{Desk, timed, typed};
use crate::tools::{self, Written};
use crate::wires::run;
use crate::world::{BRIDGE, address, address_v6};

/// The recipe's set, as an administrator keeps it.
pub(crate) const RECIPE_SET: &str = "create -exist recipe hash:ip family inet hashsize 1024 maxelem 65536\nflush recipe\n\
    add recipe 203.0.113.10\nadd recipe 203.0.113.11\nadd recipe 203.0.113.12\n";
/// The row of what `allow` cannot take less than.
const TOOLS: &str = "limit: the tools that allow runs, with the same input, and nothing else";
/// The headings of its tables.
const BESIDE: &str = "docker-firewall beside what is typed by hand for the same";
const METADATA: &str = "what docker asks every plugin, beside /bin/true";
const READING: &str =
    "everything read, where one rule guards all containers: beside iptables-save, ip6tables-save and ipset save";

/// A command of ours, and what is typed by hand for the same; `SET` is the recipe's file.
type Step = (&'static [&'static str], &'static [&'static str]);

/// In an order in which each finds what it needs.
const STEPS: [Step; 11] = [
    (
        &["allow", "c0", "--from", "friends"],
        &[
            "ipset restore < SET",
            "iptables -I DOCKER -i eth0 -m set ! --match-set recipe src -j DROP",
            "iptables -I DOCKER -i eth0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        ],
    ),
    (&["set", "add", "friends", "203.0.113.20"], &["ipset add recipe 203.0.113.20"]),
    (&["set", "del", "friends", "203.0.113.20"], &["ipset del recipe 203.0.113.20"]),
    (&["ls"], &["iptables -nvL DOCKER", "ipset list recipe"]),
    (&["explain", "c0:80", "--from", "203.0.113.10"], &["iptables -nvL DOCKER", "ipset -q test recipe 203.0.113.10"]),
    (&["rules"], &["iptables -S DOCKER"]),
    (&["plan"], &["iptables -S DOCKER", "ipset list recipe"]),
    (&["status"], &["iptables -S DOCKER", "ipset list recipe"]),
    (&["deny", "c0", "--from", "203.0.113.66"], &["iptables -I DOCKER -i eth0 -s 203.0.113.66 -j DROP"]),
    (&["rm", "1"], &["iptables -D DOCKER 1"]),
    (&["rm", "--target", "c0"], &["iptables -D DOCKER 1", "iptables -D DOCKER 1", "ipset destroy recipe"]),
];

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    prepare()?;
    let rounds = if quick { 7 } else { 41 };
    let mut figures = vec![metadata(rounds * 6)?];
    for count in [1, 100, 1000] {
        figures.extend(with_containers(count, rounds)?);
    }
    Ok(figures)
}

fn metadata(rounds: usize) -> Result<Figure> {
    let desk = Desk::new()?;
    let (mut values, mut base) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        values.push(desk.time(&["docker-cli-plugin-metadata"])?);
        base.push(timed(&mut Command::new("/bin/true"))?);
    }
    let place = [METADATA, "docker-firewall docker-cli-plugin-metadata", "any number of containers"];
    Ok(Figure::paired(place, "ms", &values, &base, Bound::AtMost(2.0)))
}

fn with_containers(count: usize, rounds: usize) -> Result<Vec<Figure>> {
    let desk = Desk::new()?;
    Engine::start(&desk.path().join("docker.sock"), count)?;
    for (program, family) in [("iptables-nft-restore", Family::V4), ("ip6tables-nft-restore", Family::V6)] {
        run(&[program, "--noflush"], &publishing(count, family))?;
    }
    let script = desk.path().join("recipe.conf");
    fs::write(&script, RECIPE_SET)?;
    let set = script.display().to_string();
    desk.time(&["set", "create", "friends"])?;
    desk.time(&["set", "add", "friends", "203.0.113.10", "203.0.113.11", "203.0.113.12"])?;
    let mut values = vec![(Vec::new(), Vec::new()); STEPS.len()];
    let by_hand = |lines: &[&str]| -> Result<f64> {
        let lines: Vec<String> = lines.iter().map(|line| line.replace("SET", &set)).collect();
        typed(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for round in 0..rounds {
        eprint!("\rcommands, {count} containers: round {} of {rounds}", round + 1);
        for ((ours, hand), (values, base)) in STEPS.iter().zip(&mut values) {
            base.push(by_hand(hand)?);
            values.push(desk.time(ours)?);
        }
    }
    eprintln!();
    let column = so_many(count, "container");
    let mut figures = Vec::new();
    let (tools, recipe) = tools_alone(&desk, rounds, by_hand)?;
    figures.push(Figure::paired([BESIDE, TOOLS, &column], "ms", &tools, &recipe, Bound::None));
    for ((words, _), (values, base)) in STEPS.iter().zip(&values) {
        let bound = if words[0] == "allow" { Bound::AtMost(1.0) } else { Bound::None };
        figures.push(Figure::paired([BESIDE, &words.join(" "), &column], "ms", values, base, bound));
    }
    figures.extend(at_most(&desk, count, rounds)?);
    desk.time(&["reset", "--force"])?;
    Ok(figures)
}

/// Milliseconds of the tools that `allow` runs, and of the recipe, in turns.
fn tools_alone(desk: &Desk, rounds: usize, by_hand: impl Fn(&[&str]) -> Result<f64>) -> Result<(Vec<f64>, Vec<f64>)> {
    let ((allow, recipe), (back, recipe_back)) = (STEPS[0], STEPS[STEPS.len() - 1]);
    let written = Written::of(desk, allow, back)?;
    let (mut tools, mut base) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tools.push(written.time()?);
        written.take_back()?;
        base.push(by_hand(recipe)?);
        by_hand(recipe_back)?;
        tools::rest();
    }
    Ok((tools, base))
}

/// Where every container is guarded: the most that there is to read.
fn at_most(desk: &Desk, count: usize, rounds: usize) -> Result<Vec<Figure>> {
    desk.time(&["allow", "*", "--from", "friends"])?;
    let commands: [&[&str]; 3] = [&["ls"], &["explain", "c0:80", "--from", "203.0.113.10"], &["plan"]];
    let (mut values, mut base) = (vec![Vec::new(); commands.len()], Vec::new());
    for _ in 0..rounds {
        base.push(typed(&["iptables-save", "ip6tables-save", "ipset save"])?);
        for (words, values) in commands.iter().zip(&mut values) {
            values.push(desk.time(words)?);
        }
    }
    let column = so_many(count, "container");
    let figure = |(words, values): (&&[&str], &Vec<f64>)| {
        Figure::paired([READING, &words.join(" "), &column], "ms", values, &base, Bound::None)
    };
    Ok(commands.iter().zip(&values).map(figure).collect())
}

/// What Docker writes for the ports of `count` containers.
fn publishing(count: usize, family: Family) -> String {
    let (mut nat, mut filter) = (Vec::new(), Vec::new());
    for number in 0..count {
        let port = host_port(number);
        let (to, length) = match family {
            Family::V4 => (IpAddr::V4(address(number)), 32),
            Family::V6 => (IpAddr::V6(address_v6(number)), 128),
        };
        let place = SocketAddr::new(to, 80);
        nat.push(format!("-A DOCKER ! -i {BRIDGE} -p tcp -m tcp --dport {port} -j DNAT --to-destination {place}\n"));
        filter
            .push(format!("-A DOCKER -d {to}/{length} ! -i {BRIDGE} -o {BRIDGE} -p tcp -m tcp --dport 80 -j ACCEPT\n"));
    }
    format!(
        "*nat\n:DOCKER - [0:0]\n{}COMMIT\n*filter\n:DOCKER - [0:0]\n{}\
         -A DOCKER ! -i {BRIDGE} -o {BRIDGE} -j DROP\nCOMMIT\n",
        nat.concat(),
        filter.concat()
    )
}
