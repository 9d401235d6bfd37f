//! Resolved rules become chains and sets. Total and pure: whatever could fail has failed before.
//!
//! Sets, not rules, hold the containers, so the number of kernel rules depends on the number of distinct sources and
//! never on the number of containers; a container that comes or goes changes members and no rule.
//!
//! Every set serves one verdict only. `plan` relies on it: adding to a set that lets packets through can only widen,
//! adding to one that drops or that leads to judgement can only narrow.

mod atom;
mod blind;
mod chains;
mod ground;
mod log;
mod origin;
mod sandbox;
mod sets;
mod third;
mod twin;

pub use blind::is_canary;
pub use ground::Ground;
pub use origin::origins;
pub use sandbox::{held, refresh_copies, sandbox};
pub use sets::{guarded, host, host_answers, host_guarded, is_of_rule, ruled, unseen};
pub use third::{ThirdLine, lower, own};
pub use twin::twin;

use blind::Blind;

use crate::net::Family;
use crate::policy::Hook;
use crate::resolve::{Proof, Resolved};
use crate::ruleset::{Desired, DesiredSet, DesiredTable, Table, names};

/// Which sets should be made before others: the canary, then those that lead to judgement, then the rest.
pub fn flush_rank(name: &str, family: Family) -> u8 {
    let leads = [ruled(family), host(family)].iter().any(|set| name == set || name == twin(set));
    if is_canary(name) { 0 } else { 2 - u8::from(leads) }
}

/// Compiles for both families. Users' sets are not made here: the caller adds them.
pub fn compile(resolved: &Resolved, ground: impl Fn(Family) -> Ground) -> Desired {
    let mut desired = Desired::default();
    if !resolved.is_active() {
        return standing(resolved.proof, ground);
    }
    for family in Family::ALL {
        let ground = ground(family);
        if !ground.filter && !ground.security {
            continue;
        }
        let atoms = atom::atoms(resolved, family);
        let host_atoms = atom::host_atoms(resolved, family);
        let judgement = chains::judgement(&atoms, &host_atoms, family, resolved);
        let mut tables = Vec::new();
        if ground.filter {
            let table = match resolved.hook {
                // Without a backstop nothing would judge what Docker accepts before its chain is asked.
                Hook::Docker if ground.docker && ground.security => {
                    judgement.beside_literal(chains::literal(&atoms, family, resolved.log))
                }
                Hook::DockerUser | Hook::Docker if ground.docker_user => judgement.called_from(names::DOCKER_USER),
                // Nothing calls the documented place in this family (20.10 never makes it for IPv6): one level up.
                Hook::DockerUser | Hook::Docker | Hook::Forward => judgement.called_from(names::FORWARD),
            };
            tables.push((Table::Filter, judgement.refusing(table)));
        }
        if ground.security {
            let table = log::as_backstop(judgement.called_from(names::FORWARD));
            tables.push((Table::Security, chains::Judgement::proving(table, resolved.proof)));
        }
        let mut sets = sets::sets(resolved, &atoms, &host_atoms, family);
        // Behind `security` nothing judges any more, and it runs where `filter` was bypassed.
        let blind = Blind::of(resolved, family);
        sets.extend(blind.set());
        let last = tables.len() - 1;
        for (index, (table, mut part)) in tables.into_iter().enumerate() {
            if index == last {
                blind.close(&mut part, table == Table::Filter);
            } else {
                blind.refuse(&mut part);
            }
            if index > 0 {
                twin::ask_twins(&mut part, &mut sets);
            }
            desired.tables.insert((family, table), part);
        }
        desired.sets.extend(sets.into_iter().map(|(name, set)| (name, DesiredSet::Own(set))));
    }
    desired
}

/// What stays where nothing is judged: the proof, for as long as the third line is up and asks for it. Whoever takes the
/// rules away leaves it to the agent, which lowers its line first.
pub fn standing(proof: Proof, ground: impl Fn(Family) -> Ground) -> Desired {
    let mut desired = Desired::default();
    if proof == Proof::Asked {
        for family in Family::ALL.into_iter().filter(|family| ground(*family).security) {
            desired.tables.insert((family, Table::Security), chains::with_proof(DesiredTable::default()));
        }
    }
    desired
}
