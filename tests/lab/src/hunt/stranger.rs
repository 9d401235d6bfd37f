//! The stranger: tries every way in, and writes down who answered and what was going on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::volley::{GLANCE, Outcome, Target, Volley};
use crate::client::enter;
use crate::{Client, Lab, LabError};

/// Between two attempts at one port; an attempt of nobody's; a connection on which nothing is said, long enough for
/// docker-proxy's kernel to try the container for a third time.
const TIMES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(100), Duration::from_secs(4)];

/// Those that anybody may reach are called so; all others are guarded.
pub(super) fn is_guarded(peer: &str) -> bool {
    !peer.starts_with("open")
}

/// What an answer to the stranger was, when it should not have been one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leak {
    /// What was going on.
    pub stage: String,
    /// Who answered which attempt.
    pub what: String,
}

/// How often, and when: milliseconds after that began, the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub number: usize,
    pub first: u128,
    pub last: u128,
}

/// What the stranger saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub tries: BTreeMap<String, u64>,
    pub leaks: BTreeMap<Leak, Times>,
    /// Answers of containers that anybody may reach, by protocol and family: the proof that it looks.
    pub open: BTreeMap<String, u64>,
    /// Connections that docker-proxy took and no container.
    pub mute: u64,
}

impl Seen {
    pub(super) fn leak(&mut self, stage: &str, what: String, after: Duration) {
        let at = after.as_millis();
        let leak = Leak { stage: stage.to_owned(), what };
        let times = self.leaks.entry(leak).or_insert(Times { number: 0, first: at, last: at });
        times.number += 1;
        times.first = times.first.min(at);
        times.last = times.last.max(at);
    }

    /// How often during a stage.
    pub(super) fn leaks_of(&self, stage: &str) -> usize {
        self.leaks.iter().filter(|(leak, _)| leak.stage == stage).map(|(_, times)| times.number).sum()
    }
}

/// What is going on, and since when.
type Stage = Arc<Mutex<(String, Instant)>>;

/// Tries until dropped.
pub(super) struct Stranger {
    stop: Arc<AtomicBool>,
    stage: Stage,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

impl Stranger {
    pub(super) fn start(lab: &Lab, targets: Vec<Target>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stage = Arc::new(Mutex::new(("nothing".to_owned(), Instant::now())));
        let seen = Arc::<Mutex<Seen>>::default();
        let (name, ended, now, tally) = (lab.name().to_owned(), stop.clone(), stage.clone(), seen.clone());
        let thread = thread::spawn(move || {
            enter(&name, Client::Stranger)?;
            let mut volley = Volley::new(targets, "stranger", TIMES);
            while !ended.load(Ordering::Relaxed) {
                let (stage, since) = now.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                volley.round(&mut |target, begun, outcome| note(&mut tally, &stage, since, target, begun, outcome));
                drop(tally);
                thread::sleep(GLANCE);
            }
            Ok(())
        });
        Self { stop, stage, seen, thread: Some(thread) }
    }

    /// Says what is going on from now on.
    pub(super) fn during(&self, stage: &str) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = (stage.to_owned(), Instant::now());
    }

    /// What it saw so far.
    pub(super) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it: all that it saw.
    pub(super) fn end(mut self) -> Result<Seen, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(self.seen(std::mem::take))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn note(seen: &mut Seen, stage: &str, since: Instant, target: &Target, begun: Instant, outcome: Outcome) {
    match outcome {
        Outcome::Answered(name) if is_guarded(&name) => {
            let after = begun.saturating_duration_since(since);
            seen.leak(stage, format!("{name} answered {}", target.label()), after);
        }
        Outcome::Answered(_) => {
            let family = if target.to.is_ipv4() { "IPv4" } else { "IPv6" };
            *seen.open.entry(format!("{} {family}", target.protocol)).or_default() += 1;
        }
        Outcome::Mute => seen.mute += 1,
        Outcome::Refused | Outcome::Silent => {}
    }
    *seen.tries.entry(stage.to_owned()).or_default() += 1;
}
