//! The friend: comes by many times a second, and what was refused to it is counted when it ought to have been served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::volley::{GLANCE, Outcome, Target, Volley};
use crate::client::enter;
use crate::{Client, Lab, LabError};

/// How long an attempt of the friend's may take before it counts as refused; less than the second after which the
/// kernel sends a lost SYN again, so that an attempt tells of the moment in which it began.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
const TIMES: [Duration; 3] = [Duration::from_millis(15), PATIENCE, PATIENCE];

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub target: usize,
    pub begun: Instant,
    pub served: bool,
}

/// How one port was served since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub tries: usize,
    pub refused: usize,
    /// From a first refused attempt to the next one that was served.
    pub longest: Duration,
    /// From that moment to the first attempt that was served and followed by no refused one; `None` when the last one
    /// was refused, or there was none.
    pub mended: Option<Duration>,
}

impl Service {
    /// Reads the attempts of one target, whatever their order, that began at `base` or later.
    pub(super) fn since(base: Instant, tries: impl Iterator<Item = Try>) -> Self {
        let mut tries: Vec<Try> = tries.filter(|one| one.begun >= base).collect();
        tries.sort_by_key(|one| one.begun);
        let mut service = Self { tries: tries.len(), ..Self::default() };
        let mut refused_from: Option<Instant> = None;
        for one in &tries {
            if !one.served {
                service.refused += 1;
                refused_from.get_or_insert(one.begun);
                service.mended = None;
                continue;
            }
            if let Some(from) = refused_from.take() {
                service.longest = service.longest.max(one.begun - from);
                service.mended = Some(one.begun - base);
            } else if service.mended.is_none() {
                service.mended = Some(Duration::ZERO);
            }
        }
        if let (Some(from), Some(last)) = (refused_from, tries.last()) {
            service.longest = service.longest.max(last.begun - from);
        }
        service
    }
}

/// Tries until dropped.
pub(super) struct Friend {
    targets: Vec<Target>,
    stop: Arc<AtomicBool>,
    tries: Arc<Mutex<Vec<Try>>>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

impl Friend {
    pub(super) fn start(lab: &Lab, targets: Vec<Target>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let tries = Arc::<Mutex<Vec<Try>>>::default();
        let (name, ended, tally, own) = (lab.name().to_owned(), stop.clone(), tries.clone(), targets.clone());
        let thread = thread::spawn(move || {
            enter(&name, Client::Friend)?;
            let mut volley = Volley::new(own.clone(), "friend", TIMES);
            while !ended.load(Ordering::Relaxed) {
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                volley.round(&mut |target, begun, outcome| {
                    let served = matches!(outcome, Outcome::Answered(name) if name == target.peer);
                    tally.extend(own.iter().position(|one| one == target).map(|target| Try { target, begun, served }));
                });
                drop(tally);
                thread::sleep(GLANCE);
            }
            Ok(())
        });
        Self { targets, stop, tries, thread: Some(thread) }
    }

    /// What it tries.
    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// How a port was served since then.
    pub(super) fn served(&self, target: usize, since: Instant) -> Service {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        Service::since(since, tries.iter().copied().filter(|one| one.target == target))
    }

    /// Forgets what was before.
    pub(super) fn forget(&self) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<(), LabError> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => Ok(()),
        }
    }
}

impl Drop for Friend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(served: &[u8], since: u64) -> Service {
        let zero = Instant::now();
        let tries = served.iter().zip(0..).map(|(served, at)| Try {
            target: 0,
            begun: zero + Duration::from_millis(10 * at),
            served: *served == b'y',
        });
        // They end in another order than they began.
        let mut tries: Vec<Try> = tries.collect();
        tries.reverse();
        Service::since(zero + Duration::from_millis(since), tries.into_iter())
    }

    #[test]
    fn a_gap_lasts_until_the_next_that_is_served() {
        let found = service(b"yynnnyyny", 0);
        assert_eq!((found.tries, found.refused), (9, 4));
        assert_eq!(found.longest, Duration::from_millis(30));
        assert_eq!(found.mended, Some(Duration::from_millis(80)));
    }

    #[test]
    fn what_was_before_does_not_count() {
        let found = service(b"nnnyyy", 30);
        assert_eq!((found.tries, found.refused, found.mended), (3, 0, Some(Duration::ZERO)));
    }

    #[test]
    fn a_last_refusal_is_not_mended() {
        assert_eq!(service(b"yyn", 0).mended, None);
        assert_eq!(service(b"", 0).mended, None);
    }
}
