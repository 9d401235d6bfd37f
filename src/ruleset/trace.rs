//! A packet's walk through chains, as netfilter does it.
//!
//! Judges the rules that we can say. Foreign ones are stepped over and listed in [`Trace::unknown`], so that a caller
//! can say how sure the answer is.

mod matching;

pub use matching::contains;

use super::dump::{Chain, Dump};
use super::packet::Packet;
use super::rule::{Action, Table, names};
use crate::net::Family;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A rule accepted: the rest of this table is skipped, later tables are not.
    Accept,
    /// A rule dropped, or refused.
    Drop,
    /// The end of a built-in chain, whose policy lets it through.
    PolicyAccept,
    /// The end of a built-in chain, whose policy drops.
    PolicyDrop,
    /// Came back from the start chain undecided: whoever called it goes on.
    Return,
}

impl Outcome {
    /// Whether the packet is gone.
    pub fn is_drop(self) -> bool {
        matches!(self, Self::Drop | Self::PolicyDrop)
    }
}

/// One rule on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Its table.
    pub table: Table,
    /// Its chain.
    pub chain: String,
    /// Its index there, from 0; iptables counts from 1.
    pub index: usize,
    /// What follows `-A CHAIN `.
    pub text: String,
}

/// A walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// How it ended.
    pub outcome: Outcome,
    /// The rules that matched, in order; the last one decided, unless a policy did.
    pub steps: Vec<Step>,
    /// Rules stepped over because they are not of our kinds or ask a set that is not in the dump.
    pub unknown: Vec<Step>,
}

/// Where a walk goes on.
struct Frame<'a> {
    name: &'a str,
    chain: &'a Chain,
    next: usize,
    /// Chains entered so far on this path; more than there are means a loop.
    depth: usize,
}

/// Walks `packet` through `start_chain`. A chain that does not exist is left undecided.
pub fn trace(dump: &Dump, family: Family, table: Table, start_chain: &str, packet: &Packet) -> Trace {
    let mut trace = Trace { outcome: Outcome::Return, steps: Vec::new(), unknown: Vec::new() };
    let Some(chains) = dump.tables.get(&(family, table)).map(|table| &table.chains) else { return trace };
    let Some((name, start)) = chains.get_key_value(start_chain) else { return trace };
    let mut here = Frame { name, chain: start, next: 0, depth: 1 };
    // Only jumps leave a place to come back to; a goto does not.
    let mut callers: Vec<Frame<'_>> = Vec::new();
    loop {
        let Some(line) = here.chain.lines.get(here.next) else {
            match callers.pop() {
                Some(caller) => here = caller,
                None => break,
            }
            continue;
        };
        let step = || Step { table, chain: here.name.to_owned(), index: here.next, text: line.text.clone() };
        let matched = line
            .rule
            .as_ref()
            .and_then(|rule| Some((matching::all(dump, family, &rule.matches, packet)?, &rule.action)));
        let Some((matched, action)) = matched else {
            trace.unknown.push(step());
            here.next += 1;
            continue;
        };
        if !matched {
            here.next += 1;
            continue;
        }
        trace.steps.push(step());
        here.next += 1;
        match action {
            Action::Accept => return Trace { outcome: Outcome::Accept, ..trace },
            Action::Drop | Action::Reset => return Trace { outcome: Outcome::Drop, ..trace },
            // Nothing is decided by being told, and no rule of ours asks for the mark.
            Action::Log(_) | Action::Mark(_) => {}
            Action::Return => match callers.pop() {
                Some(caller) => here = caller,
                None => break,
            },
            Action::Jump(to) | Action::Goto(to) => {
                // No kernel holds a rule to a missing chain or a loop; a dump that does is not to be trusted.
                let Some((name, chain)) = chains.get_key_value(to).filter(|_| here.depth <= chains.len()) else {
                    trace.unknown.extend(trace.steps.pop());
                    return Trace { outcome: Outcome::Drop, ..trace };
                };
                let inner = Frame { name, chain, next: 0, depth: here.depth + 1 };
                let caller = std::mem::replace(&mut here, inner);
                if matches!(action, Action::Jump(_)) {
                    callers.push(caller);
                }
            }
        }
    }
    // A goto out of a built-in chain ends in that chain's policy too.
    let outcome = match start.policy.as_deref() {
        None => Outcome::Return,
        Some("DROP") => Outcome::PolicyDrop,
        Some(_) => Outcome::PolicyAccept,
    };
    Trace { outcome, ..trace }
}

/// Walks a forwarded packet through `filter` and then `security`: gone if either drops. Accepting in `filter` ends only
/// `filter`. The outcome is that of the table that dropped, else that of `filter`.
pub fn forward(dump: &Dump, family: Family, packet: &Packet) -> Trace {
    through(dump, family, names::FORWARD, packet)
}

/// Walks a packet through one built-in chain of `filter` and then of `security`, like [`forward`].
pub fn through(dump: &Dump, family: Family, hook: &str, packet: &Packet) -> Trace {
    let mut whole = trace(dump, family, Table::Filter, hook, packet);
    if whole.outcome.is_drop() {
        return whole;
    }
    let second = trace(dump, family, Table::Security, hook, packet);
    if second.outcome.is_drop() {
        whole.outcome = second.outcome;
    }
    whole.steps.extend(second.steps);
    whole.unknown.extend(second.unknown);
    whole
}
