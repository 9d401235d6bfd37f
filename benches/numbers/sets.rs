//! Sets at growing sizes, beside plain `ipset restore` of the same entries; and a question put to the kernel all the while.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::Result;
use crate::figure::{Bound, Figure, as_f64, so_many};
use crate::ground::prepare;
use crate::probe::Probe;
use crate::process::{Desk, hand, most_memory, typed};
use crate::wires::{CLIENT, run};
use crate::world::{address, set_text};

/// The headings of its tables.
const TIMES: &str = "beside ipset restore of the same entries";
const MEMORY: &str = "the most memory, of our process and of ipset restore";
const MISSES: &str = "an entry of the old and the new set, asked of the kernel all the while: misses";

/// So many are added at once.
const MORE: [usize; 3] = [100, 1000, 10_000];

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    prepare()?;
    let mut figures = Vec::new();
    for size in [1000, 100_000, 1_000_000] {
        let rounds = match size {
            1000 => 9,
            1_000_000 if quick => 2,
            _ => 3,
        };
        // Of a million, quickly, what has a bound; and who asks all the while does so at any size.
        let all = !quick || size < 1_000_000;
        figures.extend(of_size(size, if quick { rounds } else { rounds * 3 }, all)?);
    }
    Ok(figures)
}

/// The files of one size: ours and, under another name, what `ipset restore` takes.
struct Files {
    new: [PathBuf; 2],
    /// Half of the entries are others, so half leave and half stay.
    other: [PathBuf; 2],
}

/// What is typed by hand to put another set in the place of one: never empty, never wider than the new one.
const SWAP: [&str; 3] = ["ipset restore < OTHER", "ipset swap plain-new plain", "ipset destroy plain-new"];

fn files(place: &Path, size: usize) -> Result<Files> {
    let write = |name: &str, text: String| -> Result<PathBuf> {
        let file = place.join(name);
        fs::write(&file, text)?;
        Ok(file)
    };
    let half = |name: &str| {
        let far = u32::from(Ipv4Addr::new(99, 0, 0, 0));
        let others = (far..).take(size - size / 2).map(Ipv4Addr::from);
        others.fold(set_text(name, CLIENT, size / 2), |mut text, entry| {
            let _ = writeln!(text, "add {name} {entry}");
            text
        })
    };
    Ok(Files {
        new: [
            write("new.conf", set_text("big", CLIENT, size))?,
            write("plain-new.conf", set_text("plain", CLIENT, size))?,
        ],
        other: [write("other.conf", half("big"))?, write("plain-other.conf", half("plain-new"))?],
    })
}

fn of_size(size: usize, rounds: usize, all: bool) -> Result<Vec<Figure>> {
    let desk = Desk::new()?;
    let files = files(desk.path(), size)?;
    let text = |path: &Path| path.display().to_string();
    let (new, other) = (text(&files.new[0]), text(&files.other[0]));
    let load = format!("ipset restore < {}", text(&files.new[1]));
    let swap = SWAP.map(|line| line.replace("OTHER", &text(&files.other[1])));
    let swap = swap.each_ref().map(String::as_str);
    let additions = MORE.map(|count| addition(desk.path(), count));
    let (mut loads, mut swaps) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut adds = vec![(Vec::new(), Vec::new()); MORE.len()];
    for round in 0..rounds {
        eprint!("\rsets, {size} entries: round {} of {rounds}", round + 1);
        loads.1.push(typed(&[&load])?);
        loads.0.push(desk.time(&["set", "import", "big", &new])?);
        for (addition, (values, base)) in additions.iter().zip(&mut adds).take(if all { MORE.len() } else { 0 }) {
            let (words, by_hand) = addition.as_ref().map_err(ToString::to_string)?;
            base.push(typed(&[by_hand])?);
            values.push(desk.time(&words.iter().map(String::as_str).collect::<Vec<_>>())?);
        }
        if all {
            swaps.1.push(typed(&swap)?);
            swaps.0.push(desk.time(&["set", "import", "big", &other])?);
        }
        desk.time(&["set", "rm", "big"])?;
        run(&["ipset", "destroy", "plain"], "")?;
    }
    eprintln!();
    let column = so_many(size, "entry");
    let bound = if size >= 1_000_000 { Bound::AtMost(1.15) } else { Bound::None };
    let time = |row: &str, (values, base): &(Vec<f64>, Vec<f64>), bound| {
        Figure::paired([TIMES, row, &column], "ms", values, base, bound)
    };
    let mut figures = vec![time("set import, a new set", &loads, bound)];
    if all {
        figures.push(time("set import in the place of another, half of it new", &swaps, Bound::None));
    }
    for (count, adds) in MORE.iter().zip(&adds).filter(|(_, adds)| !adds.0.is_empty()) {
        figures.push(time(&format!("set add of {count} more"), adds, Bound::None));
    }
    figures.extend(watched(&desk, &column, [&new, &other], &load)?);
    Ok(figures)
}

/// So many more entries: our words, and the line that is typed by hand.
fn addition(place: &Path, count: usize) -> Result<(Vec<String>, String)> {
    let entries = || (0..count).map(|number| address(number).to_string());
    let words = ["set", "add", "big"].map(str::to_owned).into_iter().chain(entries()).collect();
    let file = place.join(format!("more-{count}.conf"));
    let lines: Vec<String> = entries().map(|entry| format!("add -exist plain {entry}\n")).collect();
    fs::write(&file, lines.concat())?;
    Ok((words, format!("ipset restore < {}", file.display())))
}

/// Memory, and what somebody sees who asks all the time: not taken in the rounds, for who asks takes time.
fn watched(desk: &Desk, column: &str, [new, other]: [&str; 2], load: &str) -> Result<Vec<Figure>> {
    let plain = most_memory(&mut hand(load)?)?;
    let ours = desk.memory(&["set", "import", "big", new])?;
    let replaced = asking("big", || desk.time(&["set", "import", "big", other]).map(drop))?;
    let flushed = asking("plain", || recipe(load))?;
    desk.time(&["set", "rm", "big"])?;
    run(&["ipset", "destroy", "plain"], "")?;
    let misses = |row: &str, (asked, missed): (usize, usize), bound| {
        Figure::alone([MISSES, row, column], &format!("of {asked} questions"), as_f64(missed), bound)
    };
    Ok(vec![
        Figure::paired([MEMORY, "set import", column], "MB", &[ours], &[plain], Bound::None),
        misses("set import in the place of another", replaced, Bound::Within(0.0)),
        misses("ipset flush and ipset restore, as the recipe's file does it", flushed, Bound::None),
    ])
}

/// As a file does that begins with `flush`.
fn recipe(load: &str) -> Result {
    typed(&["ipset flush plain", &load.replace("restore", "-exist restore")]).map(drop)
}

/// How often the kernel was asked for [`CLIENT`] in a set while something was done, and how often it was not there.
fn asking(set: &str, act: impl FnOnce() -> Result) -> Result<(usize, usize)> {
    let (probe, over) = (Probe::open()?, AtomicBool::new(false));
    if !probe.holds(set, CLIENT)? {
        return Err(format!("{set} does not hold {CLIENT}: who asks would miss it always").into());
    }
    thread::scope(|scope| {
        let asker = scope.spawn(|| -> Result<(usize, usize)> {
            let (mut asked, mut missed) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                asked += 1;
                missed += usize::from(!probe.holds(set, CLIENT)?);
            }
            Ok((asked, missed))
        });
        let done = act();
        over.store(true, Ordering::Relaxed);
        let counts = asker.join().unwrap_or_else(|_| Err("the asking thread panicked".into()));
        done.and(counts)
    })
}
