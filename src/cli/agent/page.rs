//! The agent's figures, and the page on which it shows them: asked for over its socket, made at most once a second.
//!
//! A pass only notes what it did. Whoever asks reads the kernel beside it, without the lock.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::log::Log;
use super::record::Record;
use crate::cli::figures::Figures;
use crate::host::endpoint::Endpoint;
use crate::host::paths::Paths;
use crate::metrics::{Activity, Facts, Notation, metrics, render};

/// How old a page may be that is handed out again.
const FRESH: Duration = Duration::from_secs(1);

/// What the agent did, for those who ask. Clones share it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Activity>>);

impl Shared {
    /// Of an agent that begins now, shown to whoever asks until the endpoint is dropped.
    pub(super) fn shown(paths: &Paths, log: &mut Log) -> (Self, Option<Endpoint>) {
        let started = Timestamp::now().as_duration().as_secs_f64();
        let shared = Self(Arc::new(Mutex::new(Activity { started, ..Activity::default() })));
        let shown = shared.show(paths);
        if let Err(error) = &shown {
            log.warning(&format!("nobody can ask for the agent's figures: {error}"));
        }
        (shared, shown.ok())
    }

    /// Notes a pass, `quick` or not if it succeeded, of which `record` is the account.
    pub(super) fn note(&self, quick: Option<bool>, took: Duration, reaction: Option<Duration>, record: &Record) {
        let mut activity = locked(&self.0);
        let histogram = match quick {
            Some(true) => &mut activity.quick,
            Some(false) => &mut activity.full,
            None => &mut activity.failed,
        };
        histogram.note(took.as_secs_f64());
        if let Some(reaction) = reaction {
            activity.reactions.note(reaction.as_secs_f64());
        }
        activity.connected = record.connected;
        activity.failing = record.failure.is_some();
        activity.repairs = record.repairs;
    }

    fn show(&self, paths: &Paths) -> io::Result<Endpoint> {
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
