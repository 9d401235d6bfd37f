//! Resolved rules become chains and sets. Total and pure: whatever could fail has failed before.
//!
//! Sets, not rules, hold the containers, so the number of kernel rules depends on the number of distinct sources and
//! never on the number of containers; a container that comes or goes changes members and no rule.
//!
//! Every set serves one verdict only. `plan` relies on it: adding to a set that lets packets through can only widen,
//! adding to one that drops or that leads to judgement can only narrow.

mod atom;
mod chains;
mod sandbox;
mod sets;

pub use sandbox::{held, refresh_copies, sandbox};
pub use sets::{guarded, ruled};

use crate::net::Family;
use crate::policy::Hook;
use crate::resolve::Resolved;
use crate::ruleset::{Chain, Desired, DesiredSet, Dump, Table, names};

/// What one family of this kernel has, as far as it changes where rules go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts, each asked by name")]
pub struct Ground {
    /// The `filter` table can be written.
    pub filter: bool,
    /// The `security` table can be written, so there is a backstop.
    pub security: bool,
    /// `filter/DOCKER-USER` exists.
    pub docker_user: bool,
    /// `filter/DOCKER` exists.
    pub docker: bool,
}

impl Ground {
    /// Reads it off a kernel's state.
    pub fn of(dump: &Dump, family: Family) -> Self {
        let chain = |name: &str| -> Option<&Chain> { dump.chain(family, Table::Filter, name) };
        Self {
            filter: dump.tables.contains_key(&(family, Table::Filter)),
            security: dump.tables.contains_key(&(family, Table::Security)),
            docker_user: chain(names::DOCKER_USER).is_some(),
            docker: chain(names::DOCKER).is_some(),
        }
    }
}

/// Compiles for both families. Users' sets are not made here: the caller adds them.
pub fn compile(resolved: &Resolved, ground: impl Fn(Family) -> Ground) -> Desired {
    let mut desired = Desired::default();
    if !resolved.is_active() {
        return desired;
    }
    for family in Family::ALL {
        let ground = ground(family);
        if !ground.filter && !ground.security {
            continue;
        }
        let atoms = atom::atoms(resolved, family);
        let host_atoms = atom::host_atoms(resolved, family);
        let judgement = chains::judgement(&atoms, &host_atoms, family);
        let mut tables = Vec::new();
        if ground.filter {
            let table = match resolved.hook {
                // Without a backstop nothing would judge what Docker accepts before its chain is asked.
                Hook::Docker if ground.docker && ground.security => {
                    judgement.beside_literal(chains::literal(&atoms, family))
                }
                Hook::DockerUser | Hook::Docker if ground.docker_user => judgement.called_from(names::DOCKER_USER),
                // The documented place is missing in this family (20.10 never makes it for IPv6): one level up.
                Hook::DockerUser | Hook::Docker | Hook::Forward => judgement.called_from(names::FORWARD),
            };
            tables.push((Table::Filter, table));
        }
        if ground.security {
            tables.push((Table::Security, judgement.called_from(names::FORWARD)));
        }
        for (table, part) in tables {
            desired.tables.insert((family, table), part);
        }
        for (name, set) in sets::sets(resolved, &atoms, &host_atoms, family) {
            desired.sets.insert(name, DesiredSet::Own(set));
        }
    }
    desired
}
