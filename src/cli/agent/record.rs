//! What the agent tells of itself: a file beside its lock, for `status` and `doctor`.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files::{self, FileError};
use crate::host::lock;
use crate::host::paths::Paths;

/// So many reactions and repairs are remembered.
const LATELY: usize = 100;
/// More than the file ever has, in bytes.
const RECORD_MAX: u64 = 1 << 20;

/// The agent's own account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Record {
    /// Its process ID.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
    /// When it began (RFC 3339).
    pub(crate) started: String,
    /// Whether the engine answered last.
    pub(crate) connected: bool,
    /// Passes that read everything.
    pub(crate) full_passes: u64,
    /// Passes that followed containers alone.
    pub(crate) quick_passes: u64,
    /// Passes that failed.
    pub(crate) failed_passes: u64,
    /// Passes in which the kernel was not as it was left, and was mended.
    pub(crate) repairs: u64,
    /// When the last pass ended (RFC 3339).
    pub(crate) last_pass: String,
    /// How long it took, in milliseconds.
    pub(crate) last_pass_ms: f64,
    /// Milliseconds from the moment at which an event was heard of to the rules being in force, the newest last.
    pub(crate) reactions_ms: VecDeque<f64>,
    /// The last repairs: when and why.
    pub(crate) repaired: VecDeque<Repair>,
    /// Why there is no third line, if it cannot be held.
    pub(crate) third_line: Option<String>,
    /// Why the last pass failed, if it did.
    pub(crate) failure: Option<String>,
}

/// One repair.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Repair {
    /// When (RFC 3339).
    pub(crate) at: String,
    /// Why.
    pub(crate) cause: String,
}

/// A span in milliseconds, to the hundredth.
pub(super) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 100_000.0).round() / 100.0
}

/// A moment as files say it: to the millisecond, and always as long, so that lines sort as text.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

impl Record {
    /// Of an agent that has just begun.
    pub(super) fn new() -> Self {
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: now(),
            ..Self::default()
        }
    }

    /// Notes how long a reaction took.
    pub(super) fn reacted(&mut self, span: Duration) {
        self.reactions_ms.push_back(millis(span));
        forget_old(&mut self.reactions_ms);
    }

    /// Notes a repair.
    pub(super) fn repaired(&mut self, cause: String) {
        self.repairs += 1;
        self.repaired.push_back(Repair { at: now(), cause });
        forget_old(&mut self.repaired);
    }

    /// The reactions at a quantile between 0 and 1; `None` when there was none.
    pub(crate) fn reaction(&self, quantile: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.reactions_ms.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a hundred"
        )]
        let index = (quantile * (sorted.len().saturating_sub(1)) as f64).round() as usize;
        sorted.get(index).copied()
    }

    /// Writes it into its place.
    pub(super) fn write(&self, paths: &Paths) -> Result<(), FileError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        files::write_atomic(&paths.agent_record_file(), &format!("{text}\n"))
    }

    /// The account of the agent that runs now; `None` when none does.
    pub(crate) fn of_running(paths: &Paths) -> Option<Self> {
        if !lock::is_held(&paths.agent_file()) {
            return None;
        }
        let text = files::read_limited(&paths.agent_record_file(), RECORD_MAX).ok().flatten().unwrap_or_default();
        // One that has just begun has not written any yet.
        Some(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// Keeps the newest ones.
fn forget_old<T>(queue: &mut VecDeque<T>) {
    queue.drain(..queue.len().saturating_sub(LATELY));
}
