//! Figures kept as JSON, and the page made of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::figure::{Figure, HEAD, row};

/// Where and when a part was measured.
pub(crate) struct Environment {
    date: String,
    kernel: String,
    iptables: String,
    processors: usize,
    load: String,
    quick: bool,
}

impl Environment {
    pub(crate) fn now(quick: bool) -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            kernel: file("/proc/sys/kernel/osrelease"),
            iptables: crate::wires::run(&["iptables", "--version"], "").unwrap_or_default().trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            load: load(),
            quick,
        }
    }

    pub(crate) fn json(&self, figures: &[Figure]) -> Value {
        json!({
            "environment": {
                "date": self.date, "kernel": self.kernel, "iptables": self.iptables, "processors": self.processors,
                "load_before": self.load, "load_after": load(), "quick": self.quick,
                "build": if cfg!(debug_assertions) { "debug" } else { "release" },
            },
            "figures": figures.iter().map(Figure::json).collect::<Vec<_>>(),
        })
    }
}

/// Of the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

pub(crate) fn read(store: &Path) -> Result<Map<String, Value>> {
    if !store.exists() {
        return Ok(Map::new());
    }
    Ok(serde_json::from_str(&fs::read_to_string(store)?)?)
}

/// Puts a part in the place of what was kept of it.
pub(crate) fn keep(store: &Path, name: &str, part: &Value) -> Result {
    let mut all = read(store)?;
    all.insert(name.to_owned(), part.clone());
    if let Some(directory) = store.parent() {
        fs::create_dir_all(directory)?;
    }
    Ok(fs::write(store, serde_json::to_string_pretty(&all)? + "\n")?)
}

/// A part's table.
pub(crate) fn part(name: &str, part: &Value) -> String {
    let about = &part["environment"];
    let word = |key: &str| about[key].as_str().unwrap_or("?");
    let mut text = format!(
        "## {name}\n\n{}, {}{} build, kernel {}, {}, {} processors, load {} before and {} after.\n\n{HEAD}",
        word("date"),
        if about["quick"] == true { "quick, " } else { "" },
        word("build"),
        word("kernel"),
        word("iptables"),
        about["processors"],
        word("load_before"),
        word("load_after"),
    );
    for figure in part["figures"].as_array().into_iter().flatten() {
        text.push_str(&row(figure));
    }
    text
}

/// The whole page.
pub(crate) fn page(all: &Map<String, Value>) -> String {
    let mut text = PREFACE.to_owned();
    for (name, value) in all {
        let _ = write!(text, "\n{}", part(name, value));
    }
    text
}

const PREFACE: &str = "# Benchmarks

Made by `benches/run.sh`; not edited by hand. Every figure stands beside a baseline of the same run. Where both are taken in
turns (all parts but `core`), the ratio is the median of the ratios of all rounds, and in brackets are their quartiles:
other work on the machine slows both alike, so the ratio counts and not the figure.

- `packets`: one thread plays client and server in two network namespaces with a router between, and the kernel carries each
  packet through within the call that sends it. The baseline is Docker's own rules. Every flow is new to the connection
  table, which is emptied between runs. The container in the middle is asked, so a linear search is half through.
  That way is a bare one (no network card, no waiting), so each rule weighs as much as it can.
- `commands`: whole processes against an engine that is made up and answers at once, one request after another to a real
  kernel; the baseline is `ipset restore` and two `iptables -I`, typed one after the other.
- `sets`: `set import` and `set add` against `ipset restore` of the same entries, with files and record kept and read back.
- `core`: the pure steps, what one rule costs at a size against what it costs at the first size.
";
