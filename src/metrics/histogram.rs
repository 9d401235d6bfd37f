//! How often something took how long.

/// Upper ends of the buckets, in seconds: a quick pass takes some milliseconds, a full one some tens, an engine that hangs
/// seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Durations, by their length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many fell between the last bound and this one; the rest is longer than all.
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    /// Notes one that took so many seconds.
    pub fn note(&mut self, seconds: f64) {
        if let Some(index) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.within[index] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// How many were no longer than each bound.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.iter().zip(&self.within).scan(0, |so_far, (bound, within)| {
            *so_far += within;
            Some((*bound, *so_far))
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long they took together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_no_longer() {
        let mut histogram = Histogram::default();
        for seconds in [0.001, 0.0011, 0.3, 60.0] {
            histogram.note(seconds);
        }
        let at = |bound: f64| histogram.buckets().find(|(end, _)| end.total_cmp(&bound).is_eq()).unwrap().1;
        assert_eq!([at(0.001), at(0.0025), at(0.25), at(0.5), at(30.0), histogram.count()], [1, 2, 2, 3, 3, 4]);
        assert!((histogram.sum() - 60.3021).abs() < 1e-9);
    }
}
