//! What a kernel offers to hang rules on.

use std::collections::BTreeSet;

use crate::net::Family;
use crate::ruleset::{Action, Dump, Line, Match, Rule, Table, TableDump, names};

/// What one family of this kernel has, as far as it changes where rules go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts, each asked by name")]
pub struct Ground {
    /// The `filter` table can be written.
    pub filter: bool,
    /// The `security` table can be written, so there is a backstop.
    pub security: bool,
    /// `FORWARD` calls `filter/DOCKER-USER`, for every packet. The chain alone says nothing: an engine that changed to
    /// its nftables backend leaves it behind.
    pub docker_user: bool,
    /// `FORWARD` calls `filter/DOCKER`, if only by way of other chains and for some packets, as Docker does.
    pub docker: bool,
}

impl Ground {
    /// Reads it off a kernel's state.
    pub fn of(dump: &Dump, family: Family) -> Self {
        let filter = dump.tables.get(&(family, Table::Filter));
        Self {
            filter: filter.is_some(),
            security: dump.tables.contains_key(&(family, Table::Security)),
            docker_user: filter.is_some_and(calls_docker_user),
            docker: filter.is_some_and(reaches_docker),
        }
    }
}

fn lines<'a>(table: &'a TableDump, chain: &str) -> impl Iterator<Item = &'a Line> {
    table.chains.get(chain).into_iter().flat_map(|chain| &chain.lines)
}

/// Where a rule leads. `None` also for rules with conditions that we do not know.
fn callee(line: &Line) -> Option<(&Rule, &str)> {
    let rule = line.rule.as_ref()?;
    match &rule.action {
        Action::Jump(chain) | Action::Goto(chain) => Some((rule, chain)),
        _ => None,
    }
}

fn calls_docker_user(filter: &TableDump) -> bool {
    let unconditional = |rule: &Rule| rule.matches.iter().all(|condition| matches!(condition, Match::Comment(_)));
    filter.chains.contains_key(names::DOCKER_USER)
        && lines(filter, names::FORWARD)
            .filter_map(callee)
            .any(|(rule, chain)| chain == names::DOCKER_USER && unconditional(rule))
}

fn reaches_docker(filter: &TableDump) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![names::FORWARD];
    while let Some(chain) = open.pop() {
        if seen.insert(chain) {
            open.extend(lines(filter, chain).filter_map(callee).map(|(_, next)| next));
        }
    }
    seen.contains(names::DOCKER) && filter.chains.contains_key(names::DOCKER)
}
