//! A kernel in memory that eats the same text as the real one's tools, refuses what they refuse, and fails when told.
//!
//! Steps are counted from 0: every line of `ipset restore` is one, and so is every table's COMMIT. Between two steps
//! the world can see the state, so that is where a test looks and where a process can be killed.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod rules;
mod sets;

use docker_firewall::host::kernel::{Kernel, KernelError};
use docker_firewall::net::Family;
use docker_firewall::ruleset::{
    Chain, Dump, Table, TableDump, parse_ipset_save, parse_iptables_save, tracks_connections,
};

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// That step fails; later ones do not.
    Fail(usize),
    /// From that step on nothing works, as after kill -9.
    Die(usize),
}

type Observer = Box<dyn FnMut(&Dump)>;

/// The kernel.
#[derive(Default)]
pub(crate) struct MemoryKernel {
    /// What it holds; tests may edit it between calls, as other tools do.
    pub(crate) state: Dump,
    steps: usize,
    trouble: Option<Trouble>,
    on_step: Option<Observer>,
    /// Every text it was given, in order.
    pub(crate) calls: Vec<String>,
}

impl MemoryKernel {
    /// Both tables of both families with their empty built-in chains; no sets.
    pub(crate) fn new() -> Self {
        let mut state = Dump::default();
        for family in Family::ALL {
            for table in Table::ALL {
                state.tables.insert((family, table), bare_table());
            }
        }
        Self { state, ..Self::default() }
    }

    /// As [`Self::new`], with an engine's DOCKER-USER called from FORWARD in both families.
    pub(crate) fn with_docker() -> Self {
        let save = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n\
                    :DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\nCOMMIT\n";
        Self::with_saves(save, save, "")
    }

    /// As [`Self::new`], with what the save tools print laid over it.
    pub(crate) fn with_saves(v4: &str, v6: &str, sets: &str) -> Self {
        let mut kernel = Self::new();
        kernel.state.tables.extend(parse_iptables_save(Family::V4, v4).unwrap());
        kernel.state.tables.extend(parse_iptables_save(Family::V6, v6).unwrap());
        kernel.state.sets = parse_ipset_save(sets).unwrap();
        let saves = [(Family::V4, v4), (Family::V6, v6)].into_iter().filter(|(_, save)| tracks_connections(save));
        kernel.state.tracked = saves.map(|(family, _)| family).collect();
        kernel
    }

    /// Calls `observer` after every step that took effect.
    pub(crate) fn on_step(&mut self, observer: impl FnMut(&Dump) + 'static) {
        self.on_step = Some(Box::new(observer));
    }

    /// Makes step `number` (from 0, counted from this kernel's beginning) fail; the next ones work.
    pub(crate) fn fail_at(&mut self, number: usize) {
        self.trouble = Some(Trouble::Fail(number));
    }

    /// Makes step `number` and everything after it fail.
    pub(crate) fn die_at(&mut self, number: usize) {
        self.trouble = Some(Trouble::Die(number));
    }

    /// Nothing fails from here on: the next process.
    pub(crate) fn revive(&mut self) {
        self.trouble = None;
    }

    /// How many steps were tried.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Whether it was told to die, whenever.
    pub(crate) fn is_dying(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Die(_)))
    }

    fn dead(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Die(at)) if self.steps > at)
    }

    /// Counts a step; an error when it is one that fails.
    fn step(&mut self) -> Result<(), String> {
        let number = self.steps;
        self.steps += 1;
        match self.trouble {
            Some(Trouble::Fail(at)) if number == at => Err(format!("step {number} was told to fail")),
            Some(Trouble::Die(at)) if number >= at => Err(format!("dead since step {at}")),
            _ => Ok(()),
        }
    }

    fn stepped(&mut self) {
        if let Some(observer) = &mut self.on_step {
            observer(&self.state);
        }
    }

    fn call(&mut self, tool: &str, text: &str) -> Result<(), KernelError> {
        self.calls.push(format!("{tool}\n{text}"));
        if self.dead() { Err(failed(tool, "dead", None)) } else { Ok(()) }
    }
}

impl Kernel for MemoryKernel {
    fn observe(&mut self, members: &(dyn Fn(&str) -> bool + Sync)) -> Result<Dump, KernelError> {
        if self.dead() {
            return Err(failed("observe", "dead", None));
        }
        let mut seen = self.state.clone();
        for (name, set) in &mut seen.sets {
            if !members(name) {
                set.members.clear();
            }
        }
        Ok(seen)
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError> {
        let tool = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        self.call(tool, text)?;
        rules::restore(self, family, text).map_err(|(line, why)| failed(tool, &why, Some((line, text))))
    }

    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError> {
        self.call("ipset restore", text)?;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            self.step()
                .and_then(|()| sets::obey(&mut self.state, line))
                .map_err(|why| failed("ipset restore", &why, Some((index + 1, text))))?;
            self.stepped();
        }
        Ok(())
    }
}

fn failed(tool: &str, why: &str, at: Option<(usize, &str)>) -> KernelError {
    let line = at.and_then(|(number, text)| Some((number, text.lines().nth(number - 1)?.to_owned())));
    KernelError::Failed { tool: tool.to_owned(), stderr: why.to_owned(), line }
}

/// The built-in chains, open and empty.
pub(crate) fn bare_table() -> TableDump {
    let open = || Chain { policy: Some("ACCEPT".to_owned()), lines: Vec::new() };
    TableDump { chains: ["INPUT", "FORWARD", "OUTPUT"].map(|name| (name.to_owned(), open())).into() }
}

/// What follows each `option` in a rule's text.
fn values<'a>(text: &'a str, options: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let words = text.split_ascii_whitespace();
    words.clone().zip(words.skip(1)).filter(|(word, _)| options.contains(word)).map(|(_, value)| value)
}
