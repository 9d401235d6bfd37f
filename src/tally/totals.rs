//! Sums that only grow, of counters that begin anew whenever a rule or a member of a set is written anew.

use std::collections::BTreeMap;

use super::{Sample, Subject};
use crate::ruleset::Counts;

/// The sums so far, and what the counters said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    last: BTreeMap<String, Counts>,
    sums: BTreeMap<Subject, Counts>,
}

impl Totals {
    /// Takes a reading in. Who has no counter any more is forgotten: it begins at nothing if it comes again.
    pub fn take(&mut self, samples: &[Sample]) {
        let mut now: BTreeMap<String, (Subject, Counts)> = BTreeMap::new();
        for sample in samples {
            // Two rules of one chain may have the same text.
            let source = format!("{:?} {}", sample.subject, sample.source);
            now.entry(source).or_insert_with(|| (sample.subject.clone(), Counts::default())).1 += sample.counts;
        }
        let mut sums: BTreeMap<Subject, Counts> = BTreeMap::new();
        for (source, (subject, counts)) in &now {
            let more = counts.since(self.last.get(source).copied().unwrap_or_default());
            let before = || self.sums.get(subject).copied().unwrap_or_default();
            *sums.entry(subject.clone()).or_insert_with(before) += more;
        }
        self.last = now.into_iter().map(|(source, (_, counts))| (source, counts)).collect();
        self.sums = sums;
    }

    /// The sums.
    pub fn sums(&self) -> &BTreeMap<Subject, Counts> {
        &self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Family;

    fn sample(source: &str, subject: &str, packets: u64) -> Sample {
        let counts = Counts { packets, bytes: packets * 60 };
        let subject = Subject::Closed(subject.to_owned());
        Sample { source: source.to_owned(), family: Family::V4, subject, counts }
    }

    fn packets(totals: &Totals) -> Vec<u64> {
        totals.sums().values().map(|counts| counts.packets).collect()
    }

    #[test]
    fn a_sum_never_falls_while_its_owner_is_there() {
        let mut totals = Totals::default();
        totals.take(&[sample("a", "web", 5), sample("b", "web", 7)]);
        assert_eq!(packets(&totals), [12]);
        // One of the two addresses is another one now, the other counted on.
        totals.take(&[sample("c", "web", 1), sample("b", "web", 9)]);
        assert_eq!(packets(&totals), [15]);
        // A counter that began anew.
        totals.take(&[sample("c", "web", 1), sample("b", "web", 2)]);
        assert_eq!(packets(&totals), [17]);
        // An address that changed hands counts for its new owner from nothing.
        totals.take(&[sample("c", "db", 1)]);
        assert_eq!(packets(&totals), [1]);
    }

    #[test]
    fn two_counters_of_one_name_are_one() {
        let mut totals = Totals::default();
        totals.take(&[sample("a", "web", 5), sample("a", "web", 6)]);
        totals.take(&[sample("a", "web", 6), sample("a", "web", 6)]);
        assert_eq!(packets(&totals), [12]);
    }
}
