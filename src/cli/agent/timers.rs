//! What the agent does by the clock, while nobody tells it anything.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// How often it asks how many members the sets have, of which nobody tells, unless that takes long.
const GLANCE: Duration = Duration::from_millis(200);
/// Then it takes one part in so many of a processor: for the answer the kernel counts members one by one.
const GLANCE_PART: u32 = 1000;
/// But it asks at least so often.
const GLANCE_LONGEST: Duration = Duration::from_secs(2);
/// How often it looks at rules of iptables-legacy, of which nobody tells either: two processes.
const LOOK: Duration = Duration::from_secs(2);
/// Everything is read again at least this often, whatever was told.
pub(in crate::cli) const FULL: Duration = Duration::from_secs(300);
/// After a whole pass that wrote rules of iptables-legacy, the next one comes no later than this, to see what they look like.
const CONFIRM: Duration = Duration::from_millis(100);
/// After a pass that failed, or left nothing to go by, the next one comes no later than this.
const RETRY: Duration = Duration::from_secs(2);
/// The engine tells of a running container's new place on a network before its list of containers has it, as 28.5 was seen
/// to do.
const AGAIN: Duration = Duration::from_millis(250);
/// Its account of itself is written no more often than this.
const RECORD: Duration = Duration::from_secs(1);
/// The wall clock may run away from the other one by so much between two looks, as clocks that are being slewed do.
const JUMP: Duration = Duration::from_secs(2);

/// Something that it is time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A sign of life.
    Alive,
    /// Its account of itself.
    Record,
    /// A look at the engine's list, for it was late or not asked for.
    Again,
    /// A look at the sets.
    Glance,
    /// A look at rules of iptables-legacy.
    Look,
    /// A pass, for somebody set the wall clock.
    Clock,
    /// A pass, for long nothing was heard, or the last one failed.
    Full,
}

/// When it is time for what.
#[derive(Debug)]
pub(super) struct Timers {
    alive: Option<(Duration, Instant)>,
    record: Option<Instant>,
    again: Option<Instant>,
    glance: Instant,
    look: Instant,
    full: Instant,
    /// Both clocks at one moment.
    clocks: (Instant, SystemTime),
}

impl Timers {
    /// From now on; a sign of life every `alive`.
    pub(super) fn new(alive: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            alive: alive.map(|every| (every, now + every)),
            record: None,
            again: None,
            glance: now + GLANCE,
            look: now + LOOK,
            full: now + FULL,
            clocks: (now, SystemTime::now()),
        }
    }

    /// A whole pass is due in a moment; not as soon when the last one left nothing to go by.
    pub(super) fn confirm(&mut self, soon: bool) {
        self.full = self.full.min(Instant::now() + if soon { CONFIRM } else { RETRY });
    }

    /// A whole pass was made.
    pub(super) fn passed(&mut self, succeeded: bool) {
        self.full = Instant::now() + if succeeded { FULL } else { RETRY };
        self.record();
    }

    /// There is something to give account of.
    pub(super) fn record(&mut self) {
        self.record = self.record.or(Some(Instant::now() + RECORD));
    }

    /// The list that was read may be late.
    pub(super) fn again(&mut self) {
        self.again = Some(Instant::now() + AGAIN);
    }

    /// The engine was not asked; that can wait, but not for ever.
    pub(super) fn later(&mut self) {
        self.again = self.again.or(Some(Instant::now() + AGAIN));
    }

    /// Looks at the sets; the next look is due the later the longer this one takes.
    pub(super) fn glance<T>(&mut self, look: impl FnOnce() -> T) -> T {
        let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
        let begun = used();
        let seen = look();
        let took = used().saturating_sub(begun);
        self.glance = Instant::now() + (took * GLANCE_PART).clamp(GLANCE, GLANCE_LONGEST);
        seen
    }

    /// How long nothing is due.
    pub(super) fn wait(&self) -> Duration {
        let alive = self.alive.map(|(_, at)| at);
        let first =
            [alive, self.record, self.again].into_iter().flatten().chain([self.glance, self.look, self.full]).min();
        first.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()))
    }

    /// What is due, one thing at a time.
    pub(super) fn due(&mut self) -> Option<Due> {
        let now = Instant::now();
        if let Some((every, at)) = &mut self.alive
            && *at <= now
        {
            *at = now + *every;
            return Some(Due::Alive);
        }
        if self.record.is_some_and(|at| at <= now) {
            self.record = None;
            return Some(Due::Record);
        }
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            return Some(Due::Again);
        }
        if self.jumped(now) {
            return Some(Due::Clock);
        }
        if self.full <= now {
            self.full = now + FULL;
            return Some(Due::Full);
        }
        if self.glance <= now {
            self.glance = now + GLANCE;
            return Some(Due::Glance);
        }
        if self.look <= now {
            self.look = now + LOOK;
            return Some(Due::Look);
        }
        None
    }

    /// Whether somebody set the wall clock since this was asked last.
    fn jumped(&mut self, now: Instant) -> bool {
        let wall = SystemTime::now();
        let (at, then) = std::mem::replace(&mut self.clocks, (now, wall));
        let expected = then + now.duration_since(at);
        let away = wall.duration_since(expected).unwrap_or_else(|error| error.duration());
        away > JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_take_long_are_taken_less_often() {
        let mut timers = Timers::new(None);
        let mut wait = |work: u128| {
            let begun = Instant::now();
            timers.glance(|| while begun.elapsed().as_micros() < work {});
            timers.glance.saturating_duration_since(begun)
        };
        assert!(wait(0) >= GLANCE);
        // Of what passes by the clock, others may have had a part.
        assert!((GLANCE..=GLANCE_LONGEST * 2).contains(&wait(1000)));
        assert!(wait(100_000) >= GLANCE_LONGEST);
    }
}
