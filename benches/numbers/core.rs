//! The pure steps at growing sizes: what a rule costs has to stay flat.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use docker_firewall::net::{Family, Protocol};
use docker_firewall::plan;
use docker_firewall::policy::Document;
use docker_firewall::ruleset::{
    ConnDirection, ConnState, Desired, Dump, Packet, Path, Transport, forward, parse_ipset_save, parse_iptables_save,
    render_set_create, render_set_entry,
};

use crate::Result;
use crate::figure::{Bound, Figure, as_f64, so_many};
use crate::world::{self, World, address};

/// So much more may a rule cost at the next size: maps are a little deeper and caches smaller.
const FLAT: f64 = 3.0;

/// Its headings.
const TABLE: &str = "what a rule costs, for as many containers as rules";

/// Of the sizes, the one that the others are held against: of a few rules the fixed part is most.
const AGAINST: usize = 1000;

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    let mut taken = Vec::new();
    for size in [10, AGAINST, 10_000, 100_000] {
        let rounds = match size {
            100_000 if quick => 2,
            100_000 => 5,
            _ if quick => 7,
            _ => 21,
        };
        eprintln!("core: {size} rules");
        taken.push((size, at(size, rounds)?));
    }
    let mut figures = Vec::new();
    let against = taken.iter().find(|(size, _)| *size == AGAINST).map(|(_, values)| values.clone()).unwrap_or_default();
    for (index, (row, unit)) in STEPS.into_iter().enumerate() {
        for (size, values) in &taken {
            let base = vec![crate::figure::median(&against[index]); values[index].len()];
            let bound = if *size > AGAINST { Bound::AtMost(FLAT) } else { Bound::None };
            figures.push(Figure::paired([TABLE, row, &so_many(*size, "rule")], unit, &values[index], &base, bound));
        }
    }
    Ok(figures)
}

const STEPS: [(&str, &str); 7] = [
    ("parse a policy file", "µs a rule"),
    ("resolve and compile", "µs a rule"),
    ("plan the first time", "µs a rule"),
    ("plan one container's change", "µs a rule"),
    ("parse ipset save", "µs a rule"),
    ("parse iptables-save, foreign rules", "µs a rule"),
    ("trace a packet", "µs"),
];

/// The largest part of a policy that a file may hold (4 MiB).
const IN_A_FILE: usize = 50_000;

fn at(size: usize, rounds: usize) -> Result<Vec<Vec<f64>>> {
    let text = world::rules(size.min(IN_A_FILE));
    let mut policy = Document::parse(&text)?.policy().clone();
    for number in policy.rules.len()..size {
        let mut rule = policy.rules[number % 100].clone();
        rule.targets = vec![format!("c{number}").parse()?];
        policy.rules.push(rule);
    }
    let world = World { policy, sets: BTreeMap::new(), inventory: world::inventory(size)? };
    let begun = world::empty();
    let desired = world.pass().desired(&begun);
    let holding = world::holding(&desired);
    let one_less = without_one(&holding, &desired)?;
    let (sets, tables) = (sets_text(&desired), foreign(size));
    let packet = packet(size);
    let calls = 100;

    let mut values = vec![Vec::new(); STEPS.len()];
    for _ in 0..rounds {
        values[0].push(micros(|| drop(black_box(Document::parse(&text)))) / as_f64(size.min(IN_A_FILE)));
        values[1].push(micros(|| drop(black_box(world.pass().desired(&begun)))) / as_f64(size));
        values[2].push(micros(|| drop(black_box(plan::plan(&begun, &desired)))) / as_f64(size));
        values[3].push(micros(|| drop(black_box(plan::plan(&one_less, &desired)))) / as_f64(size));
        values[4].push(micros(|| drop(black_box(parse_ipset_save(&sets)))) / as_f64(size));
        values[5].push(micros(|| drop(black_box(parse_iptables_save(Family::V4, &tables)))) / as_f64(size));
        let walk = || (0..calls).for_each(|_| drop(black_box(forward(&holding, Family::V4, &packet))));
        values[6].push(micros(walk) / f64::from(calls));
    }
    Ok(values)
}

fn micros(act: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    act();
    begun.elapsed().as_secs_f64() * 1e6
}

/// As if one container had come since.
fn without_one(holding: &Dump, desired: &Desired) -> Result<Dump> {
    let mut less = holding.clone();
    for set in less.sets.values_mut() {
        let last = set.members.keys().next_back().cloned();
        last.and_then(|entry| set.members.remove(&entry));
    }
    if plan::plan(holding, desired).is_empty() && !plan::plan(&less, desired).is_empty() {
        return Ok(less);
    }
    Err("a kernel that holds everything has something to do, or one that lacks something has not".into())
}

fn sets_text(desired: &Desired) -> String {
    let mut text = String::new();
    for (name, set) in &desired.sets {
        let _ = writeln!(text, "{}", render_set_create(name, &set.set().shape));
        for (entry, member) in &set.set().members {
            let _ = writeln!(text, "add {name} {}", render_set_entry(entry, member));
        }
    }
    text
}

fn foreign(count: usize) -> String {
    let mut text =
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n".to_owned();
    for number in 0..count {
        let address = address(number);
        let _ = writeln!(
            text,
            "-A DOCKER -d {address}/32 ! -i br-ffffffffffff -o br-ffffffffffff -p tcp -m tcp --dport 80 -j ACCEPT"
        );
    }
    text + "COMMIT\n"
}

/// A stranger's first packet to the container in the middle.
fn packet(size: usize) -> Packet {
    Packet {
        path: Path::Forward,
        in_interface: "eth0".to_owned(),
        out_interface: world::BRIDGE.to_owned(),
        source: crate::wires::STRANGER.into(),
        destination: address(size / 2).into(),
        transport: Transport::Ports { protocol: Protocol::Tcp, source: 40_000, destination: 80, syn: true },
        state: ConnState::New,
        direction: Some(ConnDirection::Original),
        published: None,
    }
}
