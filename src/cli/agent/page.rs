//! The agent's figures, and the page on which it shows them: asked for over its socket, made at most once a second.
//!
//! A pass only notes what it did. Whoever asks reads the kernel beside it, without the lock.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cli::figures::Figures;
use crate::host::endpoint::Endpoint;
use crate::host::paths::Paths;
use crate::metrics::{Activity, Facts, Notation, metrics, render};
use jiff::Timestamp;

/// How old a page may be that is handed out again.
const FRESH: Duration = Duration::from_secs(1);

/// What the agent did, for those who ask. Clones share it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Activity>>);

/// What one pass did.
pub(super) struct Passed {
    /// How long it took.
    pub(super) took: Duration,
    /// From the event to its end, if there was one.
    pub(super) reaction: Option<Duration>,
    /// It followed containers alone; `None` when it failed.
    pub(super) quick: Option<bool>,
    /// The engine answered last.
    pub(super) connected: bool,
    /// Something is wrong.
    pub(super) failing: bool,
    /// Repairs since the beginning.
    pub(super) repairs: u64,
}

impl Shared {
    /// Of an agent that begins now.
    pub(super) fn new() -> Self {
        let started = Timestamp::now().as_duration().as_secs_f64();
        Self(Arc::new(Mutex::new(Activity { started, ..Activity::default() })))
    }

    /// Notes a pass.
    pub(super) fn note(&self, passed: &Passed) {
        let mut activity = locked(&self.0);
        let histogram = match passed.quick {
            Some(true) => &mut activity.quick,
            Some(false) => &mut activity.full,
            None => &mut activity.failed,
        };
        histogram.note(passed.took.as_secs_f64());
        if let Some(reaction) = passed.reaction {
            activity.reactions.note(reaction.as_secs_f64());
        }
        (activity.connected, activity.failing, activity.repairs) = (passed.connected, passed.failing, passed.repairs);
    }

    /// Shows it to whoever asks, until the answer is dropped.
    pub(super) fn show(&self, paths: &Paths) -> io::Result<Endpoint> {
        let shared = self.clone();
        let figures = Mutex::new((Figures::new(paths.clone()), None::<(Instant, Facts)>));
        let page = move |accept: &str| {
            let notation = Notation::accepted(accept);
            let mut figures = locked(&figures);
            let (reader, last) = &mut *figures;
            if last.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH) {
                let kernel = reader.read().ok();
                let version = env!("CARGO_PKG_VERSION").to_owned();
                *last = Some((Instant::now(), Facts { version, kernel, agent: None }));
            }
            let agent = Some(locked(&shared.0).clone());
            let facts = last.as_ref().map(|(_, facts)| Facts { agent, ..facts.clone() }).unwrap_or_default();
            (notation.media_type(), render(&metrics(&facts), notation))
        };
        Endpoint::serve(&paths.agent_socket(), Arc::new(page))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Figures: a panic elsewhere leaves nothing half done that matters.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
