//! One built-in chain of one table.
//!
//! A rule that may match is followed both ways, in one pass: what it would do is noted as a possible ending, and the walk
//! goes on as if it had not matched. So the endings hold every possible one, at times some that cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::apart::Apart;
use super::judge::Judge;
use super::memo::Memo;
use super::passage::{Cause, Certainty, Place, Step};
use super::segment::{Link, Segment, Tracking};
use crate::net::Family;
use crate::ruleset::{Ask, NewPort, Target, Traits, WholeChain, WholeRule, WholeRuleset, is_own_chain};

/// Deeper than any kernel lets chains call one another (`nf_tables`: 16), and shallow enough for our own stack.
const DEPTH_MAX: usize = 128;
/// Rules of one chain that name a single source each and are looked at for whom they tell apart.
const SINGLE_SOURCES: usize = 1_000;
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
    /// Whether steps are kept.
    pub(super) keeps: bool,
    /// Rules that may still be asked.
    pub(super) left: usize,
    /// Sources that rules told apart from the packet's own.
    pub(super) apart: Apart,
}

impl Log {
    pub(super) fn push(&mut self, step: impl FnOnce() -> Step) {
        if self.keeps && self.steps.len() < STEPS_MAX {
            self.steps.push(step());
        }
    }
}

/// A rule and where it stands, before anybody wants it in words.
#[derive(Clone, Copy)]
struct Spot<'a> {
    chain: &'a str,
    index: usize,
    rule: &'a WholeRule,
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
    memo: Option<&'a Memo>,
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
pub(super) fn walk<'a>(
    (judge, memo): (Judge<'a>, Option<&'a Memo>),
    ruleset: &'a WholeRuleset,
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
    let mut walk = Walk { judge, memo, chains, program, table, hook, segment, log, endings, doubt: None, filled };
    if let Left::Fell = walk.chain(hook, start, 0) {
        let verdict = if start.policy.as_deref() == Some("DROP") { Verdict::Drop } else { Verdict::Pass };
        let silent = start.rules.is_empty() && verdict == Verdict::Pass;
        let cause = if silent { Cause::Nothing } else { Cause::Policy { program, table, chain: hook } };
        walk.end(verdict, cause, None);
    }
    walk.endings
}

impl<'a> Walk<'a, '_> {
    fn chain(&mut self, name: &'a str, chain: &'a WholeChain, depth: usize) -> Left {
        let mut may_fall = false;
        let link = |link: &Link| match link {
            Link::Named(name) => Some(name.clone()),
            Link::Absent => Some(String::new()),
            Link::Unknown => None,
        };
        // Marks aside, no rule changes the packet on its way through a table.
        let (came, goes) = (link(&self.segment.in_link), link(&self.segment.out_link));
        let traits = Traits {
            source: self.segment.source,
            destination: self.segment.destination,
            port: self.segment.destination_port,
            came: came.as_deref(),
            goes: goes.as_deref(),
        };
        self.note_single_sources(name, chain);
        let possible = self.memo.filter(|_| is_own_chain(name) && !self.log.keeps && self.filled.is_empty());
        let possible = possible.and_then(|memo| memo.possible(self.judge, chain, self.segment));
        for index in chain.candidates(&traits) {
            if possible.as_ref().is_some_and(|possible| possible.get(index) == Some(&false)) {
                continue;
            }
            let Some(rule) = chain.rules.get(index) else { break };
            let spot = Spot { chain: name, index, rule };
            if self.log.left == 0 || depth > DEPTH_MAX {
                let cause = Cause::Host("more rules than can be followed".to_owned());
                self.end(Verdict::Unknown, cause, Some(self.place(spot)));
                return Left::Ended;
            }
            self.log.left -= 1;
            let matched = self.matches(spot);
            if matched == Some(false) {
                if self.log.keeps && asks_a_set(rule) {
                    let place = self.place(spot);
                    self.log.push(|| Step::Rule(place, Certainty::Missed));
                }
                continue;
            }
            let sure = matched.is_some();
            if self.log.keeps {
                let certainty = if sure { Certainty::Matched } else { Certainty::Doubtful };
                let place = self.place(spot);
                self.log.push(|| Step::Rule(place, certainty));
            }
            match self.act(spot, sure, depth) {
                Next::Rule => {}
                Next::MayReturn => may_fall = true,
                Next::Return => return Left::Fell,
                Next::Ended if may_fall => return Left::Fell,
                Next::Ended => return Left::Ended,
            }
        }
        Left::Fell
    }

    /// Rules that name one other source are not asked, and told apart all the same.
    fn note_single_sources(&mut self, name: &str, chain: &WholeChain) {
        let rules = chain.of_single_sources();
        if rules.is_empty() || !self.notes() {
            return;
        }
        let (tried, rest) = rules.split_at(rules.len().min(SINGLE_SOURCES));
        self.log.left = self.log.left.saturating_sub(tried.len());
        for rule in tried.iter().filter_map(|index| chain.rules.get(*index)) {
            self.log.apart.note(self.judge, rule, self.segment, is_own_chain(name));
        }
        let opening =
            rest.iter().filter_map(|index| chain.rules.get(*index)).filter(|rule| rule.target != Target::Drop);
        self.log.apart.more += opening.count();
    }

    /// Whether it is asked whom rules tell apart from the sender of this packet.
    fn notes(&self) -> bool {
        self.log.apart.is_on() && matches!(self.segment.tracking, Tracking::New | Tracking::NotYet)
    }

    /// Does what the rule says; `sure`: it matched for certain.
    fn act(&mut self, spot: Spot<'a>, sure: bool, depth: usize) -> Next {
        let chains = self.chains;
        match &spot.rule.target {
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
                self.suspect(spot);
                Next::MayReturn
            }
            Target::Jump(name) | Target::Goto(name) => {
                let Some(chain) = chains.get(name) else { return self.ending(Verdict::Unknown, spot, sure) };
                let goes_for_good = matches!(spot.rule.target, Target::Goto(_));
                let (before, doubt) = (self.endings.len(), self.doubt.clone());
                if !sure {
                    self.suspect(spot);
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
            Target::Accept => self.ending(Verdict::Pass, spot, sure),
            Target::Hide(address) => self.ending(Verdict::Hide(*address), spot, sure),
            Target::Drop => self.ending(Verdict::Drop, spot, sure),
            Target::Translate { address, port } => {
                self.ending(Verdict::Translate { address: *address, port: *port }, spot, sure)
            }
            Target::Redirect { port } => self.ending(Verdict::Redirect { port: *port }, spot, sure),
            Target::Unknown => self.ending(Verdict::Unknown, spot, sure),
        }
    }

    fn suspect(&mut self, spot: Spot<'a>) {
        if self.doubt.is_none() {
            self.doubt = Some(self.place(spot));
        }
    }

    fn ending(&mut self, verdict: Verdict, spot: Spot<'a>, sure: bool) -> Next {
        if !sure {
            self.suspect(spot);
        }
        let place = self.place(spot);
        let doubt = (verdict == Verdict::Unknown).then(|| place.clone());
        self.end(verdict, Cause::Rule(place), doubt);
        if sure { Next::Ended } else { Next::Rule }
    }

    fn end(&mut self, verdict: Verdict, cause: Cause, doubt: Option<Place>) {
        let doubt = self.doubt.clone().or(doubt);
        self.endings.push(Ending { verdict, cause, doubt });
    }

    fn matches(&mut self, spot: Spot<'a>) -> Option<bool> {
        let rule = spot.rule;
        if self.notes() {
            self.log.apart.note(self.judge, rule, self.segment, is_own_chain(spot.chain));
        }
        let touched = !self.filled.is_empty()
            && rule.conditions.iter().any(|condition| match &condition.ask {
                Ask::Set { name, .. } => self.filled.contains(name),
                _ => false,
            });
        let matched = self.judge.all(&rule.conditions, self.segment);
        // What rules on the way did to a set is not seen by looking at it.
        if touched && matched != Some(false) { None } else { matched }
    }

    fn place(&self, spot: Spot<'_>) -> Place {
        Place {
            program: self.program,
            table: self.table,
            hook: self.hook,
            chain: spot.chain.to_owned(),
            number: spot.index + 1,
            text: spot.rule.text.clone(),
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
