//! From what the kernel holds to what it shall hold: the calls, in an order in which no instant is wider than both.
//!
//! Why the order is safe. Call a set *narrowing* if a new member can only take access away (it leads to judgement, or
//! to a drop), *widening* if it can only give some. With the old rules in force, only narrowing changes are made, so
//! nothing gets more than the old policy gave. Then the rules change, one transaction a table, while every narrowing
//! set holds old and new members and every widening one only those common to both: nothing gets more than the new
//! policy gives. Then the widening changes, up to the new policy. A set that serves both verdicts, or must be made anew,
//! is changed behind a *barrier*: rules that drop everything ruled. `filter` and `security` judge the same packet and
//! both must let it pass, so a moment with one old and one new is narrower than either.
//!
//! The first rules of a family come behind a barrier too. The kernel tracks connections only while some rule asks about
//! them, and it begins when such a rule is loaded, before the rule is in force. A packet that passes in between may be
//! the container's, and an open session then looks like one that the container began. The barrier asks about none.

mod diff;
mod polarity;
mod rules;
mod sets;

use std::fmt::Write as _;

use crate::compile;
use crate::net::Family;
use crate::ruleset::{
    Desired, Dump, Member, SetEntry, is_temporary_set, push_set_entry, render_set_create, temporary_set,
};

pub use diff::{DiffLine, Sign, diff, unsaved};
use polarity::Polarities;
use sets::SetChange;

/// Which part of the order a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// New sets, filled before anything asks them.
    Prepare,
    /// Members whose change takes access away.
    Narrow,
    /// Everything ruled is dropped for a moment.
    Barrier,
    /// Changes behind the barrier.
    Behind,
    /// Chains and jumps.
    Rules,
    /// Members whose change gives access.
    Widen,
    /// Sets that nothing asks any more.
    Clear,
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `ipset restore` of this text. Not atomic.
    Sets(String),
    /// `iptables-restore --noflush` of this text. Atomic for each table.
    Rules(Family, String),
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where in the order.
    pub phase: Phase,
    /// What is called.
    pub call: Call,
    /// A failure is a remark, not a reason to undo: somebody else still uses a set that we no longer need.
    pub optional: bool,
}

/// The steps, in order; none when there is nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn sets(&mut self, phase: Phase, text: String) {
        if !text.is_empty() {
            self.steps.push(Step { phase, call: Call::Sets(text), optional: false });
        }
    }

    fn rules(&mut self, phase: Phase, family: Family, text: String) {
        if !text.is_empty() {
            self.steps.push(Step { phase, call: Call::Rules(family, text), optional: false });
        }
    }
}

fn create(text: &mut String, name: &str, set: &crate::ruleset::IpSet) {
    let _ = writeln!(text, "{}", render_set_create(name, &set.shape));
    for (entry, member) in &set.members {
        push_add(text, name, &entry, member);
        text.push('\n');
    }
}

fn push_add(text: &mut String, name: &str, entry: &SetEntry, member: &Member) {
    for part in ["add ", name, " "] {
        text.push_str(part);
    }
    push_set_entry(text, entry, member);
}

/// Compares and orders.
pub fn plan(have: &Dump, want: &Desired) -> Plan {
    let mut plan = Plan::default();
    let polarities = Polarities::of(have, want);
    let changes = sets::changes(have, want);

    let mut prepare = String::new();
    let mut new = Vec::new();
    for leftover in have.sets.keys().filter(|name| is_temporary_set(name)) {
        let _ = writeln!(prepare, "destroy {leftover}");
    }
    let mut behind = String::new();
    let mut narrow = String::new();
    let mut widen = String::new();
    let mut barriers = std::collections::BTreeSet::new();
    for (index, (name, change)) in changes.iter().enumerate() {
        match change {
            SetChange::Create(set) => new.push((name, set)),
            SetChange::Remake(set) => {
                let family = set.shape.family;
                if polarities.is_asked(name) {
                    barriers.insert(family);
                }
                if have.sets.get(name).is_some_and(|old| old.shape.kind != set.shape.kind) {
                    // The kernel swaps only sets of one kind (`ip_set_swap`); behind the barrier nothing asks this one.
                    let _ = writeln!(behind, "destroy {name}");
                    create(&mut behind, name, set);
                    continue;
                }
                let new = temporary_set(family, index);
                create(&mut prepare, &new, set);
                let _ = write!(behind, "swap {new} {name}\ndestroy {new}\n");
            }
            SetChange::Members { family, add, remove } => {
                let present = &have.sets[name].members;
                let (more, fewer) = sets::texts(name, present, add, remove);
                match polarities.get(name) {
                    Some(polarity::Polarity::Narrowing) => {
                        narrow.push_str(&more);
                        // Backwards: who is no longer closed leaves judgement before it leaves `guarded`, for
                        // the judgement of one end of a packet stands for that of the other.
                        widen.insert_str(0, &fewer);
                    }
                    Some(polarity::Polarity::Widening) => {
                        narrow.push_str(&fewer);
                        widen.push_str(&more);
                    }
                    Some(polarity::Polarity::Both) => {
                        behind.push_str(&fewer);
                        behind.push_str(&more);
                        barriers.insert(*family);
                    }
                    None => {
                        narrow.push_str(&fewer);
                        narrow.push_str(&more);
                    }
                }
            }
        }
    }
    // `ipset flush` without a name empties sets in the order in which they were made (kernel: `ip_set_core.c`): what tells
    // that it happens goes first, then what leads to judgement, so that nobody is judged by the rest while it goes.
    new.sort_by_key(|(name, set)| compile::flush_rank(name, set.shape.family));
    for (name, set) in new {
        create(&mut prepare, name, set);
    }
    plan.sets(Phase::Prepare, prepare);
    plan.sets(Phase::Narrow, narrow);
    let mut raised = std::collections::BTreeSet::new();
    for family in barriers {
        let text = rules::barrier(have, want, family);
        if !text.is_empty() {
            raised.insert(family);
        }
        plan.rules(Phase::Barrier, family, text);
    }
    // Both families' transactions follow each other, so that they can be made at once.
    let mut transactions = Vec::new();
    for family in Family::ALL {
        transactions.push(match rules::first_barrier(have, want, family) {
            None => (family, rules::transaction(have, want, family, raised.contains(&family))),
            Some((text, closed)) => {
                plan.rules(Phase::Barrier, family, text);
                (family, rules::transaction(&closed, want, family, false))
            }
        });
    }
    plan.sets(Phase::Behind, behind);
    for (family, text) in transactions {
        plan.rules(Phase::Rules, family, text);
    }
    plan.sets(Phase::Widen, widen);
    let (own, users) = sets::stale(have, want);
    plan.sets(Phase::Clear, own);
    // One call each: somebody else's rule may hold on to one, and the others shall go all the same.
    for line in users.lines() {
        plan.steps.push(Step { phase: Phase::Clear, call: Call::Sets(format!("{line}\n")), optional: true });
    }
    plan
}
