//! The agent's other ear: packets that rules drop and tell of become lines of a file.
//!
//! Whatever goes wrong here costs lines. Two threads of its own: one takes what the kernel tells and never waits, the other
//! looks up and writes. Between them is a queue with an end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;

use super::record;
use crate::attempt::{Attempt, Census, Header, Repeats, Told};
use crate::host::attempts::AttemptLog;
use crate::host::membership::{KernelSets, Side};
use crate::host::paths::Paths;
use crate::host::watch::{DropWatch, Dropped};
use crate::inventory::Inventory;
use crate::net::{Family, Protocol};
use crate::reconcile::Config;
use crate::ruleset::{LogPrefix, SetDirection};

/// Packets that may wait to be looked up.
const QUEUE: usize = 2048;
/// Lines that are written at once.
const BATCH: usize = 256;

/// What the threads and the agent share.
#[derive(Debug, Default)]
struct Shared {
    census: Mutex<Arc<Census>>,
    /// Packets that were told of and found no room.
    lost: AtomicU64,
    /// What somebody should know.
    news: Mutex<Vec<String>>,
}

impl Shared {
    fn say(&self, text: String) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Collects, once something is logged.
#[derive(Debug, Default)]
pub(super) struct Collector {
    shared: Arc<Shared>,
    runs: bool,
    /// Why it could not begin, to be said once.
    refused: String,
}

impl Collector {
    /// After a pass: what it saw. The first one that logs anything begins the collecting.
    pub(super) fn learn(&mut self, config: &Config, inventory: Option<&Inventory>, paths: &Paths) {
        let policy = config.document.policy();
        let Some(inventory) = inventory.filter(|_| policy.logs()) else { return };
        let census = Arc::new(Census::of(policy, inventory, config.sets.values().map(crate::policy::SetFile::name)));
        *self.shared.census.lock().unwrap_or_else(PoisonError::into_inner) = census;
        if self.runs {
            return;
        }
        match begin(&self.shared, AttemptLog::new(paths)) {
            Ok(()) => self.runs = true,
            Err(error) => {
                let text = format!("who is kept out is not written down, for the kernel does not tell: {error}");
                if text != self.refused {
                    self.shared.say(text.clone());
                    self.refused = text;
                }
            }
        }
    }

    /// What came up since the last call.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn begin(shared: &Arc<Shared>, log: AttemptLog) -> io::Result<()> {
    let watch = DropWatch::open()?;
    let (queue, waiting) = sync_channel(QUEUE);
    let [ears, pen] = [Arc::clone(shared), Arc::clone(shared)];
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.to_owned()).spawn(body);
    spawn("drops", Box::new(move || hear(watch, &queue, &ears)))?;
    spawn("attempts", Box::new(move || write(&waiting, log, &pen))).map(drop)
}

/// Takes what the kernel tells.
fn hear(mut watch: DropWatch, queue: &SyncSender<(Dropped, String)>, shared: &Shared) {
    loop {
        match watch.wait() {
            Ok((found, mut lost)) => {
                for dropped in found {
                    let interface = watch.interface_name(dropped.interface);
                    lost += u64::from(queue.try_send((dropped, interface)).is_err());
                }
                shared.lost.fetch_add(lost, Ordering::Relaxed);
            }
            Err(error) => {
                shared.say(format!("who is kept out is written down no more, for the kernel stopped telling: {error}"));
                return;
            }
        }
    }
}

/// Looks up and writes.
fn write(waiting: &Receiver<(Dropped, String)>, mut log: AttemptLog, shared: &Shared) {
    let mut repeats = Repeats::default();
    let mut unwritten: Option<String> = None;
    while let Ok(first) = waiting.recv() {
        let census = Arc::clone(&shared.census.lock().unwrap_or_else(PoisonError::into_inner));
        // Its answers are those of one moment.
        let sets = KernelSets::open().ok();
        let (mut lines, mut count) = (String::new(), 0);
        for (dropped, interface) in std::iter::once(first).chain(waiting.try_iter()).take(BATCH) {
            if let Some(attempt) = attempt(&dropped, interface, &census, sets.as_ref(), &mut repeats) {
                lines.push_str(&attempt.line());
                lines.push('\n');
                count += 1;
            }
        }
        let lost = shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            lines.push_str(&Attempt::lost(record::now(), lost).line());
            lines.push('\n');
        }
        if lines.is_empty() {
            continue;
        }
        match log.append(&lines) {
            Ok(()) => {
                if unwritten.take().is_some() {
                    shared.say("who is kept out is written down again".to_owned());
                }
            }
            Err(error) => {
                // Told in the file, once it takes lines again.
                shared.lost.fetch_add(lost + count, Ordering::Relaxed);
                let text = format!("who is kept out cannot be written down, and is kept out all the same: {error}");
                if unwritten.as_ref() != Some(&text) {
                    shared.say(text.clone());
                    unwritten = Some(text);
                }
            }
        }
    }
}

/// The entry of a packet, if it is ours and the first of its attempt.
fn attempt(
    dropped: &Dropped,
    interface: String,
    census: &Census,
    sets: Option<&KernelSets>,
    repeats: &mut Repeats,
) -> Option<Attempt> {
    let prefix = LogPrefix::parse(&dropped.prefix)?;
    let header = Header::parse(&dropped.bytes)?;
    if repeats.is_known(&header, Timestamp::now().as_second()) {
        return None;
    }
    let [source, destination] =
        [header.source, header.destination].map(|address| Side { address, port: None, interface: None });
    // What asks for more than an address is no set of sources.
    let ask = |sets: &KernelSets, name: &str| {
        sets.holds(name, &[SetDirection::Src], Protocol::Tcp, (source, destination)).unwrap_or(false)
    };
    let holds = |kernel: &str| sets.is_some_and(|sets| ask(sets, kernel));
    let all = census.sets(Family::of(&header.source));
    let shown: Vec<&str> = all.filter(|(_, kernel)| holds(kernel)).map(|(shown, _)| shown).collect();
    Some(census.attempt(&Told { prefix, interface, header }, record::now(), &shown))
}
