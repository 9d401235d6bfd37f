//! What the kernel counted, by the rules that are in force: for `top`, `rules --counters`, `metrics` and the agent's page.
//!
//! Neither lock nor engine is asked: the sets themselves say whose an address is.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crate::compile;
use crate::host::counters::{self, Counters};
use crate::host::files;
use crate::host::kernel::{HostKernel, KernelError};
use crate::host::paths::Paths;
use crate::host::tools::Tools;
use crate::metrics::KernelFacts;
use crate::net::Family;
use crate::policy::{DOCUMENT_MAX, Document, Policy};
use crate::ruleset::is_own_set;
use crate::tally::{Tally, Totals};

/// Readings, one after another.
pub(super) struct Figures {
    paths: Paths,
    totals: Totals,
}

impl Figures {
    /// None was taken yet.
    pub(super) fn new(paths: Paths) -> Self {
        Self { paths, totals: Totals::default() }
    }

    /// Reads the kernel. The sums go on from those of the last reading.
    pub(super) fn read(&mut self) -> Result<KernelFacts, KernelError> {
        let counters = counters::read(&mut HostKernel::new(Tools::from_env()))?;
        let (policy, tally) = told(&self.paths, &counters);
        self.totals.take(&tally.samples);
        let names = files::list_sets(&self.paths).unwrap_or_default();
        let users: BTreeSet<String> =
            names.iter().flat_map(|name| Family::ALL.map(|family| name.kernel_name(family))).collect();
        let entries = counters.sets.into_iter().filter(|set| users.contains(&set.name));
        let sets: BTreeMap<String, u64> = entries.filter_map(|set| Some((set.name, set.entries?))).collect();
        Ok(KernelFacts { policy, sums: self.totals.sums().clone(), containers: tally.containers, sets })
    }
}

/// A reading that goes on while something else is done.
pub(super) struct Reading(JoinHandle<Result<Tally, KernelError>>);

impl Reading {
    /// Begins one, of what the tools printed already.
    pub(super) fn begin(paths: Paths, saves: BTreeMap<Family, String>) -> Self {
        Self(thread::spawn(move || {
            let counters = counters::read_beside(&saves)?;
            Ok(told(&paths, &counters).1)
        }))
    }

    /// What it read.
    pub(super) fn wait(self) -> Result<Tally, KernelError> {
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The rules that are in force, and what was counted by them.
fn told(paths: &Paths, Counters { dump, sets, members }: &Counters) -> (Policy, Tally) {
    let policy = in_force(paths);
    let foreign = sets.iter().filter(|set| !is_own_set(&set.name));
    let ipsets = foreign.map(|set| (set.name.clone(), set.family)).collect();
    let tally = Tally::of(&policy, &compile::origins(&policy, &ipsets), dump, members);
    (policy, tally)
}

/// The rules that the kernel was last written by; where nobody knows those, the ones in the file.
fn in_force(paths: &Paths) -> Policy {
    let read = |paths: &Paths| {
        let text = files::read_limited(&paths.policy_file(), DOCUMENT_MAX as u64).ok()??;
        Some(Document::parse(&text).ok()?.policy().clone())
    };
    read(&paths.last_good_paths()).or_else(|| read(paths)).unwrap_or_default()
}
