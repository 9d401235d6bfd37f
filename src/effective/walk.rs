//! One built-in chain of one table.
//!
//! A rule that may match is followed both ways, in one pass: what it would do is noted as a possible ending, and the walk
//! goes on as if it had not matched. So the endings hold every possible one, at times some that cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::judge::Judge;
use super::passage::{Cause, Certainty, Place, Step};
use super::segment::{Segment, Tracking};
use crate::net::Family;
use crate::ruleset::{Ask, NewPort, Target, WholeChain, WholeRule, WholeRuleset};

/// Deeper than any kernel lets chains call one another (`nf_tables`: 16), and shallow enough for our own stack.
const DEPTH_MAX: usize = 128;
/// Rules that one journey may ask; more would take minutes, and a loop would not end.
pub(super) const RULES_MAX: usize = 20_000_000;
/// Steps that are kept; a way with more is not read by anybody.
const STEPS_MAX: usize = 4_000;

/// What a table can make of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Lets it through.
    Pass,
    /// Drops it.
    Drop,
    /// Sends it elsewhere.
    Translate { address: Option<IpAddr>, port: NewPort },
    /// Hides where it came from.
    Hide(Option<IpAddr>),
    /// Sends it to the host itself.
    Redirect { port: NewPort },
    /// Anything at all.
    Unknown,
}

/// One possible ending.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) verdict: Verdict,
    pub(super) cause: Cause,
    /// The first rule on the way there of which nobody can tell whether it matches.
    pub(super) doubt: Option<Place>,
}

/// What is kept along a journey.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) steps: Vec<Step>,
    /// Rules that may still be asked.
    pub(super) left: usize,
}

impl Log {
    pub(super) fn push(&mut self, step: Step) {
        if self.steps.len() < STEPS_MAX {
            self.steps.push(step);
        }
    }
}

/// Where a chain left the packet.
enum Left {
    /// It has ended.
    Ended,
    /// The caller goes on.
    Fell,
}

struct Walk<'a, 'b> {
    judge: Judge<'a>,
    chains: &'a BTreeMap<String, WholeChain>,
    program: &'static str,
    table: &'static str,
    hook: &'static str,
    segment: &'b mut Segment,
    log: &'b mut Log,
    endings: Vec<Ending>,
    doubt: Option<Place>,
    /// Sets that rules on the way wrote to.
    filled: BTreeSet<String>,
}

/// Walks `segment` through the chain `hook` of `table`: every possible ending, at least one.
pub(super) fn walk(
    judge: Judge<'_>,
    ruleset: &WholeRuleset,
    (table, hook): (&'static str, &'static str),
    segment: &mut Segment,
    log: &mut Log,
) -> Vec<Ending> {
    let pass = || Ending { verdict: Verdict::Pass, cause: Cause::Nothing, doubt: None };
    let Some(chains) = ruleset.tables.get(table) else { return vec![pass()] };
    let Some(start) = chains.get(hook) else { return vec![pass()] };
    let program = match segment.family() {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let (endings, filled) = (Vec::new(), BTreeSet::new());
    let mut walk = Walk { judge, chains, program, table, hook, segment, log, endings, doubt: None, filled };
    if let Left::Fell = walk.chain(hook, start, 0) {
        let verdict = if start.policy.as_deref() == Some("DROP") { Verdict::Drop } else { Verdict::Pass };
        let silent = start.rules.is_empty() && verdict == Verdict::Pass;
        let cause = if silent { Cause::Nothing } else { Cause::Policy { program, table, chain: hook } };
        walk.end(verdict, cause, None);
    }
    walk.endings
}

impl<'a> Walk<'a, '_> {
    fn chain(&mut self, name: &str, chain: &'a WholeChain, depth: usize) -> Left {
        let mut may_fall = false;
        for (index, rule) in chain.rules.iter().enumerate() {
            if self.log.left == 0 || depth > DEPTH_MAX {
                let cause = Cause::Host("more rules than can be followed".to_owned());
                let doubt = self.place(name, index, rule);
                self.end(Verdict::Unknown, cause, Some(doubt));
                return Left::Ended;
            }
            self.log.left -= 1;
            let matched = self.matches(rule);
            if matched == Some(false) {
                if asks_a_set(rule) {
                    let place = self.place(name, index, rule);
                    self.log.push(Step::Rule(place, Certainty::Missed));
                }
                continue;
            }
            let place = self.place(name, index, rule);
            let sure = matched.is_some();
            let certainty = if sure { Certainty::Matched } else { Certainty::Doubtful };
            self.log.push(Step::Rule(place.clone(), certainty));
            match self.act(rule, &place, sure, depth) {
                Next::Rule => {}
                Next::MayReturn => may_fall = true,
                Next::Return => return Left::Fell,
                Next::Ended if may_fall => return Left::Fell,
                Next::Ended => return Left::Ended,
            }
        }
        Left::Fell
    }

    /// Does what the rule says; `sure`: it matched for certain.
    fn act(&mut self, rule: &WholeRule, place: &Place, sure: bool, depth: usize) -> Next {
        let chains = self.chains;
        match &rule.target {
            Target::Continue => Next::Rule,
            Target::Mark { value, mask } => {
                let known = sure && self.doubt.is_none();
                self.segment.mark = self.segment.mark.filter(|_| known).map(|mark| (mark & !mask) ^ value);
                Next::Rule
            }
            Target::Remark => {
                self.segment.mark = None;
                Next::Rule
            }
            Target::Untrack => {
                let known = sure && self.doubt.is_none();
                self.segment.tracking = if known { Tracking::Untracked } else { Tracking::Unknown };
                Next::Rule
            }
            Target::Fill(set) => {
                self.filled.insert(set.clone());
                Next::Rule
            }
            Target::Return if sure => Next::Return,
            Target::Return => {
                self.doubt.get_or_insert_with(|| place.clone());
                Next::MayReturn
            }
            Target::Jump(name) | Target::Goto(name) => {
                let Some(chain) = chains.get(name) else { return self.ending(Verdict::Unknown, place, sure) };
                let goes_for_good = matches!(rule.target, Target::Goto(_));
                let (before, doubt) = (self.endings.len(), self.doubt.clone());
                if !sure {
                    self.doubt.get_or_insert_with(|| place.clone());
                }
                let left = self.chain(name, chain, depth + 1);
                match (left, sure, goes_for_good) {
                    (Left::Ended, true, _) => Next::Ended,
                    (Left::Fell, true, true) => Next::Return,
                    (Left::Fell, false, true) => Next::MayReturn,
                    (left, _, _) => {
                        if matches!(left, Left::Fell) && self.endings.len() == before {
                            // Nothing came of it, whether it matched or not.
                            self.doubt = doubt;
                        }
                        Next::Rule
                    }
                }
            }
            Target::Accept => self.ending(Verdict::Pass, place, sure),
            Target::Hide(address) => self.ending(Verdict::Hide(*address), place, sure),
            Target::Drop => self.ending(Verdict::Drop, place, sure),
            Target::Translate { address, port } => {
                self.ending(Verdict::Translate { address: *address, port: *port }, place, sure)
            }
            Target::Redirect { port } => self.ending(Verdict::Redirect { port: *port }, place, sure),
            Target::Unknown => self.ending(Verdict::Unknown, place, sure),
        }
    }

    fn ending(&mut self, verdict: Verdict, place: &Place, sure: bool) -> Next {
        if !sure {
            self.doubt.get_or_insert_with(|| place.clone());
        }
        let doubt = (verdict == Verdict::Unknown).then(|| place.clone());
        self.end(verdict, Cause::Rule(place.clone()), doubt);
        if sure { Next::Ended } else { Next::Rule }
    }

    fn end(&mut self, verdict: Verdict, cause: Cause, doubt: Option<Place>) {
        let doubt = self.doubt.clone().or(doubt);
        self.endings.push(Ending { verdict, cause, doubt });
    }

    fn matches(&self, rule: &WholeRule) -> Option<bool> {
        let touched = rule.conditions.iter().any(|condition| match &condition.ask {
            Ask::Set { name, .. } => self.filled.contains(name),
            _ => false,
        });
        let matched = self.judge.all(&rule.conditions, self.segment);
        // What rules on the way did to a set is not seen by looking at it.
        if touched && matched != Some(false) { None } else { matched }
    }

    fn place(&self, chain: &str, index: usize, rule: &WholeRule) -> Place {
        Place {
            program: self.program,
            table: self.table,
            hook: self.hook,
            chain: chain.to_owned(),
            number: index + 1,
            text: rule.text.clone(),
        }
    }
}

/// What comes after a rule.
enum Next {
    /// The next one.
    Rule,
    /// The next one, unless the packet returned to the caller.
    MayReturn,
    /// The caller.
    Return,
    /// Nothing.
    Ended,
}

fn asks_a_set(rule: &WholeRule) -> bool {
    rule.conditions.iter().any(|condition| matches!(condition.ask, Ask::Set { .. }))
}
