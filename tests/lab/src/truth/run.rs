//! The table's run: baseline, then phase by phase.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use super::cell::{Cell, table};
use super::model::Model;
use super::script::{Extent, Phase, SCRIPT};
use super::world::{TARGETS, World};
use super::{foreign, live};
use crate::{Answer, Client, Engine, Flavour, Lab, LabError, LabSpec, Probe, Protocol, Saves, Say};

/// A command that takes longer than this is told of.
const SLOW: Duration = Duration::from_secs(3);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many expectations were held against the world: cells, sessions, kernel states, commands.
    pub cells: usize,
    /// Those that were not met.
    pub wrong: Vec<String>,
}

impl Report {
    fn check(&mut self, phase: &str, wrong: Option<String>) {
        self.cells += 1;
        self.wrong.extend(wrong.map(|text| format!("{phase}: {text}")));
    }
}

struct Run<'a> {
    world: World<'a>,
    cells: Vec<Cell>,
    baseline: Vec<bool>,
    sessions: Vec<Cell>,
    sessions_baseline: Vec<bool>,
    clean: Saves,
    model: Model,
    report: Report,
    /// The next word that no datagram has said yet.
    word: u64,
    tell: &'a mut dyn FnMut(&str),
}

/// Makes a lab and runs the whole table in it with this plugin. Tells one line a phase.
pub fn run(spec: LabSpec, plugin: &Path, tell: &mut dyn FnMut(&str)) -> Result<Report, LabError> {
    let start = Instant::now();
    let lab = Lab::up(spec)?;
    lab.install_plugin(plugin)?;
    let world = World::start(&lab)?;
    for web in world.addresses(&TARGETS[0], "bridge").into_iter().filter(IpAddr::is_ipv4) {
        foreign::plant(&lab, web)?;
    }
    let cells = table(&world)?;
    let sessions = live::sessions(&world)?;
    let mut run = Run {
        world,
        cells,
        baseline: Vec::new(),
        sessions,
        sessions_baseline: Vec::new(),
        clean: foreign::whole(&lab)?,
        model: Model::default(),
        report: Report::default(),
        word: 1,
        tell,
    };
    let stranger: IpAddr = Client::Stranger.v4();
    run.model.foreign_set("crowdsec", stranger);
    run.take_baseline(start)?;
    for phase in SCRIPT {
        run.phase(phase)?;
    }
    Ok(run.report)
}

impl Run<'_> {
    fn take_baseline(&mut self, start: Instant) -> Result<(), LabError> {
        let mut first = self.observe(&self.cells.clone(), "baseline")?;
        // What Docker opens is open each time; a second look tells a lost packet from a closed port.
        let second = self.observe(&self.cells.clone(), "baseline")?;
        let mut usable = Vec::new();
        for ((cell, one), other) in self.cells.iter().zip(&first).zip(&second) {
            let wrong = match (one, other) {
                (true, true) => None,
                (false, false) => cell.must_be_open().then_some("closed by Docker, the table would test nothing"),
                _ => Some("once open and once closed"),
            };
            let misled = wrong.is_some() && is_misled(self.world.lab.spec(), cell);
            usable.push(!misled);
            if !misled {
                self.report.check("baseline", wrong.map(|what| format!("{cell}: {what}")));
            }
        }
        let left_out = usable.iter().filter(|usable| !**usable).count();
        let mut keep = usable.iter();
        self.cells.retain(|_| keep.next() == Some(&true));
        let mut keep = usable.iter();
        first.retain(|_| keep.next() == Some(&true));
        self.baseline = first;
        self.sessions_baseline = self.answered(&self.sessions.clone(), "baseline")?;
        let open = self.baseline.iter().filter(|open| **open).count();
        let text = format!(
            "baseline: {open} of {} cells are open, {left_out} left out, {} sessions; up after {:.1} s",
            self.cells.len(),
            self.sessions_baseline.iter().filter(|open| **open).count(),
            start.elapsed().as_secs_f32()
        );
        (self.tell)(&text);
        Ok(())
    }

    fn phase(&mut self, phase: &Phase) -> Result<(), LabError> {
        let start = Instant::now();
        let (cells, wrong) = (self.report.cells, self.report.wrong.len());
        let held = if phase.live { live::hold(&self.world, self.open_sessions()) } else { Vec::new() };
        for command in phase.commands {
            self.type_in(phase.name, command)?;
        }
        let typed = Instant::now();
        self.look(phase)?;
        let mut more = String::new();
        if phase.live {
            let (number, faults, latest) = live::judge(&held, &self.model, typed);
            let cut = latest.map(|latest| format!(", last packet {} ms after the command", latest.as_millis()));
            let _ = write!(more, ", {number} sessions held{}", cut.unwrap_or_default());
            self.report.cells += number;
            self.report.wrong.extend(faults.into_iter().map(|fault| format!("{}: {fault}", phase.name)));
        }
        self.look_at_kernel(phase)?;
        let (cells, wrong) = (self.report.cells - cells, self.report.wrong.len() - wrong);
        let text =
            format!("{}: {cells} cells, {wrong} wrong{more}; {:.1} s", phase.name, start.elapsed().as_secs_f32());
        (self.tell)(&text);
        Ok(())
    }

    /// The sessions that Docker and the rules let open now.
    fn open_sessions(&self) -> Vec<Cell> {
        let cells = self.sessions.iter().zip(&self.sessions_baseline).filter(|(_, open)| **open).map(|(cell, _)| cell);
        cells.filter(|cell| cell.inbound.is_none_or(|attempt| self.model.lets(&attempt))).cloned().collect()
    }

    fn type_in(&mut self, phase: &str, command: &str) -> Result<(), LabError> {
        let mut words = vec!["firewall"];
        words.extend(command.split_whitespace());
        let start = Instant::now();
        let output = self.world.lab.docker(&words)?;
        if start.elapsed() > SLOW {
            (self.tell)(&format!("docker firewall {command}: took {:.1} s", start.elapsed().as_secs_f32()));
        }
        self.model.obey(command);
        let wrong =
            (!output.success()).then(|| format!("docker firewall {command}: exit {}: {}", output.code, output.said()));
        self.report.check(phase, wrong);
        Ok(())
    }

    /// Every cell of the phase, expected beside observed.
    fn look(&mut self, phase: &Phase) -> Result<(), LabError> {
        let looked: Vec<(Cell, bool)> = self
            .cells
            .iter()
            .zip(&self.baseline)
            .filter(|(cell, _)| phase.extent == Extent::Full || cell.is_short())
            .map(|(cell, baseline)| {
                let lets = cell.inbound.is_none_or(|attempt| self.model.lets(&attempt));
                (cell.clone(), *baseline && lets)
            })
            .collect();
        let cells: Vec<Cell> = looked.iter().map(|(cell, _)| cell.clone()).collect();
        let observed = self.observe(&cells, phase.name)?;
        // A loaded machine may lose a packet. One that came through where none may is never asked about again.
        let lost: Vec<Cell> = looked
            .iter()
            .zip(&observed)
            .filter(|((_, want), seen)| *want && !**seen)
            .map(|((cell, _), _)| cell.clone())
            .collect();
        let mut second = self.observe(&lost, phase.name)?.into_iter();
        for ((cell, expected), first) in looked.into_iter().zip(observed) {
            let seen = first || expected && second.next().unwrap_or(false);
            let word = |open| if open { "open" } else { "closed" };
            let wrong =
                (seen != expected).then(|| format!("{cell}: expected {}, observed {}", word(expected), word(seen)));
            self.report.check(phase.name, wrong);
        }
        Ok(())
    }

    /// The others' rules and sets are as they were, and nothing is left to do.
    fn look_at_kernel(&mut self, phase: &Phase) -> Result<(), LabError> {
        let lab = self.world.lab;
        let reset = phase.commands == ["reset --force"];
        let after = if reset { foreign::whole(lab)? } else { foreign::foreign(lab, &self.model.own_sets())? };
        let Saves { v4, v6, ipset } = self.clean.clone();
        for (what, before, after) in
            [("iptables-save", v4, after.v4), ("ip6tables-save", v6, after.v6), ("ipset save", ipset, after.ipset)]
        {
            let wrong = (before != after).then(|| {
                format!("{what}: what is not ours has changed:\n      {}", foreign::difference(&before, &after))
            });
            self.report.check(phase.name, wrong);
        }
        if !reset {
            let output = lab.docker(&["firewall", "plan"])?;
            let wrong = (!output.success()).then(|| format!("plan: exit {}: {}", output.code, output.said()));
            self.report.check(phase.name, wrong);
        }
        Ok(())
    }

    /// Who gets through, with or without an answer.
    fn observe(&mut self, cells: &[Cell], phase: &str) -> Result<Vec<bool>, LabError> {
        let first = self.word;
        let mut seen = self.answered(cells, phase)?;
        self.ask_the_peers(cells, first, &mut seen)?;
        Ok(seen)
    }

    /// Who gets an answer.
    fn answered(&mut self, cells: &[Cell], phase: &str) -> Result<Vec<bool>, LabError> {
        let first = self.word;
        let probes: Vec<_> = (first..)
            .zip(cells)
            .map(|(word, cell)| (cell.caller.place.clone(), cell.probe().say(Say::Hello(word))))
            .collect();
        self.word += cells.len() as u64;
        let answers = self.world.lab.probe_from(&probes)?;
        let mut seen = Vec::with_capacity(cells.len());
        for (cell, answer) in cells.iter().zip(&answers) {
            seen.push(cell.reached(answer).unwrap_or_else(|wrong| {
                self.report.wrong.push(format!("{phase}: {wrong}"));
                true
            }));
        }
        Ok(seen)
    }

    /// A datagram that came and whose answer was lost did come: the peers are asked, each from its own side.
    fn ask_the_peers(&self, cells: &[Cell], first: u64, seen: &mut [bool]) -> Result<(), LabError> {
        let mut places = Vec::new();
        let mut probes = Vec::new();
        for (place, cell) in cells.iter().enumerate() {
            let peer = self.world.inner.iter().find(|peer| peer.name == cell.peer);
            let (Some(peer), Some(port), false) = (peer, cell.datagrams(), seen[place]) else { continue };
            let probe = Probe::new(Client::Host, Protocol::Udp, Ipv4Addr::LOCALHOST.into(), port);
            places.push(place);
            probes.push((peer.place.clone(), probe.say(Say::Heard(first + place as u64))));
        }
        for (place, answer) in places.into_iter().zip(self.world.lab.probe_from(&probes)?) {
            // No answer at all is no proof of silence.
            seen[place] = answer != Answer::Answered("no".to_owned());
        }
        Ok(())
    }
}

/// `ip6tables-legacy -C` of iptables 1.8.9 takes a rule for another port for the one asked about, so that Docker 20.10
/// leaves some rules of a published port out: half published, it is neither open nor closed.
fn is_misled(spec: &LabSpec, cell: &Cell) -> bool {
    spec.engine == Engine::V20_10 && spec.flavour == Flavour::Legacy && cell.to.is_ipv6() && cell.must_be_open()
}
