//! What the kernel counted on each way in: packets let through, and packets kept out.
//!
//! The kernel counts by container and family where nothing allowed a packet, and by what rules ask where one decided, so one
//! counter may be of several ways or containers. Then it is the most that this way can have had, and says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{Subject, Tally};
use crate::access::{Road, Way};
use crate::net::Family;
use crate::policy::Verdict;

/// One figure of a way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many packets.
    pub packets: u64,
    /// Whether others may have had some of them.
    pub shared: bool,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of nothing there is nothing to share.
        let most = if self.shared && self.packets > 0 { "≤" } else { "" };
        write!(f, "{most}{}", self.packets)
    }
}

/// Both figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To the container, by a rule that allows them.
    pub allowed: Share,
    /// By a rule that denies them, or because none allowed them.
    pub dropped: Share,
}

/// Notes on each way what was counted on it. These have to be all ways of their containers; `id` tells a rule's by its number.
/// Rules have no say in some ways, and on others none of the host's counters sees a packet: those are left without.
pub fn count_traffic(ways: &mut [Way], tally: &Tally, id: &dyn Fn(&usize) -> Option<String>) {
    let places = Places::of(tally);
    let counted: Vec<BTreeSet<usize>> = ways.iter().map(|way| places.on(way, tally, id)).collect();
    let mut users: BTreeMap<usize, usize> = BTreeMap::new();
    for sample in counted.iter().flatten() {
        *users.entry(*sample).or_default() += 1;
    }
    for (way, samples) in ways.iter_mut().zip(&counted) {
        let is_counted = way.managed && matches!(way.road, Road::Dnat | Road::Proxy | Road::Direct | Road::Host);
        way.traffic = is_counted.then(|| {
            let mut traffic = Traffic::default();
            for index in samples {
                let Some(sample) = tally.samples.get(*index) else { continue };
                let (share, alone) = match &sample.subject {
                    Subject::Rules(group) => {
                        let mut names = tally.containers.get(&group.ids).into_iter().flatten();
                        let alone = group.ids.len() == 1 && names.all(|name| *name == way.to.name);
                        let is_allowed = group.verdict == Verdict::Allow;
                        (if is_allowed { &mut traffic.allowed } else { &mut traffic.dropped }, alone)
                    }
                    _ => (&mut traffic.dropped, true),
                };
                share.packets = share.packets.saturating_add(sample.counts.packets);
                share.shared |= sample.counts.packets > 0 && (!alone || users.get(index) != Some(&1));
            }
            traffic
        });
    }
}

/// Where the counters of a tally are, so that a thousand ways do not each look through those of all.
struct Places<'a> {
    /// By family and container.
    closed: HashMap<(Family, &'a str), Vec<usize>>,
    /// By family and a rule's ID.
    ruled: HashMap<(Family, &'a str), Vec<usize>>,
}

impl<'a> Places<'a> {
    fn of(tally: &'a Tally) -> Self {
        let mut places = Self { closed: HashMap::new(), ruled: HashMap::new() };
        for (at, sample) in tally.samples.iter().enumerate() {
            match &sample.subject {
                Subject::Rules(group) if !group.outward => {
                    for id in &group.ids {
                        places.ruled.entry((sample.family, id)).or_default().push(at);
                    }
                }
                Subject::Closed(name) => places.closed.entry((sample.family, name)).or_default().push(at),
                Subject::Rules(_) | Subject::Backstop => {}
            }
        }
        places
    }

    /// The counters that packets on a way may have met.
    fn on(&self, way: &Way, tally: &Tally, id: &dyn Fn(&usize) -> Option<String>) -> BTreeSet<usize> {
        let Some(family) = way.family else { return BTreeSet::new() };
        let speaks = |at: &usize| match tally.samples.get(*at).map(|sample| &sample.subject) {
            Some(Subject::Rules(group)) => {
                tally.containers.get(&group.ids).is_some_and(|names| names.contains(&way.to.name))
            }
            _ => false,
        };
        let ids: Vec<String> = way.rules.iter().filter_map(id).collect();
        let ruled =
            ids.iter().filter_map(|id| self.ruled.get(&(family, id.as_str()))).flatten().copied().filter(speaks);
        let closed = self.closed.get(&(family, &*way.to.name)).into_iter().flatten().copied();
        ruled.chain(closed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Resident;
    use crate::ruleset::Counts;
    use crate::tally::{RuleGroup, Sample};

    fn way(name: &str, road: Road, family: Family, rules: &[usize]) -> Way {
        let resident = Resident { name: name.to_owned(), ..Resident::default() };
        Way { road, family: Some(family), rules: rules.to_vec(), ..Way::to(resident, !rules.is_empty()) }
    }

    fn sample(family: Family, subject: Subject, packets: u64) -> Sample {
        Sample { source: String::new(), family, subject, counts: Counts { packets, bytes: 60 * packets } }
    }

    fn rules(ids: &[&str], verdict: Verdict, outward: bool) -> Subject {
        Subject::Rules(RuleGroup { ids: ids.iter().map(|id| (*id).to_owned()).collect(), verdict, outward })
    }

    fn told(ways: &[Way]) -> Vec<String> {
        let words = |traffic: Traffic| format!("{} {}", traffic.allowed, traffic.dropped);
        ways.iter().map(|way| way.traffic.map_or_else(|| "-".to_owned(), words)).collect()
    }

    #[test]
    fn what_several_share_is_the_most_of_each() {
        let closed = |name: &str| Subject::Closed(name.to_owned());
        let tally = Tally {
            samples: vec![
                sample(Family::V4, rules(&["a"], Verdict::Allow, false), 5),
                sample(Family::V4, rules(&["a"], Verdict::Allow, true), 100),
                sample(Family::V6, rules(&["a"], Verdict::Allow, false), 7),
                sample(Family::V4, rules(&["b"], Verdict::Deny, false), 3),
                sample(Family::V4, closed("web"), 20),
                sample(Family::V4, closed("db"), 1),
                sample(Family::V4, Subject::Backstop, 1000),
            ],
            containers: [
                (vec!["a".to_owned()], ["web".to_owned()].into()),
                (vec!["b".to_owned()], ["web".to_owned(), "db".to_owned()].into()),
            ]
            .into(),
        };
        let id = |number: &usize| ["a", "b"].get(number - 1).map(|id| (*id).to_owned());
        let mut ways = [
            way("web", Road::Dnat, Family::V4, &[1, 2]),
            way("web", Road::Dnat, Family::V6, &[1, 2]),
            way("db", Road::Dnat, Family::V4, &[2]),
            way("open", Road::Dnat, Family::V4, &[]),
            way("lan", Road::Driver("macvlan".to_owned()), Family::V4, &[1]),
        ];
        count_traffic(&mut ways, &tally, &id);
        // Of the deny's three packets nobody knows whose they were.
        assert_eq!(told(&ways), ["5 ≤23", "7 0", "0 ≤4", "-", "-"]);
        // A second port of web's: what was closed may have been there.
        let mut ways = [way("web", Road::Dnat, Family::V4, &[1]), way("web", Road::Direct, Family::V4, &[])];
        ways[1].managed = true;
        count_traffic(&mut ways, &tally, &id);
        assert_eq!(told(&ways), ["5 ≤20", "0 ≤20"]);
    }
}
