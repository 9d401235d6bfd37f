//! The members of a set. Large sets hold addresses and blocks of which nothing more is said: those take eight bytes each for
//! IPv4 and eighteen for IPv6, and lie sorted, so that two sets of a million are compared by walking along both.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Index;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::set::{Member, SetEntry};

/// What a plain member says: nothing, or that it stays for good in a set where others may expire.
static NOTHING: Member = Member { timeout: None, comment: None, nomatch: false };
static FOR_GOOD: Member = Member { timeout: Some(0), comment: None, nomatch: false };

/// Members by entry, sorted by it; equal entries are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// An address, the length of its prefix, and whether it says that it stays for good.
    v4: Vec<u64>,
    v6: Vec<(Ipv6Net, bool)>,
    /// All others; none of them is above.
    other: BTreeMap<SetEntry, Member>,
}

fn plain(entry: &SetEntry, member: &Member) -> Option<(IpNet, bool)> {
    let SetEntry::Net(block) = entry else { return None };
    is_silent(member).then_some((*block, member.timeout.is_some()))
}

fn is_silent(member: &Member) -> bool {
    member.comment.is_none() && !member.nomatch && member.timeout.is_none_or(|seconds| seconds == 0)
}

fn packed(block: Ipv4Net, good: bool) -> u64 {
    u64::from(block.addr().to_bits()) << 16 | u64::from(block.prefix_len()) << 8 | u64::from(good)
}

fn unpacked(key: u64) -> (SetEntry, &'static Member) {
    let [_, _, a, b, c, d, length, good] = key.to_be_bytes();
    let block = Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length).unwrap_or_default();
    (SetEntry::Net(IpNet::V4(block)), said(good != 0))
}

fn unpacked_v6(&(block, good): &(Ipv6Net, bool)) -> (SetEntry, &'static Member) {
    (SetEntry::Net(IpNet::V6(block)), said(good))
}

fn said(good: bool) -> &'static Member {
    if good { &FOR_GOOD } else { &NOTHING }
}

impl Members {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.other.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (SetEntry, &Member)> {
        let v4 = self.v4.iter().map(|&key| unpacked(key));
        let mut plain = v4.chain(self.v6.iter().map(unpacked_v6)).peekable();
        let mut other = self.other.iter().peekable();
        std::iter::from_fn(move || {
            let first = plain.next_if(|(entry, _)| other.peek().is_none_or(|(next, _)| entry < *next));
            first.or_else(|| other.next().map(|(entry, member)| (entry.clone(), member)))
        })
    }

    /// All, in any order, for who only looks: nothing is copied.
    pub fn each(&self, mut look: impl FnMut(&SetEntry, &Member)) {
        let plain = self.v4.iter().map(|&key| unpacked(key)).chain(self.v6.iter().map(unpacked_v6));
        plain.for_each(|(entry, member)| look(&entry, member));
        self.other.iter().for_each(|(entry, member)| look(entry, member));
    }

    /// Their entries, in order.
    pub fn keys(&self) -> impl Iterator<Item = SetEntry> {
        self.iter().map(|(entry, _)| entry)
    }

    /// What is said beside them, in the order of their entries.
    pub fn values(&self) -> impl Iterator<Item = &Member> {
        self.iter().map(|(_, member)| member)
    }

    fn place_v4(&self, block: Ipv4Net) -> Result<usize, usize> {
        self.v4.binary_search_by_key(&(packed(block, false) >> 8), |key| key >> 8)
    }

    fn place_v6(&self, block: Ipv6Net) -> Result<usize, usize> {
        self.v6.binary_search_by_key(&block, |(block, _)| *block)
    }

    /// What is said beside an entry, if it is a member.
    pub fn get(&self, entry: &SetEntry) -> Option<&Member> {
        let plain = match entry {
            SetEntry::Net(IpNet::V4(block)) => self.place_v4(*block).ok().map(|at| said(self.v4[at] & 1 != 0)),
            SetEntry::Net(IpNet::V6(block)) => self.place_v6(*block).ok().map(|at| said(self.v6[at].1)),
            _ => None,
        };
        plain.or_else(|| self.other.get(entry))
    }

    /// Whether an entry is a member.
    pub fn contains_key(&self, entry: &SetEntry) -> bool {
        self.get(entry).is_some()
    }

    /// Adds a member or says something else beside it; answers what was said before. For few: many are gathered.
    pub fn insert(&mut self, entry: SetEntry, member: Member) -> Option<Member> {
        let before = self.remove(&entry);
        match plain(&entry, &member) {
            Some((IpNet::V4(block), good)) => {
                let (Ok(at) | Err(at)) = self.place_v4(block);
                self.v4.insert(at, packed(block, good));
            }
            Some((IpNet::V6(block), good)) => {
                let (Ok(at) | Err(at)) = self.place_v6(block);
                self.v6.insert(at, (block, good));
            }
            None => drop(self.other.insert(entry, member)),
        }
        before
    }

    /// Takes a member away; answers what was said beside it.
    pub fn remove(&mut self, entry: &SetEntry) -> Option<Member> {
        let good = match entry {
            SetEntry::Net(IpNet::V4(block)) => self.place_v4(*block).ok().map(|at| self.v4.remove(at) & 1 != 0),
            SetEntry::Net(IpNet::V6(block)) => self.place_v6(*block).ok().map(|at| self.v6.remove(at).1),
            _ => None,
        };
        match good {
            Some(good) => Some(said(good).clone()),
            None => self.other.remove(entry),
        }
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Where these and others differ, in order: the entry, what is said here, what is said there. That a member stays for good
    /// can be said in two ways, which make no difference.
    pub fn differences<'a>(&'a self, there: &'a Self) -> Vec<(SetEntry, Option<&'a Member>, Option<&'a Member>)> {
        let mut here_only: Vec<(SetEntry, &Member)> = Vec::new();
        let mut there_only: Vec<(SetEntry, &Member)> = Vec::new();
        let (mut here, mut elsewhere) =
            (|key: &u64| here_only.push(unpacked(*key)), |key: &u64| there_only.push(unpacked(*key)));
        apart(&self.v4, &there.v4, |key| key >> 8, &mut here, &mut elsewhere);
        let (mut here, mut elsewhere) =
            (|key: &_| here_only.push(unpacked_v6(key)), |key: &_| there_only.push(unpacked_v6(key)));
        apart(&self.v6, &there.v6, |(block, _)| *block, &mut here, &mut elsewhere);
        let mut found = Vec::with_capacity(here_only.len() + there_only.len());
        // Neither is plainly in the other.
        let here_only = here_only.into_iter().map(|(entry, member)| {
            let other = there.other.get(&entry);
            (entry, member, other)
        });
        let others = self.other.iter().map(|(entry, member)| (entry.clone(), member, there.get(entry)));
        for (entry, member, other) in here_only.chain(others) {
            if other.is_none_or(|other| other != member && !(is_silent(other) && is_silent(member))) {
                found.push((entry, Some(member), other));
            }
        }
        let there_only = there_only.into_iter().filter(|(entry, _)| !self.other.contains_key(entry));
        let others = there.other.iter().filter(|(entry, _)| !self.contains_key(entry));
        let others = others.map(|(entry, member)| (entry.clone(), member));
        found.extend(there_only.chain(others).map(|(entry, member)| (entry, None, Some(member))));
        // They are long runs, which this sort makes use of.
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// The entries, in order, that are no members of another set.
    pub fn missing_in(&self, there: &Self) -> Vec<SetEntry> {
        let mut missing = Vec::new();
        let mut take = |(entry, _): (SetEntry, &Member)| {
            if !there.other.contains_key(&entry) {
                missing.push(entry);
            }
        };
        apart(&self.v4, &there.v4, |key| key >> 8, &mut |key| take(unpacked(*key)), &mut |_| {});
        apart(&self.v6, &there.v6, |(block, _)| *block, &mut |key| take(unpacked_v6(key)), &mut |_| {});
        missing.extend(self.other.keys().filter(|entry| !there.contains_key(entry)).cloned());
        missing.sort();
        missing
    }
}

/// Walks along two sorted lists and names what only one of them has.
fn apart<T, K: Ord>(
    mut a: &[T],
    mut b: &[T],
    key: impl Fn(&T) -> K,
    only_a: &mut impl FnMut(&T),
    only_b: &mut impl FnMut(&T),
) {
    loop {
        let order = match (a.first(), b.first()) {
            (Some(one), Some(other)) => key(one).cmp(&key(other)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        if order.is_lt() {
            a.split_off_first().into_iter().for_each(&mut *only_a);
        } else if order.is_gt() {
            b.split_off_first().into_iter().for_each(&mut *only_b);
        } else {
            a.split_off_first();
            b.split_off_first();
        }
    }
}

impl Index<&SetEntry> for Members {
    type Output = Member;

    /// What is said beside a member; nothing beside what is none.
    fn index(&self, entry: &SetEntry) -> &Member {
        self.get(entry).unwrap_or(&NOTHING)
    }
}

/// Members on their way into a set, in any order; of equal ones the last counts.
#[derive(Debug, Default)]
pub struct Gathered(Members);

impl Gathered {
    /// With room for so many.
    pub fn with_capacity(count: usize, v6: bool) -> Self {
        let (v4, v6) = if v6 { (0, count) } else { (count, 0) };
        Self(Members { v4: Vec::with_capacity(v4), v6: Vec::with_capacity(v6), other: BTreeMap::new() })
    }

    /// One more.
    pub fn push(&mut self, entry: SetEntry, member: Member) {
        match plain(&entry, &member) {
            Some((block, good)) => {
                if !self.0.other.is_empty() {
                    self.0.other.remove(&entry);
                }
                match block {
                    IpNet::V4(block) => self.0.v4.push(packed(block, good)),
                    IpNet::V6(block) => self.0.v6.push((block, good)),
                }
            }
            None => drop(self.0.other.insert(entry, member)),
        }
    }

    /// All of them.
    pub fn members(self) -> Members {
        let Self(mut members) = self;
        last_of_equals(&mut members.v4, |key| key >> 8);
        last_of_equals(&mut members.v6, |(block, _)| *block);
        // What is left there came after any that said nothing.
        let (v4, v6) = (&members.v4, &members.v6);
        let twice = members.other.keys().any(|entry| match entry {
            SetEntry::Net(IpNet::V4(block)) => {
                v4.binary_search_by_key(&(packed(*block, false) >> 8), |key| key >> 8).is_ok()
            }
            SetEntry::Net(IpNet::V6(block)) => v6.binary_search_by_key(block, |(block, _)| *block).is_ok(),
            _ => false,
        });
        if twice {
            let other = &members.other;
            members.v4.retain(|key| !other.contains_key(&unpacked(*key).0));
            members.v6.retain(|key| !other.contains_key(&unpacked_v6(key).0));
        }
        members
    }
}

fn last_of_equals<T: Copy, K: Ord>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
    if list.is_sorted_by(|a, b| key(a) < key(b)) {
        return;
    }
    // Stable, so that the last of equals stays the last.
    list.sort_by_key(&key);
    list.dedup_by(|later, kept| {
        let equal = key(later) == key(kept);
        if equal {
            *kept = *later;
        }
        equal
    });
}

impl FromIterator<(SetEntry, Member)> for Members {
    fn from_iter<T: IntoIterator<Item = (SetEntry, Member)>>(all: T) -> Self {
        let mut gathered = Gathered::default();
        all.into_iter().for_each(|(entry, member)| gathered.push(entry, member));
        gathered.members()
    }
}

impl Extend<(SetEntry, Member)> for Members {
    fn extend<T: IntoIterator<Item = (SetEntry, Member)>>(&mut self, all: T) {
        let mut gathered = Gathered(std::mem::take(self));
        all.into_iter().for_each(|(entry, member)| gathered.push(entry, member));
        *self = gathered.members();
    }
}

impl<const N: usize> From<[(SetEntry, Member); N]> for Members {
    fn from(all: [(SetEntry, Member); N]) -> Self {
        all.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = (SetEntry, &'a Member);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = SetEntry> {
        // So few that they meet.
        let v4 = (0..6_u8, 30..=32_u8).prop_map(|(last, prefix)| IpNet::new([192, 0, 2, last].into(), prefix).unwrap());
        let v6 = (0..4_u16, 126..=128_u8)
            .prop_map(|(last, prefix)| IpNet::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(), prefix).unwrap());
        let net = prop_oneof![v4, v6].prop_map(|block| SetEntry::Net(block.trunc()));
        prop_oneof![8 => net, 1 => (0..3_u8).prop_map(|number| SetEntry::Other(number.to_string()))]
    }

    fn member() -> impl Strategy<Value = Member> {
        let timeout = prop_oneof![3 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(7))];
        let comment = prop_oneof![4 => Just(None), 1 => Just(Some("x".to_owned()))];
        (timeout, comment, proptest::bool::weighted(0.1)).prop_map(|(timeout, comment, nomatch)| Member {
            timeout,
            comment,
            nomatch,
        })
    }

    type List = Vec<(SetEntry, Member)>;

    fn list() -> impl Strategy<Value = List> {
        proptest::collection::vec((entry(), member()), 0..30)
    }

    fn listed(members: &Members) -> List {
        members.iter().map(|(entry, member)| (entry, member.clone())).collect()
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_is(gathered in list(), more in list(), changes in list(), gone in list()) {
            let mut map: BTreeMap<SetEntry, Member> = gathered.iter().cloned().collect();
            let mut members: Members = gathered.into_iter().collect();
            members.extend(more.iter().cloned());
            map.extend(more);
            for (entry, member) in changes {
                prop_assert_eq!(members.insert(entry.clone(), member.clone()), map.insert(entry, member));
            }
            for (entry, _) in gone {
                prop_assert_eq!(members.get(&entry), map.get(&entry));
                prop_assert_eq!(members.remove(&entry), map.remove(&entry));
            }
            prop_assert_eq!(members.len(), map.len());
            let all: List = map.iter().map(|(entry, member)| (entry.clone(), member.clone())).collect();
            prop_assert_eq!(listed(&members), all);
            let mut looked_at = Vec::new();
            members.each(|entry, member| looked_at.push((entry.clone(), member.clone())));
            looked_at.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(&looked_at, &listed(&members));
            prop_assert_eq!(members, map.into_iter().collect::<Members>());
        }

        #[test]
        fn differences_are_all_there_are(here in list(), there in list()) {
            let (here, there): (Members, Members) = (here.into_iter().collect(), there.into_iter().collect());
            let mut entries: Vec<SetEntry> = here.keys().chain(there.keys()).collect();
            entries.sort_unstable();
            entries.dedup();
            let both = entries.into_iter().map(|entry| {
                let (one, other) = (here.get(&entry), there.get(&entry));
                (entry, one, other)
            });
            let silent = |member: Option<&Member>| member.is_some_and(is_silent);
            let alike = |one, other| one == other || (silent(one) && silent(other));
            let wanted: Vec<_> = both.filter(|(_, one, other)| !alike(*one, *other)).collect();
            prop_assert_eq!(here.differences(&there), wanted);
            let missing: Vec<_> = here.keys().filter(|entry| !there.contains_key(entry)).collect();
            prop_assert_eq!(here.missing_in(&there), missing);
        }
    }
}
