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
    let sizes = [10, AGAINST, 10_000, 100_000].map(Size::new).into_iter().collect::<Result<Vec<Size>>>()?;
    let mut values = vec![vec![Vec::new(); STEPS.len()]; sizes.len()];
    let rounds = if quick { 3 } else { 11 };
    for round in 0..rounds {
        eprint!("\rcore: round {} of {rounds}", round + 1);
        for (size, values) in sizes.iter().zip(&mut values) {
            for (value, values) in size.steps().into_iter().zip(values) {
                values.push(value);
            }
        }
    }
    eprintln!();
    let against = sizes.iter().position(|size| size.count == AGAINST).ok_or("no size to hold the others against")?;
    let mut figures = Vec::new();
    for (index, row) in STEPS.into_iter().enumerate() {
        for (size, own) in sizes.iter().zip(&values) {
            // The trace is for tests and meant to be plain: what it costs is shown, and no more.
            let bound = if size.count > AGAINST && row != TRACE { Bound::AtMost(FLAT) } else { Bound::None };
            let place = [TABLE, row, &so_many(size.count, "rule")];
            figures.push(Figure::paired(place, "µs a rule", &own[index], &values[against][index], bound));
        }
    }
    Ok(figures)
}

const STEPS: [&str; 7] = [
    "parse a policy file",
    "resolve and compile",
    "plan the first time",
    "plan one container's change",
    "parse ipset save",
    "parse iptables-save, foreign rules",
    TRACE,
];

const TRACE: &str = "trace a packet, past every member of every set";

/// The largest part of a policy that a file may hold (4 MiB).
const IN_A_FILE: usize = 50_000;

/// Of a small size each step is done so often that about so many rules are worked on.
const TOGETHER: usize = 10_000;

/// What the steps of one size work on.
struct Size {
    count: usize,
    text: String,
    world: World,
    begun: Dump,
    desired: Desired,
    holding: Dump,
    one_less: Dump,
    sets: String,
    tables: String,
    packet: Packet,
}

impl Size {
    fn new(count: usize) -> Result<Self> {
        let text = world::rules(count.min(IN_A_FILE));
        let mut policy = Document::parse(&text)?.policy().clone();
        for number in policy.rules.len()..count {
            let mut rule = policy.rules[number % 100].clone();
            rule.targets = vec![format!("c{number}").parse()?];
            policy.rules.push(rule);
        }
        let world = World { policy, sets: BTreeMap::new(), inventory: world::inventory(count)? };
        let begun = world::empty();
        let desired = world.pass().desired(&begun);
        let holding = world::holding(&desired);
        let one_less = without_one(&holding, &desired)?;
        let (sets, tables) = (sets_text(&desired), foreign(count));
        Ok(Self { count, text, world, begun, desired, holding, one_less, sets, tables, packet: packet(count) })
    }

    /// Microseconds a rule of every step, once.
    fn steps(&self) -> [f64; STEPS.len()] {
        let times = (TOGETHER / self.count).max(1);
        let each = |rules: usize, step: &dyn Fn()| micros(|| (0..times).for_each(|_| step())) / as_f64(times * rules);
        [
            each(self.count.min(IN_A_FILE), &|| drop(black_box(Document::parse(&self.text)))),
            each(self.count, &|| drop(black_box(self.world.pass().desired(&self.begun)))),
            each(self.count, &|| drop(black_box(plan::plan(&self.begun, &self.desired)))),
            each(self.count, &|| drop(black_box(plan::plan(&self.one_less, &self.desired)))),
            each(self.count, &|| drop(black_box(parse_ipset_save(&self.sets)))),
            each(self.count, &|| drop(black_box(parse_iptables_save(Family::V4, &self.tables)))),
            each(self.count, &|| drop(black_box(forward(&self.holding, Family::V4, &self.packet)))),
        ]
    }
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
        let last = set.members.keys().last();
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
            let _ = writeln!(text, "add {name} {}", render_set_entry(&entry, member));
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
