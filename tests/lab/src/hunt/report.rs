//! What came of a hunt, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::stranger::{Seen, Times};

/// What came of one kind of event.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub name: &'static str,
    pub times: usize,
    /// The stranger's attempts and those that got through; filled in the end.
    pub attempts: u64,
    pub leaks: usize,
    /// The friend's attempts while it should have been served, and those that were refused.
    pub tries: usize,
    pub refused: usize,
    /// The longest time in which one port was refused to the friend.
    pub longest: Duration,
    /// That port.
    pub worst: String,
    /// For each time: until the friend was served everywhere and our rules were in place.
    pub repairs: Vec<Duration>,
    /// Ports at which the friend was never served again.
    pub stuck: Vec<String>,
}

impl Row {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// What was going on: what was set up and put back is part of it.
    pub(super) fn stages(name: &str) -> [String; 3] {
        [name.to_owned(), format!("{name} (before)"), format!("{name} (after)")]
    }

    /// The time within which so many of a hundred repairs were done.
    fn repaired(&self, percent: usize) -> Option<u128> {
        let mut sorted = self.repairs.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map(Duration::as_millis)
    }

    /// What is known while the hunt goes on.
    pub(super) fn line(&self) -> String {
        let stuck = if self.stuck.is_empty() { String::new() } else { format!(", STUCK: {}", self.stuck.join(", ")) };
        format!(
            "{} x{}: friend refused {} of {}, longest {} ms{}, mended p50 {} ms{stuck}",
            self.name,
            self.times,
            self.refused,
            self.tries,
            self.longest.as_millis(),
            self.worst,
            self.repaired(50).map_or_else(|| "-".to_owned(), |took| took.to_string())
        )
    }
}

/// What came of a hunt.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(super) title: String,
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
    pub(super) seen: Seen,
    /// Leaks of each event where there is neither agent nor backstop.
    pub(super) controls: BTreeMap<&'static str, usize>,
    /// What the agent said.
    pub log: String,
}

impl Report {
    pub(super) fn looked(&mut self, seen: Seen) {
        for row in &mut self.rows {
            let stages = Row::stages(row.name);
            row.attempts = stages.iter().filter_map(|stage| seen.tries.get(stage)).sum();
            row.leaks = stages.iter().map(|stage| seen.leaks_of(stage)).sum();
        }
        self.seen = seen;
    }

    /// All that got through.
    pub fn leaks(&self) -> usize {
        self.seen.leaks.values().map(|times| times.number).sum()
    }

    /// What else is not as it should be: ports at which the friend is shut out for good, and ways in which nobody looked.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self
            .rows
            .iter()
            .filter(|row| !row.stuck.is_empty())
            .map(|row| format!("{}: the friend was not served again: {}", row.name, row.stuck.join(", ")))
            .collect();
        for kind in ["tcp IPv4", "tcp IPv6", "udp IPv4", "udp IPv6"] {
            if !self.rows.is_empty() && self.seen.open.get(kind).copied().unwrap_or_default() == 0 {
                wrong.push(format!("by {kind} the stranger was never answered by anybody: it does not look"));
            }
        }
        for (name, leaks) in &self.controls {
            if *leaks == 0 {
                wrong.push(format!("{name}: nothing leaks without agent and backstop: it does not look"));
            }
        }
        wrong
    }

    /// The last line.
    pub fn summary(&self) -> String {
        let times: usize = self.rows.iter().map(|row| row.times).sum();
        let attempts: u64 = self.seen.tries.values().sum();
        format!(
            "{}: {times} provocations, {attempts} attempts of the stranger, {} leaks, {} wrong",
            self.title,
            self.leaks(),
            self.wrong().len()
        )
    }

    /// The table, and what got through.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<22} {:>5} {:>9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
            "EVENT", "TIMES", "STRANGER", "LEAKS", "FRIEND", "REFUSED", "GAP MS", "P50 MS", "P99 MS"
        );
        let number = |time: Option<u128>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        for row in &self.rows {
            let _ = writeln!(
                text,
                "{:<22} {:>5} {:>9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}",
                row.name,
                row.times,
                row.attempts,
                row.leaks,
                row.tries,
                row.refused,
                row.longest.as_millis(),
                number(row.repaired(50)),
                number(row.repaired(99))
            );
        }
        for (leak, times) in &self.seen.leaks {
            let Times { number, first, last } = times;
            let _ = writeln!(text, "LEAK {}: {} x{number}, {first} to {last} ms after", leak.stage, leak.what);
        }
        for what in self.wrong() {
            let _ = writeln!(text, "WRONG {what}");
        }
        if !self.controls.is_empty() {
            let controls: Vec<String> = self.controls.iter().map(|(name, leaks)| format!("{name} {leaks}")).collect();
            let _ = writeln!(text, "without agent and backstop, leaks: {}", controls.join(", "));
        }
        let open: Vec<String> = self.seen.open.iter().map(|(kind, number)| format!("{kind} {number}")).collect();
        let _ = writeln!(
            text,
            "the stranger was answered by open containers: {}; docker-proxy took {} connections that led nowhere; seed {}",
            open.join(", "),
            self.seen.mute,
            self.seed
        );
        text
    }

    /// The same for programs.
    pub fn json(&self) -> String {
        let number = |time: Option<u128>| time.map_or_else(|| "null".to_owned(), |time| time.to_string());
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                format!(
                    "{{\"event\":\"{}\",\"times\":{},\"stranger_tries\":{},\"leaks\":{},\"friend_tries\":{},\
                     \"wrong_refusals\":{},\"longest_gap_ms\":{},\"repair_p50_ms\":{},\"repair_p99_ms\":{}}}",
                    row.name,
                    row.times,
                    row.attempts,
                    row.leaks,
                    row.tries,
                    row.refused,
                    row.longest.as_millis(),
                    number(row.repaired(50)),
                    number(row.repaired(99))
                )
            })
            .collect();
        let controls: Vec<String> = self.controls.iter().map(|(name, leaks)| format!("\"{name}\":{leaks}")).collect();
        format!(
            "{{\"world\":\"{}\",\"seed\":{},\"leaks\":{},\"wrong\":{},\"events\":[{}],\"controls\":{{{}}}}}",
            self.title,
            self.seed,
            self.leaks(),
            self.wrong().len(),
            rows.join(","),
            controls.join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_few_is_the_worst() {
        let repairs = [30, 10, 20].map(Duration::from_millis).to_vec();
        let row = Row { repairs, ..Row::default() };
        assert_eq!((row.repaired(50), row.repaired(99)), (Some(20), Some(30)));
        assert_eq!(Row::default().repaired(50), None);
    }

    #[test]
    fn a_control_without_leaks_is_wrong() {
        let report = Report { controls: [("swap", 0), ("restart", 3)].into(), ..Report::default() };
        assert_eq!(report.wrong().len(), 1);
    }
}
