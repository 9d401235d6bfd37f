//! What a packet pays: each layout in a router of its own, all of them measured in turns.

use std::time::Duration;

use docker_firewall::host::nft::Nft;

use crate::Result;
use crate::figure::{Bound, Figure, as_f64, so_many};
use crate::layouts::{Flavour, Layout};
use crate::traffic::Traffic;
use crate::walk;
use crate::wires::{CLIENT, STRANGER, Way, Wires};

/// How much of everything.
struct Effort {
    quick: bool,
    rounds: usize,
    flows: usize,
    during: Duration,
}

/// One layout, laid, and what was measured of it, a value a round.
struct Place {
    layout: Layout,
    wires: Wires,
    /// Whoever owns its third line.
    _owner: Option<Nft>,
    values: [Vec<f64>; 6],
}

/// What is measured, with its unit and the bound that this program has to keep.
const KINDS: [(&str, &str, Bound); 6] = [
    ("new UDP flow, there and back", "µs", Bound::AtMost(1.10)),
    ("new UDP flows", "/s", Bound::AtLeast(0.9)),
    ("new TCP connection", "µs", Bound::AtMost(1.10)),
    ("new TCP connections", "/s", Bound::AtLeast(0.9)),
    ("established TCP stream", "MB/s", Bound::AtLeast(0.97)),
    ("established UDP flow, small packets", "/s", Bound::AtLeast(0.97)),
];

/// The heading of the rules that were counted.
const WALKED: &str = "kernel rules that a new connection is held against, Docker's included";

/// The most containers, which the bounds are about.
const MOST: usize = 10_000;

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    // Many short rounds: rounds differ from each other by more than flows of one do.
    let effort = if quick {
        Effort { quick, rounds: 11, flows: 100, during: Duration::from_millis(15) }
    } else {
        Effort { quick, rounds: 91, flows: 170, during: Duration::from_millis(20) }
    };
    let mut figures = Vec::new();
    for flavour in Flavour::ALL {
        figures.extend(walked(flavour, quick)?);
    }
    for way in Way::ALL {
        for flavour in Flavour::ALL {
            figures.extend(of(way, flavour, &effort)?);
        }
    }
    Ok(figures)
}

fn counts(quick: bool) -> &'static [usize] {
    if quick { &[1, 1000] } else { &[1, 100, 1000, MOST] }
}

fn layouts(way: Way, flavour: Flavour, quick: bool) -> Vec<Layout> {
    let sizes: &[usize] = if quick { &[10_000] } else { &[10_000, 1_000_000] };
    // The second one is measured against the first, and shows what chance makes.
    let mut layouts = vec![Layout::Docker; 2];
    let ours: &[usize] = if quick { &[1, MOST] } else { counts(false) };
    layouts.extend(ours.iter().map(|&containers| Layout::Ours { containers, friends: 1 }));
    layouts.extend(sizes.iter().map(|&friends| Layout::Ours { containers: 1000, friends }));
    layouts.extend([Layout::Third(1000), Layout::OneLine(1000), Layout::EmptyHook, Layout::OneRule]);
    // Those of others are measured where users have them, and at length on the bare way too; the rest tells what each part of
    // ours costs.
    if way == Way::OneProcessor || (quick && way == Way::Bare) {
        return layouts;
    }
    for &count in counts(quick) {
        layouts.extend([Layout::Linear(count), Layout::UfwDocker(count)]);
        if flavour == Flavour::Nft {
            layouts.push(Layout::Whalewall(count));
        }
    }
    layouts
}

fn of(way: Way, flavour: Flavour, effort: &Effort) -> Result<Vec<Figure>> {
    let table = format!("{}, iptables-{}", way.name(), flavour.name());
    let mut places = Vec::new();
    for (number, &layout) in layouts(way, flavour, effort.quick).iter().enumerate() {
        eprintln!("packets, {table}: laying {}", layout.name());
        let wires = Wires::lay(&number.to_string(), way)?;
        let owner = layout.load(&wires, flavour)?;
        is_what_it_says(layout, &wires)?;
        places.push(Place { layout, wires, _owner: owner, values: Default::default() });
    }
    for round in 0..effort.rounds {
        eprint!("\rpackets, {table}: round {} of {}", round + 1, effort.rounds);
        // Each round begins elsewhere, so that nobody always comes after the same neighbour.
        let count = places.len();
        for at in 0..count {
            let place = &mut places[(round + at) % count];
            once(place, effort).map_err(|error| format!("{}: {error}", place.layout.name()))?;
        }
    }
    eprintln!();
    let Some((base, others)) = places.split_first() else { return Ok(Vec::new()) };
    let mut figures = Vec::new();
    for place in others {
        for (index, (column, unit, bound)) in KINDS.into_iter().enumerate() {
            let bound = if place.layout.is_ours() { bound } else { Bound::None };
            let (values, base) = (&place.values[index], &base.values[index]);
            figures.push(Figure::paired([&table, &place.layout.name(), column], unit, values, base, bound));
        }
    }
    Ok(figures)
}

/// A layout that keeps nobody out, or everybody, would measure well.
fn is_what_it_says(layout: Layout, wires: &Wires) -> Result {
    let traffic = Traffic::new(wires, layout.target())?;
    // The kernel carries it through within the call that sends it.
    let patience = Duration::from_millis(100);
    let (friend, stranger) = (traffic.arrives(CLIENT, 10 * patience)?, traffic.arrives(STRANGER, patience)?);
    if friend && stranger == layout.is_open() {
        return Ok(());
    }
    Err(format!("{}: the friend arrives: {friend}, the stranger: {stranger}", layout.name()).into())
}

fn once(place: &mut Place, effort: &Effort) -> Result {
    let traffic = Traffic::new(&place.wires, place.layout.target())?;
    let (udp, tcp) = (traffic.udp_new(effort.flows)?, traffic.tcp_new(effort.flows)?);
    let (stream, small) = (traffic.stream(effort.during)?, traffic.small(effort.during)?);
    let once = [udp.latency, udp.rate, tcp.latency, tcp.rate, stream, small];
    for (values, value) in place.values.iter_mut().zip(once) {
        values.push(value);
    }
    Ok(())
}

/// A layout by the number of containers.
type Growing = (&'static str, fn(usize) -> Layout);

/// What grows with that number.
fn walked(flavour: Flavour, quick: bool) -> Result<Vec<Figure>> {
    let sizes = if quick { &[1, 1000, MOST][..] } else { counts(false) };
    let layouts: [Growing; 4] = [
        ("Docker alone", |_| Layout::Docker),
        ("docker-firewall", |containers| Layout::Ours { containers, friends: 1 }),
        ("linear rules", Layout::Linear),
        ("ufw-docker's layout", Layout::UfwDocker),
    ];
    let mut figures = Vec::new();
    for (name, layout) in layouts {
        let row = format!("{name}, iptables-{}", flavour.name());
        eprintln!("packets: counting rules, {row}");
        let mut first = None;
        for &count in if layout(1) == Layout::Docker { &[1] } else { sizes } {
            let wires = Wires::lay("walk", Way::Published)?;
            let _owner = layout(count).load(&wires, flavour)?;
            let rules = as_f64(walk::rules(layout(count), &wires, flavour)?);
            let one = *first.get_or_insert(rules);
            let bound = if layout(count).is_ours() { Bound::Within(one) } else { Bound::None };
            figures.push(Figure::alone([WALKED, &row, &so_many(count, "container")], "rules", rules, bound));
        }
    }
    Ok(figures)
}
