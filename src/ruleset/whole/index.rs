//! Which rules of a long chain a packet can meet at all.
//!
//! Docker writes some rules for each container, and each names that container's address or port. Whoever follows a packet
//! for each of a thousand containers would ask every rule a thousand times; so the rules that name one address, port or
//! interface are found by it, and only what is left is asked in turn.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Ask, WholeRule};

/// Chains shorter than this are asked as they are.
const LONG: usize = 16;

/// What of a packet rules are found by; a port that is not known is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits<'a> {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// Its destination's port.
    pub port: Option<u16>,
    /// Where it came in: `None` where that is not known, empty where there is no such interface.
    pub came: Option<&'a str>,
    /// Where it goes out.
    pub goes: Option<&'a str>,
}

/// The rules of one chain by what they name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    sources: HashMap<IpAddr, Vec<usize>>,
    destinations: HashMap<IpAddr, Vec<usize>>,
    ports: HashMap<u16, Vec<usize>>,
    came: HashMap<String, Vec<usize>>,
    goes: HashMap<String, Vec<usize>>,
    others: Vec<usize>,
    /// Those that are found by their source.
    pub(super) sourced: Vec<usize>,
}

impl Index {
    /// Of a long chain.
    pub(super) fn of(rules: &[WholeRule]) -> Option<Self> {
        if rules.len() < LONG {
            return None;
        }
        let mut index = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            index.bucket(rule).push(number);
        }
        index.sourced = index.sources.values().flatten().copied().collect();
        index.sourced.sort_unstable();
        Some(index)
    }

    /// Where a rule is found: by the most particular thing that it names.
    fn bucket(&mut self, rule: &WholeRule) -> &mut Vec<usize> {
        let plain = || rule.conditions.iter().filter(|condition| !condition.negated).map(|condition| &condition.ask);
        let single = |block: &ipnet::IpNet| block.prefix_len() == block.max_prefix_len();
        let name = |pattern: &String| !pattern.ends_with('+') && !pattern.is_empty();
        for ask in plain() {
            if let Ask::Destination(block) = ask
                && single(block)
            {
                return self.destinations.entry(block.addr()).or_default();
            }
        }
        for ask in plain() {
            if let Ask::Source(block) = ask
                && single(block)
            {
                return self.sources.entry(block.addr()).or_default();
            }
        }
        for ask in plain() {
            match ask {
                Ask::DestinationPorts(ranges) => {
                    if let [(first, last)] = ranges[..]
                        && first == last
                    {
                        return self.ports.entry(first).or_default();
                    }
                }
                Ask::In(pattern) if name(pattern) => return self.came.entry(pattern.clone()).or_default(),
                Ask::Out(pattern) if name(pattern) => return self.goes.entry(pattern.clone()).or_default(),
                _ => {}
            }
        }
        &mut self.others
    }

    /// The lists that hold every rule that the packet can meet; `None` where one of its traits would have to be known.
    fn lists(&self, traits: &Traits<'_>) -> Option<[&[usize]; 6]> {
        fn under<'a, K: std::hash::Hash + Eq + ?Sized, O: std::borrow::Borrow<K> + std::hash::Hash + Eq>(
            map: &'a HashMap<O, Vec<usize>>,
            key: Option<&K>,
        ) -> Option<&'a [usize]> {
            match key {
                _ if map.is_empty() => Some(&[]),
                Some(key) => Some(map.get(key).map_or(&[], Vec::as_slice)),
                None => None,
            }
        }
        Some([
            under(&self.sources, Some(&traits.source))?,
            under(&self.destinations, Some(&traits.destination))?,
            under(&self.ports, traits.port.as_ref())?,
            under(&self.came, traits.came)?,
            under(&self.goes, traits.goes)?,
            &self.others,
        ])
    }
}

/// Numbers of rules, in their order.
#[derive(Clone, Debug)]
pub enum Candidates<'a> {
    /// All of them.
    All(std::ops::Range<usize>),
    /// What these sorted lists hold.
    Some([&'a [usize]; 6]),
}

impl<'a> Candidates<'a> {
    pub(super) fn new(index: Option<&'a Index>, count: usize, traits: &Traits<'_>) -> Self {
        match index.and_then(|index| index.lists(traits)) {
            Some(lists) => Self::Some(lists),
            None => Self::All(0..count),
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Self::All(range) => range.next(),
            Self::Some(lists) => {
                let list = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}
