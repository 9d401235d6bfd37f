//! What a packet pays: each layout in a router of its own, all of them measured in turns.

use std::time::Duration;

use docker_firewall::host::nft::Nft;

use crate::Result;
use crate::figure::{Bound, Figure};
use crate::layouts::{Flavour, Layout};
use crate::traffic::Traffic;
use crate::wires::{CLIENT, STRANGER, Wires};

/// How much of everything.
struct Effort {
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
    ("new TCP connection, until connect returns", "µs", Bound::AtMost(1.10)),
    ("new TCP connections", "/s", Bound::AtLeast(0.9)),
    ("established TCP stream", "MB/s", Bound::AtLeast(0.97)),
    ("established UDP flow, small packets", "/s", Bound::AtLeast(0.97)),
];

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    let effort = if quick {
        Effort { rounds: 7, flows: 200, during: Duration::from_millis(30) }
    } else {
        Effort { rounds: 31, flows: 500, during: Duration::from_millis(60) }
    };
    let mut figures = Vec::new();
    for flavour in Flavour::ALL {
        figures.extend(of_flavour(flavour, &layouts(flavour, quick), &effort)?);
    }
    Ok(figures)
}

fn layouts(flavour: Flavour, quick: bool) -> Vec<Layout> {
    let counts: &[usize] = if quick { &[1, 1000] } else { &[1, 100, 1000, 10_000] };
    let sizes: &[usize] = if quick { &[10_000] } else { &[10_000, 1_000_000] };
    let mut layouts = vec![Layout::Docker];
    layouts.extend(counts.iter().map(|&containers| Layout::Ours { containers, friends: 1 }));
    layouts.extend(sizes.iter().map(|&friends| Layout::Ours { containers: 1000, friends }));
    layouts.push(Layout::Third(1000));
    for &count in counts {
        layouts.extend([Layout::Linear(count), Layout::UfwDocker(count)]);
        if flavour == Flavour::Nft {
            layouts.push(Layout::Whalewall(count));
        }
    }
    layouts
}

fn of_flavour(flavour: Flavour, layouts: &[Layout], effort: &Effort) -> Result<Vec<Figure>> {
    let mut places = Vec::new();
    for (number, &layout) in layouts.iter().enumerate() {
        eprintln!("packets, {}: laying {}", flavour.name(), layout.name());
        let wires = Wires::lay(&number.to_string())?;
        let owner = layout.load(&wires, flavour)?;
        is_what_it_says(layout, &wires)?;
        places.push(Place { layout, wires, _owner: owner, values: Default::default() });
    }
    for round in 0..effort.rounds {
        eprint!("\rpackets, {}: round {} of {}", flavour.name(), round + 1, effort.rounds);
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
    for (index, (what, unit, bound)) in KINDS.into_iter().enumerate() {
        for place in others {
            let bound =
                if matches!(place.layout, Layout::Ours { .. } | Layout::Third(_)) { bound } else { Bound::None };
            let what = format!("{what}, {}", flavour.name());
            let (values, base) = (&place.values[index], &base.values[index]);
            figures.push(Figure::paired(&what, &place.layout.name(), unit, values, base, bound));
        }
    }
    Ok(figures)
}

/// A layout that keeps nobody out, or everybody, would measure well.
fn is_what_it_says(layout: Layout, wires: &Wires) -> Result {
    let traffic = Traffic::new(wires, layout.target())?;
    let patience = Duration::from_millis(300);
    let (friend, stranger) = (traffic.arrives(CLIENT, 4 * patience)?, traffic.arrives(STRANGER, patience)?);
    if friend && stranger == (layout == Layout::Docker) {
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
