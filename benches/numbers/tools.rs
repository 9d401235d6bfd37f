//! The tools that `allow` runs, with the same input and in the same order, without `allow`: what its own work comes on top of.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use docker_firewall::ruleset::{is_own_chain, is_own_set};

use crate::Result;
use crate::process::{Desk, typed};
use crate::wires::run;

/// Longer than the kernel takes to free rules that were taken out. Whoever asks a set in a new rule waits for that.
const FREED: Duration = Duration::from_millis(100);

const RESTORES: [&str; 2] = ["iptables-restore", "ip6tables-restore"];
const SAVES: [&str; 2] = ["iptables-save", "ip6tables-save"];

/// What `allow` once wrote.
pub(crate) struct Written {
    /// For `ipset restore`.
    sets: PathBuf,
    /// For `iptables-restore` and `ip6tables-restore`.
    rules: [PathBuf; 2],
    /// The rules of both families without it.
    before: [String; 2],
}

impl Written {
    /// Runs `allow` and takes it back.
    pub(crate) fn of(desk: &Desk, allow: &[&str], back: &[&str]) -> Result<Self> {
        desk.time(allow)?;
        let saved = run(&["ipset", "save"], "")?;
        let is_ours = |line: &&str| line.split(' ').nth(1).is_some_and(is_own_set);
        let sets: Vec<&str> = saved.lines().filter(is_ours).collect();
        let keep = |file: &str, text: String| -> Result<PathBuf> {
            let path = desk.path().join(file);
            fs::write(&path, text)?;
            Ok(path)
        };
        let [v4, v6] = SAVES.map(|save| run(&[save], "").map(|text| ours(&text)));
        let rules = [keep("allow.v4", v4?)?, keep("allow.v6", v6?)?];
        let sets = keep("allow.sets", sets.join("\n") + "\n")?;
        desk.time(back)?;
        let [v4, v6] = SAVES.map(|save| run(&[save], ""));
        let written = Self { sets, rules, before: [v4?, v6?] };
        written.take_back()?;
        Ok(written)
    }

    /// Milliseconds of all tools; those that `allow` runs side by side start together.
    pub(crate) fn time(&self) -> Result<f64> {
        let look = ["iptables-save --counters", "ip6tables-save --counters", "ipset list -terse"].map(str::to_owned);
        let from = |tool: &str, file: &Path| format!("{tool} < {}", file.display());
        let [v4, v6] = [0, 1].map(|family| from(&format!("{} --noflush", RESTORES[family]), &self.rules[family]));
        let begun = Instant::now();
        together(&look)?;
        together(&[from("ipset restore", &self.sets)])?;
        together(&[v4, v6])?;
        together(&look)?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    /// Leaves the kernel as it was, and at rest.
    pub(crate) fn take_back(&self) -> Result {
        for (restore, before) in RESTORES.iter().zip(&self.before) {
            run(&[restore], before)?;
        }
        let sets = run(&["ipset", "list", "-name"], "")?;
        let doomed: Vec<String> =
            sets.lines().filter(|name| is_own_set(name)).map(|name| format!("destroy {name}\n")).collect();
        run(&["ipset", "restore"], &doomed.concat())?;
        rest();
        Ok(())
    }
}

/// Lets the kernel free the rules that were taken out.
pub(crate) fn rest() {
    thread::sleep(FREED);
}

/// What is ours of what `iptables-save` prints.
fn ours(save: &str) -> String {
    let is_ours = |line: &str| line.split([' ', ':']).any(is_own_chain);
    let is_table = |line: &str| line.starts_with('*') || line == "COMMIT";
    let lines: Vec<&str> = save.lines().filter(|line| is_table(line) || is_ours(line)).collect();
    lines.join("\n") + "\n"
}

/// Runs the lines at once, until the last has ended.
fn together(lines: &[String]) -> Result {
    thread::scope(|scope| {
        let running: Vec<_> = lines.iter().map(|line| scope.spawn(move || typed(&[line]).map(drop))).collect();
        running.into_iter().try_for_each(|line| line.join().unwrap_or_else(|_| Err("a tool's thread panicked".into())))
    })
}
