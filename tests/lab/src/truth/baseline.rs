//! What the engine opens by itself, observed before anything is typed.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::Cell;
use super::look::Eye;
use super::run::Report;
use super::variant::Variant;
use super::world::World;
use crate::{Engine, Flavour, LabError, LabSpec};

/// What is open and what is not. Cells are known by their key, for containers may get other addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    cells: BTreeMap<String, bool>,
    left_out: BTreeSet<String>,
    sessions: BTreeSet<String>,
}

/// What a cell was before anything was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Open,
    Closed,
    /// The engine itself does not know; see [`is_misled`].
    LeftOut,
    /// Nobody looked.
    Unknown,
}

impl Baseline {
    /// Takes it: each cell twice, for a second look tells a lost packet from a closed port.
    pub(crate) fn take(
        world: &World<'_>,
        eye: &mut Eye,
        variant: Option<&Variant>,
        cells: &[Cell],
        sessions: &[Cell],
        report: &mut Report,
    ) -> Result<Self, LabError> {
        let mut baseline = Self::default();
        let (first, second) = (eye.observe(world, cells)?, eye.observe(world, cells)?);
        for ((cell, one), other) in cells.iter().zip(first).zip(second) {
            let must = variant.is_some_and(|variant| variant.must_open(cell));
            let wrong = match (one, other) {
                (true, true) => None,
                (false, false) => must.then_some("closed by Docker, the table would test nothing"),
                _ => Some("once open and once closed"),
            };
            if wrong.is_some() && is_misled(world.lab.spec(), cell) {
                baseline.left_out.insert(cell.key());
                continue;
            }
            report.check("baseline", wrong.map(|what| format!("{cell}: {what}")));
            baseline.cells.insert(cell.key(), one);
        }
        let answered = eye.answered(world, sessions)?;
        let open = sessions.iter().zip(answered).filter(|(_, open)| *open);
        baseline.sessions = open.map(|(cell, _)| cell.key()).collect();
        Ok(baseline)
    }

    /// What a cell was.
    pub(crate) fn of(&self, cell: &Cell) -> Before {
        let key = cell.key();
        match self.cells.get(&key) {
            Some(true) => Before::Open,
            Some(false) => Before::Closed,
            None if self.left_out.contains(&key) => Before::LeftOut,
            None => Before::Unknown,
        }
    }

    /// Whether a session could be held.
    pub(crate) fn has_session(&self, cell: &Cell) -> bool {
        self.sessions.contains(&cell.key())
    }

    /// It in figures.
    pub(crate) fn summary(&self) -> String {
        let open = self.cells.values().filter(|open| **open).count();
        let (all, out, sessions) = (self.cells.len(), self.left_out.len(), self.sessions.len());
        format!("{open} of {all} cells are open, {out} left out, {sessions} sessions")
    }
}

/// `ip6tables-legacy -C` of iptables 1.8.9 takes a rule for another port for the one asked about, so that Docker 20.10
/// leaves some rules of a published port out: half published, it is neither open nor closed.
fn is_misled(spec: &LabSpec, cell: &Cell) -> bool {
    spec.engine == Engine::V20_10 && spec.flavour == Flavour::Legacy && cell.to.is_ipv6() && cell.is_published()
}
