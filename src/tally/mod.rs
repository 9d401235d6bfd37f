//! What the kernel counted, told by rules and containers.
//!
//! The kernel counts by its own rules, which containers share. So a rule's packets are known by rule, and by container
//! where a rule has one; what no rule allowed is counted by the sets of guarded addresses, member by member, and known by
//! container. A packet that gets through is judged twice, in `filter` and in `security`: what was allowed is counted
//! where the last word is said. One that is dropped is dropped once, wherever.

mod rows;
mod totals;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use crate::net::Family;
use crate::policy::{Policy, Verdict};
use crate::resolve::Owner;
use crate::ruleset::{
    Action, CountedMember, Counts, Dump, Line, Match, Rule, Table, is_own_chain, is_own_rule, is_own_set, names,
};

pub use rows::{Fate, Row, rows};
pub use totals::Totals;
pub use traffic::{Share, Traffic, count_traffic};

/// Whose packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Those that rules decided about.
    Rules(RuleGroup),
    /// Those to a guarded container that no rule allowed, and its answers to such; the name is empty for addresses that
    /// nobody has placed yet.
    Closed(String),
    /// Those of all of these that only the second look dropped, in `security`.
    Backstop,
}

/// Rules that the kernel counts together: one, or several that ask the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleGroup {
    /// Their IDs in the order of the policy; none when the policy has no such rule any more.
    pub ids: Vec<String>,
    /// What they say.
    pub verdict: Verdict,
    /// Whether the packets came from the container.
    pub outward: bool,
}

/// One counter of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which counter, in words that stay the same from one reading to the next.
    pub source: String,
    /// Of which family's packets.
    pub family: Family,
    /// Whom it counts for.
    pub subject: Subject,
    /// What it says.
    pub counts: Counts,
}

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All counters.
    pub samples: Vec<Sample>,
    /// The containers that rules speak of at the moment, by the rules' IDs.
    pub containers: BTreeMap<Vec<String>, BTreeSet<String>>,
}

impl Tally {
    /// Reads the counters of `dump` and of the `members` of our sets. `origins` says which rules of `policy` a set is of,
    /// as `compile::origins` does.
    pub fn of(
        policy: &Policy,
        origins: &BTreeMap<String, BTreeSet<usize>>,
        dump: &Dump,
        members: &[CountedMember],
    ) -> Self {
        let ids = |set: &str| -> Vec<String> {
            let rules = origins.get(set).into_iter().flatten();
            rules.filter_map(|&index| Some(policy.rules.get(index)?.id())).collect()
        };
        let mut tally = Self::default();
        for ((family, table), dump_of) in &dump.tables {
            let last = *table == Table::Security || !has_chains(dump, *family, Table::Security);
            for (name, chain) in &dump_of.chains {
                for line in chain.lines.iter().filter(|line| is_ours(name, line)) {
                    // What tells of a drop asks what the drop asks, and would count it once more.
                    let Some(rule) = line.rule.as_ref().filter(|rule| !matches!(rule.action, Action::Log(_))) else {
                        continue;
                    };
                    let source = format!("{family} {table}/{name} {}", line.text);
                    if *table == Table::Security && rule.action == Action::Drop {
                        tally.add(source.clone(), *family, Subject::Backstop, line.counts);
                    }
                    let Some((set, verdict)) = asked(rule) else { continue };
                    if verdict == Verdict::Allow && !last {
                        continue;
                    }
                    let group = RuleGroup { ids: ids(set), verdict, outward: is_outward(name) };
                    tally.add(source, *family, Subject::Rules(group), line.counts);
                }
            }
        }
        for member in members {
            if speaks(&member.set) {
                let name = member.comment.as_deref().map(owner).filter(|_| !member.nomatch);
                tally.containers.entry(ids(&member.set)).or_default().extend(name);
            } else if !member.nomatch && closes(&member.set) {
                let name = member.comment.as_deref().map(owner).unwrap_or_default();
                let family = if member.set.starts_with("df6-") { Family::V6 } else { Family::V4 };
                tally.add(format!("{} {}", member.set, member.entry), family, Subject::Closed(name), member.counts);
            }
        }
        tally
    }

    /// Takes it from somebody who knows them whom rules speak of, by their IDs: for a reading of few members.
    pub fn speak_of(&mut self, names: &BTreeMap<String, BTreeSet<String>>) {
        let ids = self.samples.iter().filter_map(|sample| match &sample.subject {
            Subject::Rules(group) => Some(&group.ids),
            _ => None,
        });
        for ids in ids.collect::<BTreeSet<_>>() {
            let all = ids.iter().filter_map(|id| names.get(id)).flatten().cloned();
            self.containers.entry(ids.clone()).or_default().extend(all);
        }
    }

    fn add(&mut self, source: String, family: Family, subject: Subject, counts: Counts) {
        self.samples.push(Sample { source, family, subject, counts });
    }
}

/// The name in a member's comment; what is no container's is said as it stands.
fn owner(comment: &str) -> String {
    Owner::parse(comment).map_or_else(|| comment.to_owned(), |owner| owner.name)
}

fn has_chains(dump: &Dump, family: Family, table: Table) -> bool {
    dump.tables.get(&(family, table)).is_some_and(|dump| dump.chains.keys().any(|name| is_own_chain(name)))
}

fn is_ours(chain: &str, line: &Line) -> bool {
    is_own_chain(chain) || line.rule.as_ref().is_some_and(is_own_rule)
}

/// The chains that judge what comes from a container or from its port of the host.
fn is_outward(chain: &str) -> bool {
    [names::FROM, names::BACK, names::HOST_OUT, names::HOST_FROM, names::HOST_BACK, names::OUT].contains(&chain)
}

/// The set by which a kernel rule knows its containers, if it comes of a rule.
fn asked(rule: &Rule) -> Option<(&str, Verdict)> {
    rule.matches.iter().find_map(|condition| match condition {
        Match::Set { name, .. } => Some((name.as_str(), verdict_of(name)?)),
        _ => None,
    })
}

/// Whether the members of a kernel set count what no rule allowed.
pub fn closes(set: &str) -> bool {
    is_own_set(set) && set.contains("guarded")
}

/// Whether the members of a kernel set tell of whom a rule speaks.
pub fn speaks(set: &str) -> bool {
    verdict_of(set).is_some()
}

fn verdict_of(set: &str) -> Option<Verdict> {
    let rest = set.get(4..).filter(|_| is_own_set(set))?;
    let verdicts = [("allow-", Verdict::Allow), ("deny-", Verdict::Deny)];
    verdicts.into_iter().find_map(|(start, verdict)| rest.starts_with(start).then_some(verdict))
}
