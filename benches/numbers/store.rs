//! Figures kept as JSON, with where and when they were taken.

use std::fs;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::figure::Figure;

/// Where and when a part is measured.
pub(crate) struct Environment {
    begun: Instant,
    load: String,
    quick: bool,
}

impl Environment {
    pub(crate) fn now(quick: bool) -> Self {
        Self { begun: Instant::now(), load: load(), quick }
    }

    /// A part as it is kept, when it is over.
    pub(crate) fn part(&self, figures: &[Figure]) -> Value {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let said = |words: &[&str]| crate::wires::run(words, "").unwrap_or_default().trim().to_owned();
        let processor = file("/proc/cpuinfo");
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let server = ["docker", "version", "--format", "docker {{.Client.Version}}, engine {{.Server.Version}}"];
        json!({
            "environment": {
                "date": Timestamp::now().strftime("%Y-%m-%d").to_string(),
                "command": std::env::var("BENCH_COMMAND").unwrap_or_default(),
                "kernel": file("/proc/sys/kernel/osrelease"), "iptables": said(&["iptables", "--version"]),
                "ipset": said(&["ipset", "--version"]).lines().next(), "engine": said(&server),
                "processors": std::thread::available_parallelism().map_or(0, usize::from),
                "processor": processor.trim_start_matches([' ', '\t', ':']),
                "load_before": self.load, "load_after": load(), "quick": self.quick,
                "build": if cfg!(debug_assertions) { "debug" } else { "release" },
                "seconds": self.begun.elapsed().as_secs(),
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

/// All parts that were ever measured.
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
    Ok(fs::write(store, serde_json::to_string_pretty(&all)? + "\n")?)
}
