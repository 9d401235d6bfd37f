//! Another program that keeps changing our rules: repairs that nobody but such a one can have made necessary are counted.

use std::time::{Duration, Instant};

/// More repairs within [`SPAN`] than these are a fight: then passes are kept apart.
const REPAIRS: usize = 10;
/// See [`REPAIRS`].
const SPAN: Duration = Duration::from_secs(30);
/// The pause between two passes while there is one, but for containers that come and go.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// When something had to be repaired lately.
#[derive(Debug, Default)]
pub(super) struct Fight(Vec<Instant>);

impl Fight {
    /// Whether there is one.
    pub(super) fn is_on(&mut self) -> bool {
        self.0.retain(|at| at.elapsed() < SPAN);
        self.0.len() >= REPAIRS
    }

    /// One more repair; what is to be said when that makes it a fight.
    pub(super) fn repaired(&mut self) -> Option<String> {
        let was_on = self.is_on();
        self.0.push(Instant::now());
        (!was_on && self.is_on()).then(|| {
            format!(
                "another program keeps changing our rules: repaired {} times within {} s, and from now on every {} ms at \
                 most. The backstop holds meanwhile. The lines above say who it is, where the kernel tells",
                self.0.len(),
                SPAN.as_secs(),
                PAUSE.as_millis()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_is_said_once() {
        let mut fight = Fight::default();
        let said: Vec<bool> = (0..REPAIRS + 2).map(|_| fight.repaired().is_some()).collect();
        assert_eq!(said.iter().position(|said| *said), Some(REPAIRS - 1));
        assert_eq!(said.iter().filter(|said| **said).count(), 1);
        assert!(fight.is_on());
    }
}
