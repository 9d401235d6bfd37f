//! Every command, every call, every way to be struck.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::hammer::Hammer;
use super::trap::{How, Trap, writes};
use crate::{Client, Lab, LabError, LabSpec, Protocol};

/// What stands before each command. The stranger is kept out of all that is hammered on.
const BASE: &[&str] = &[
    "set create ipfriends",
    "set add ipfriends 203.0.113.10 fd00:1::10",
    "set create ipguests",
    "set add ipguests 198.51.100.1",
    "allow web --from ipfriends",
    "allow plain --from ipfriends",
    "allow web --from ipguests",
];

/// The commands that are interrupted; neither before nor after any of them may the stranger come in.
const COMMANDS: &[&str] = &[
    "allow web plain --from 198.51.100.0/24,2001:db8::/32 --port 443",
    "deny web --from 203.0.113.10",
    "rm 1",
    "set add ipguests 198.51.100.2 fd00:2::1",
    "set del ipfriends 203.0.113.10 fd00:1::10",
    "default closed",
    "apply --hook docker",
    "apply --hook forward",
];

/// Where the files are that say what shall be.
const FILES: &str = "/etc/docker-firewall /var/lib/docker-firewall";

/// What differs when nothing is missing and nothing too much.
const REORDERED: &str = "the same lines in another order";

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls at which something happened.
    pub points: usize,
    /// Runs, several a call.
    pub runs: usize,
    /// Runs of the agent in which the call to strike at never came.
    pub missed: usize,
    /// Attempts of the stranger meanwhile.
    pub attempts: u64,
    /// Those that succeeded.
    pub wider: Vec<String>,
    /// What else was not as it should be.
    pub wrong: Vec<String>,
}

pub(super) struct Run<'a> {
    pub(super) lab: &'a Lab,
    pub(super) trap: Trap<'a>,
    pub(super) hammer: Hammer,
    pub(super) report: Report,
    /// The tool that was struck, by what was going on.
    pub(super) struck: BTreeMap<String, String>,
    left: Vec<String>,
    /// Every way to be struck, also those that take their time.
    pub(super) long: bool,
}

/// Makes a lab and does it all with this plugin; `long` strikes the agent in every way. Tells one line a command.
pub fn run(spec: LabSpec, plugin: &Path, long: bool, tell: &mut dyn FnMut(&str)) -> Result<Report, LabError> {
    let lab = Lab::up(spec)?;
    lab.install_plugin(plugin)?;
    lab.docker(&["network", "create", "four"])?.require("docker network create")?;
    lab.run("web", &["-p", "8080:80", "-p", "5353:53/udp"], &["tcp=80", "udp=53"])?;
    lab.run("plain", &["--network", "four", "-p", "8280:80", "-p", "5553:53/udp"], &["tcp=80", "udp=53"])?;
    for command in BASE {
        typed(&lab, command)?;
    }
    let mut targets = Vec::new();
    for to in [Client::Host.v4(), Client::Host.v6()] {
        targets.extend([(Protocol::Tcp, to, 8080), (Protocol::Udp, to, 5353)]);
        targets.extend([(Protocol::Tcp, to, 8280), (Protocol::Udp, to, 5553)]);
    }
    targets.extend(lab.addresses("web", "bridge")?.v4.map(|to| (Protocol::Tcp, to, 80)));
    let hammer = Hammer::start(&lab, &targets);
    let mut run = Run {
        lab: &lab,
        trap: Trap::new(&lab)?,
        hammer,
        report: Report::default(),
        struck: BTreeMap::new(),
        left: Vec::new(),
        long,
    };
    run.keep()?;
    for command in COMMANDS {
        let line = run.command(command)?;
        tell(&line);
    }
    super::agent::scenes(&mut run, tell)?;
    let Run { hammer, mut report, struck, left, .. } = run;
    let successes;
    (report.attempts, successes) = hammer.end();
    report.wider = successes
        .into_iter()
        .map(|((during, what), times)| {
            let tool = struck.get(&during).map(|tool| format!(" ({tool})")).unwrap_or_default();
            format!("{times} times {what} during: {during}{tool}")
        })
        .collect();
    if let Some(first) = left.first() {
        let number = left.len();
        report.wrong.push(format!("{number} staged files were left after a kill and an apply, such as {first}"));
    }
    Ok(report)
}

fn typed(lab: &Lab, command: &str) -> Result<(), LabError> {
    let mut words = vec!["firewall"];
    words.extend(command.split_whitespace());
    lab.docker(&words)?.require(&format!("docker firewall {command}")).map(drop)
}

impl Run<'_> {
    fn command(&mut self, command: &str) -> Result<String, LabError> {
        self.hammer.during(format!("{command}, not struck"));
        let old = self.state()?;
        let whole = self.trap.spring(command, 0, How::Before)?;
        if !whole.output.success() {
            self.report.wrong.push(format!("{command}: exit {}: {}", whole.output.code, whole.output.said()));
        }
        let new = self.state()?;
        let (runs, wrong) = (self.report.runs, self.report.wrong.len());
        for (index, call) in whole.calls.iter().enumerate() {
            self.report.points += 1;
            let hows: &[How] = if !writes(call) {
                &[How::Before, How::Fail]
            } else if call.contains("ipset") {
                // The kernel takes tables whole; sets it takes line by line.
                &[How::Before, How::After, How::Torn, How::Fail]
            } else {
                &[How::Before, How::After, How::Fail]
            };
            for how in hows {
                self.back_to(&old, true)?;
                self.strike(command, index + 1, *how, &old, &new)?;
            }
        }
        self.back_to(&old, true)?;
        let (runs, wrong) = (self.report.runs - runs, self.report.wrong.len() - wrong);
        let written = whole.calls.iter().filter(|call| writes(call)).count();
        Ok(format!("{command}: {} calls, {written} of them write; {runs} runs, {wrong} wrong", whole.calls.len()))
    }

    /// The files as they are become those to go back to.
    pub(super) fn keep(&self) -> Result<(), LabError> {
        let script = format!("rm -rf /root/old; mkdir /root/old; cp -a --parents {FILES} /root/old");
        self.lab.exec(&["sh", "-euc", &script])?.require("cp").map(drop)
    }

    /// The files as they were, and the kernel made to hold them: in this order, unless the engine wrote its own anew.
    pub(super) fn back_to(&mut self, old: &str, ordered: bool) -> Result<(), LabError> {
        // Entries that no file ever knew count as the administrator's own, and stay: hence the sets are emptied.
        let script = format!(
            "rm -rf {FILES}; cp -a /root/old/. /
             for set in ipfriends ipguests; do ipset flush $set; ipset flush $set-v6; done"
        );
        self.lab.exec(&["sh", "-euc", &script])?.require("cp")?;
        typed(self.lab, "apply")?;
        let state = self.state()?;
        let difference = difference(old, &state);
        if state != old && (ordered || difference != REORDERED) {
            let what = format!("back to the old policy: {difference}");
            self.report.wrong.push(what);
        }
        Ok(())
    }

    fn strike(&mut self, command: &str, at: usize, how: How, old: &str, new: &str) -> Result<(), LabError> {
        let during = format!("{command}, {how} call {at}");
        self.hammer.during(during.clone());
        let sprung = self.trap.spring(command, at, how)?;
        self.struck.insert(during, sprung.struck.clone());
        self.report.runs += 1;
        if sprung.struck.is_empty() {
            // Calls side by side may come in another order, but there are as many each time.
            self.report.wrong.push(format!("{command}: call {at} never came"));
            return Ok(());
        }
        let what = format!("{command}, {} (call {at})", sprung.struck);
        if how == How::Fail {
            let state = self.state()?;
            let want = if sprung.output.success() { new } else { old };
            if state != want {
                self.report.wrong.push(format!(
                    "{what}: exit {}, {}; not undone: {}",
                    sprung.output.code,
                    sprung.output.said(),
                    difference(want, &state)
                ));
            }
        } else if sprung.output.success() {
            self.report.wrong.push(format!("{what}: killed, and still exit 0"));
        }
        let applied = self.lab.docker(&["firewall", "apply"])?;
        let plan = self.lab.docker(&["firewall", "plan"])?;
        for (verb, output) in [("apply", applied), ("plan", plan)] {
            if !output.success() {
                self.report.wrong.push(format!("{what}: {verb} afterwards: exit {}: {}", output.code, output.said()));
            }
        }
        self.leftovers()?;
        let state = self.state()?;
        if state != old && state != new {
            self.report.wrong.push(format!(
                "{what}: apply led to neither policy. Against the old: {}; against the new: {}",
                difference(old, &state),
                difference(new, &state)
            ));
        }
        Ok(())
    }

    /// All that the kernel holds, without counters and chances, and the files' names.
    pub(super) fn state(&self) -> Result<String, LabError> {
        let saves = self.lab.save()?;
        let mut text = String::new();
        for save in [&saves.v4, &saves.v6] {
            for line in save.lines().filter(|line| !line.starts_with('#')) {
                text += line.split(" [").next().unwrap_or(line);
                text.push('\n');
            }
        }
        // Members come in no order; the seed of a set is drawn anew each time, its size grows and never shrinks; some count.
        let told = ["hashsize", "packets", "bytes"];
        let chance = |line: &str| {
            let words = line.split(" initval ").next().unwrap_or(line).split(' ');
            words
                .scan("", |before, word| Some((std::mem::replace(before, word), word)))
                .filter(|(before, word)| !told.contains(before) && !told.contains(word))
                .flat_map(|(_, word)| [word, " "])
                .collect::<String>()
        };
        let members: BTreeSet<String> = saves.ipset.lines().map(chance).collect();
        for line in members {
            text += &line;
            text.push('\n');
        }
        // What was staged beside its place is looked for apart.
        let script = "find /etc/docker-firewall -type f ! -name '.*' | sort | xargs -r grep -H '^[^#]'";
        text += &self.lab.exec(&["sh", "-c", script])?.stdout;
        Ok(text)
    }

    /// Files that a kill left half-way, which nobody took away since.
    pub(super) fn leftovers(&mut self) -> Result<(), LabError> {
        let found = self.lab.exec(&["sh", "-c", &format!("find {FILES} -type f -name '.*'")])?.stdout;
        self.left.extend(found.lines().map(str::to_owned));
        Ok(())
    }
}

/// The lines in which two states differ.
pub(super) fn difference(want: &str, have: &str) -> String {
    let (left, right): (BTreeSet<&str>, BTreeSet<&str>) = (want.lines().collect(), have.lines().collect());
    let lines: Vec<String> = left
        .difference(&right)
        .map(|line| format!("- {line}"))
        .chain(right.difference(&left).map(|line| format!("+ {line}")))
        .take(8)
        .collect();
    if lines.is_empty() { REORDERED.to_owned() } else { lines.join(" | ") }
}
