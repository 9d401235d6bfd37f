//! The table's run: baseline, then phase by phase.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::baseline::{Baseline, Before};
use super::cell::{Cell, table};
use super::explained::{Explained, explained};
use super::figures::Figures;
use super::listed::listed;
use super::look::Eye;
use super::model::Model;
use super::script::{Extent, Phase, Step};
use super::variant::Variant;
use super::world::World;
use super::{foreign, live};
use crate::{Client, Lab, LabError, LabSpec, Saves};

/// A command that takes longer than this is told of.
const SLOW: Duration = Duration::from_secs(3);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many expectations were held against the world: cells, sessions, kernel states, commands.
    pub cells: usize,
    /// Those that were not met.
    pub wrong: Vec<String>,
    /// What `explain` said, beside what the kernel did.
    pub explained: Explained,
    /// What `ls` said, beside the same.
    pub listed: Explained,
    /// What became of withdrawn sessions.
    pub figures: Figures,
}

impl Report {
    pub(crate) fn check(&mut self, phase: &str, wrong: Option<String>) {
        self.cells += 1;
        self.wrong.extend(wrong.map(|text| format!("{phase}: {text}")));
    }
}

struct Run<'a> {
    variant: &'static Variant,
    world: World<'a>,
    eye: Eye,
    cells: Vec<Cell>,
    sessions: Vec<Cell>,
    /// What was seen in rehearsal, each with the number of the phase from which it counts.
    baselines: Vec<(usize, Baseline)>,
    baseline: Baseline,
    clean: Saves,
    model: Model,
    report: Report,
    tell: &'a mut dyn FnMut(&str),
}

/// Makes a lab and runs the whole table in it with this plugin. Tells one line a phase.
pub fn run(
    spec: LabSpec,
    variant: &'static Variant,
    plugin: &Path,
    tell: &mut dyn FnMut(&str),
) -> Result<Report, LabError> {
    let start = Instant::now();
    let lab = Lab::up(variant.fit(spec))?;
    variant.switch(&lab)?;
    lab.install_plugin(plugin)?;
    let world = World::start(&lab, variant.scene)?;
    foreign::plant(&lab, world.forwarded())?;
    let mut run = Run {
        variant,
        cells: table(&world)?,
        sessions: live::sessions(&world)?,
        world,
        eye: Eye::new(),
        baselines: Vec::new(),
        baseline: Baseline::default(),
        clean: foreign::whole(&lab)?,
        model: Model::default(),
        report: Report::default(),
        tell,
    };
    let stranger: IpAddr = Client::Stranger.v4();
    run.model.foreign_set("crowdsec", stranger);
    run.rehearse(start)?;
    for (number, phase) in variant.scene.script.iter().enumerate() {
        run.phase(number, phase)?;
    }
    Ok(run.report)
}

impl Run<'_> {
    /// Takes the baseline. What else is typed at Docker is typed once without a single rule, to see what it opens.
    fn rehearse(&mut self, start: Instant) -> Result<(), LabError> {
        let first = self.take_baseline(Some(self.variant))?;
        (self.tell)(&format!("baseline: {}; up after {:.1} s", first.summary(), start.elapsed().as_secs_f32()));
        self.baseline = first;
        let changing = |phase: &&Phase| phase.steps().any(|step| step.changes_the_world());
        let script = self.variant.scene.script.iter().enumerate();
        for (number, phase) in script.filter(|(_, phase)| changing(phase)) {
            for step in phase.steps().filter(Step::changes_the_world) {
                self.change(phase.name, &step)?;
            }
            let baseline = self.take_baseline(None)?;
            (self.tell)(&format!("rehearsed, {}: {}", phase.name, baseline.summary()));
            self.baselines.push((number, baseline));
        }
        if !self.baselines.is_empty() {
            self.world.raise_again()?;
            self.turn_to_the_world()?;
            self.clean = foreign::whole(self.world.lab)?;
        }
        Ok(())
    }

    fn take_baseline(&mut self, variant: Option<&Variant>) -> Result<Baseline, LabError> {
        let Self { world, eye, cells, sessions, report, .. } = self;
        let baseline = Baseline::take(world, eye, variant, cells, sessions, report)?;
        self.report_strangers("baseline");
        Ok(baseline)
    }

    fn report_strangers(&mut self, phase: &str) {
        let strange = self.eye.strange.drain(..);
        self.report.wrong.extend(strange.map(|strange| format!("{phase}: {strange}")));
    }

    fn turn_to_the_world(&mut self) -> Result<(), LabError> {
        self.world.look_around()?;
        self.cells = table(&self.world)?;
        self.sessions = live::sessions(&self.world)?;
        Ok(())
    }

    /// Changes the world beneath the rules.
    fn change(&mut self, phase: &str, step: &Step<'_>) -> Result<(), LabError> {
        let wrong = self.world.change(step)?;
        self.report.check(phase, wrong);
        self.turn_to_the_world()
    }

    fn phase(&mut self, number: usize, phase: &Phase) -> Result<(), LabError> {
        let start = Instant::now();
        let (cells, wrong) = (self.report.cells, self.report.wrong.len());
        let held = if phase.live { live::hold(&self.world, self.open_sessions()) } else { Vec::new() };
        for step in phase.steps() {
            if step.changes_the_world() {
                self.change(phase.name, &step)?;
                self.model.see(&step, &self.world.targets);
                self.clean = foreign::foreign(self.world.lab, &self.model.own_sets())?;
            } else {
                self.type_in(phase.name, &step)?;
            }
        }
        let typed = Instant::now();
        if let Some((_, baseline)) = self.baselines.iter().find(|(from, _)| *from == number) {
            self.baseline = baseline.clone();
        }
        self.look(phase)?;
        let mut more = String::new();
        if phase.live {
            let faults = live::judge(&held, &self.model, typed, self.variant, &mut self.report.figures);
            let _ = write!(more, ", {} sessions held", held.len());
            self.report.cells += held.len();
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
        let cells = self.sessions.iter().filter(|cell| self.baseline.has_session(cell));
        let told = cells.filter(|cell| !self.variant.is_untold(cell, &self.model));
        told.filter(|cell| cell.inbound.is_none_or(|attempt| self.model.lets(&attempt))).cloned().collect()
    }

    fn type_in(&mut self, phase: &str, step: &Step<'_>) -> Result<(), LabError> {
        let (Step::Firewall(command) | Step::Refused(command)) = step else { return Ok(()) };
        let refused = matches!(step, Step::Refused(_)) || self.variant.refuses(command);
        let command = command.replace("ALL", &self.world.managed());
        let mut words = vec!["firewall"];
        words.extend(command.split_whitespace());
        let start = Instant::now();
        let output = self.world.lab.docker(&words)?;
        if start.elapsed() > SLOW {
            (self.tell)(&format!("docker firewall {command}: took {:.1} s", start.elapsed().as_secs_f32()));
        }
        if !refused {
            self.model.obey(&command);
        }
        let wrong = (output.success() == refused)
            .then(|| format!("docker firewall {command}: exit {}: {}", output.code, output.said()));
        self.report.check(phase, wrong);
        Ok(())
    }

    /// Every cell of the phase, expected beside observed.
    fn look(&mut self, phase: &Phase) -> Result<(), LabError> {
        let mut looked: Vec<(Cell, bool)> = Vec::new();
        for cell in self.cells.iter().filter(|cell| phase.extent == Extent::Full || cell.is_short()) {
            let lets = cell.inbound.is_none_or(|attempt| self.model.lets(&attempt));
            match self.baseline.of(cell) {
                Before::Open => looked.push((cell.clone(), lets)),
                Before::Closed => looked.push((cell.clone(), false)),
                Before::LeftOut => {}
                Before::Unknown => self.report.check(phase.name, Some(format!("{cell}: nobody looked before"))),
            }
        }
        let cells: Vec<Cell> = looked.iter().map(|(cell, _)| cell.clone()).collect();
        let observed = self.eye.observe(&self.world, &cells)?;
        // A loaded machine may lose a packet. One that came through where none may is never asked about again.
        let lost: Vec<Cell> = looked
            .iter()
            .zip(&observed)
            .filter(|((_, want), seen)| *want && !**seen)
            .map(|((cell, _), _)| cell.clone())
            .collect();
        let mut second = self.eye.observe(&self.world, &lost)?.into_iter();
        self.report_strangers(phase.name);
        let mut kernel: Vec<(Cell, bool)> = Vec::with_capacity(looked.len());
        for ((cell, expected), first) in looked.into_iter().zip(observed) {
            let seen = first || expected && second.next().unwrap_or(false);
            kernel.push((cell.clone(), seen));
            let word = |open| if open { "open" } else { "closed" };
            let wrong =
                (seen != expected).then(|| format!("{cell}: expected {}, observed {}", word(expected), word(seen)));
            self.report.check(phase.name, wrong);
        }
        let (count, wrong) = explained(&self.world, &kernel)?;
        self.report.explained.add(count);
        self.report.cells += count.compared;
        self.report.wrong.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", phase.name)));
        let (count, wrong) = listed(&self.world, &kernel)?;
        self.report.listed.add(count);
        self.report.cells += count.compared;
        self.report.wrong.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", phase.name)));
        Ok(())
    }

    /// The others' rules and sets are as they were, and nothing is left to do.
    fn look_at_kernel(&mut self, phase: &Phase) -> Result<(), LabError> {
        let lab = self.world.lab;
        let reset = phase.commands.last() == Some(&"reset --force");
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
        // What a refusal leaves is for the next command.
        if !reset && !phase.steps().any(|step| matches!(step, Step::Refused(_))) {
            let output = lab.docker(&["firewall", "plan"])?;
            let wrong = (!output.success()).then(|| format!("plan: exit {}: {}", output.code, output.said()));
            self.report.check(phase.name, wrong);
        }
        Ok(())
    }
}
