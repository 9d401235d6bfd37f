//! Which rules of our own chains one sender cannot meet, remembered from one of his packets for the next.
//!
//! Each rule asks for its own source, and one packet after another of one sender gets the same answers: a thousand ways with
//! a hundred sources would be asked the same hundred thousand times.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::judge::{Judge, about_client_alone};
use super::segment::{Link, Segment, Tracking};
use crate::ruleset::{Ask, WholeChain};

/// Chains shorter than this are asked as they are.
const LONG: usize = 16;

/// What tells answers apart: the chain, and whose packet it is, coming or going.
type Key = (usize, IpAddr, Link, bool);

/// What is remembered, as long as neither rules nor sets change.
#[derive(Debug, Default)]
pub struct Memo(RefCell<HashMap<Key, Rc<[bool]>>>);

impl Memo {
    /// For each rule of a chain whether its questions about the sender alone leave it possible.
    pub(super) fn possible(&self, judge: Judge<'_>, chain: &WholeChain, segment: &Segment) -> Option<Rc<[bool]>> {
        if chain.rules.len() < LONG {
            return None;
        }
        let answers = segment.tracking == Tracking::Answer;
        let (client, link) =
            if answers { (segment.destination, &segment.out_link) } else { (segment.source, &segment.in_link) };
        // The chain stays where it is while somebody walks through it.
        let key = (std::ptr::from_ref(chain) as usize, client, link.clone(), answers);
        if let Some(known) = self.0.borrow().get(&key) {
            return Some(Rc::clone(known));
        }
        let possible: Rc<[bool]> = chain
            .rules
            .iter()
            .map(|rule| {
                let mut sets = rule.conditions.iter().filter(|condition| match &condition.ask {
                    ask @ Ask::Set { .. } => about_client_alone(ask, segment),
                    _ => false,
                });
                sets.all(|condition| judge.holds(condition, segment) != Some(false))
            })
            .collect();
        self.0.borrow_mut().insert(key, Rc::clone(&possible));
        Some(possible)
    }
}
