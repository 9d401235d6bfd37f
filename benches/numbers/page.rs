//! The page made of what is kept.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::figure::cell;
use crate::summary;

/// The whole page.
pub(crate) fn page(all: &Map<String, Value>) -> String {
    let mut text = format!("{PREFACE}{}{READING}", summary::table(all));
    for (name, about) in PARTS {
        if let Some(value) = all.get(*name) {
            let _ = write!(text, "\n{}", part(name, about, value));
        }
    }
    text
}

/// A part's tables.
pub(crate) fn part(name: &str, about: &str, part: &Value) -> String {
    let environment = &part["environment"];
    let word = |key: &str| environment[key].as_str().unwrap_or_default();
    let mut text = format!("## {name}\n\n");
    if !about.is_empty() {
        let _ = write!(text, "{about}\n\n");
    }
    let _ = writeln!(
        text,
        "{}, `{}`{}, {} build, {} s. Kernel {}, {}, {}{}. {} processors ({}), load {} before and {} after.",
        word("date"),
        word("command"),
        if environment["quick"] == true { " (fewer sizes and rounds)" } else { "" },
        word("build"),
        environment["seconds"],
        word("kernel"),
        word("iptables"),
        word("ipset"),
        if word("engine").is_empty() { String::new() } else { format!(", {}", word("engine")) },
        environment["processors"],
        word("processor"),
        word("load_before"),
        word("load_after"),
    );
    let figures: Vec<&Value> = part["figures"].as_array().into_iter().flatten().collect();
    for table in distinct(&figures, "table") {
        let here: Vec<&Value> = figures.iter().copied().filter(|figure| figure["table"] == table).collect();
        let columns = distinct(&here, "column");
        let head = columns.join(" | ");
        let _ = writeln!(text, "\n### {table}\n\n| | {head} |\n|---|{}", "---|".repeat(columns.len()));
        for row in distinct(&here, "row") {
            let _ = write!(text, "| {row} |");
            for column in &columns {
                let one = here.iter().find(|figure| figure["row"] == row && figure["column"] == *column);
                let _ = write!(text, " {} |", one.map_or(String::new(), |figure| cell(figure)));
            }
            text.push('\n');
        }
    }
    text
}

/// The values of a key, each once, in their order.
fn distinct<'a>(figures: &[&'a Value], key: &str) -> Vec<&'a str> {
    let mut values = Vec::new();
    for value in figures.iter().filter_map(|figure| figure[key].as_str()) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

const PREFACE: &str = "# Benchmarks

Made by `benches/run.sh`; not edited by hand. docs/benchmarks.json has the same figures for programs. What has to hold, and what
was measured last:

";

const READING: &str = "
## How to read the tables

A cell is the ratio to the baseline, in brackets the first and the third quartile of the rounds' ratios, then the figure and the
baseline's. Both are taken in turns, so other work on the machine slows both alike: the ratio counts and not the figure. Bold
is what misses its bound. A cell without ratio has no baseline.
";

/// The parts in the page's order, with what has to be known of them.
const PARTS: &[(&str, &str)] = &[
    (
        "packets",
        "Three network namespaces: client, router, server. The baseline is Docker's own rules. Every flow is new to the connection
table, which is emptied before each run. The container in the middle is asked, so a linear search is half through.
The *published port* is what a user has: the client calls the host's address, Docker's DNAT leads it over a Linux bridge to the
container's veth, and the server is a thread of its own that has to be woken, on a processor of its own, or on the
client's: then nobody waits for a processor to wake up, and rounds differ less. The *bare way* has neither DNAT nor bridge,
and one thread plays both ends, so the kernel carries a packet through within the call that sends it: nothing waits, and
each rule weighs as much as it can. *Docker alone* is laid and measured twice, and shows what chance makes. The rows named
*limit* are parts of what this program does, to show where the cost comes from. How many rules a connection is held against
is read off the kernel's counters after a single packet.",
    ),
    (
        "commands",
        "Whole processes, each in turns with what is typed by hand for the same, against an engine that is made up and answers at once,
and a real kernel.",
    ),
    (
        "engine",
        "Through the client of a real engine, as people type. *docker nothing* is a plugin that does nothing: what docker's client takes
to find and start any plugin.",
    ),
    (
        "sets",
        "Files, record and read-back included. Who asks about an entry all the while has a processor for himself, and that run is not
timed.",
    ),
    (
        "agent",
        "From the moment at which the engine wrote the event of a container's start until the kernel's set holds the container's new
address, asked over netlink. The policy closes everything and allows one network. Processor time is that of the agent and of
the tools that it runs, in percent of one processor.",
    ),
    (
        "core",
        "The pure steps, by `cargo bench`: what one rule costs at a size, against what it costs at 1,000 rules, the sizes in turns. A step
that were quadratic would show a ratio of 100 at 100,000 rules. The trace, which tests hold the
compiled rules against and no command runs, asks member after member, and is held to nothing.",
    ),
];
