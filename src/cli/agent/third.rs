//! The third line as the agent holds it: up after the backstop leaves a proof, down before it leaves none.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::cause::Outbox;
use super::log::Log;
use crate::compile::{self, ThirdLine};
use crate::host::lock::Lock;
use crate::host::nft::{Nft, NftError};
use crate::host::paths::Paths;
use crate::host::tools::Tools;
use crate::resolve::Proof;

/// How long after a failure it is tried again, the first time and at most.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];
/// One that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// The owner before us, whose agent was killed, takes a moment to end.
const PREDECESSOR: (usize, Duration) = (10, Duration::from_millis(20));
/// How many transactions one process carries out: it remembers every one of them.
const TRANSACTIONS: usize = 10_000;
/// How long others may hold its lock, who only look whether somebody does.
const ALONE: Duration = Duration::from_millis(500);

/// The line, the process that owns it, and what else stands and falls with it.
pub(super) struct Third {
    tools: Tools,
    causes: Outbox,
    lock_file: PathBuf,
    owner: Option<Owner>,
    up: Option<Up>,
    wait: Duration,
    not_before: Instant,
    /// Why it cannot be held, if so.
    missing: Option<String>,
    /// The agent is about to end.
    retired: bool,
}

struct Owner {
    nft: Nft,
    since: Instant,
    transactions: usize,
}

struct Up {
    line: ThirdLine,
    /// Tells commands to leave the proof where it is.
    _lock: Lock,
}

impl Owner {
    fn run(&mut self, transaction: &str) -> Result<(), NftError> {
        self.transactions += 1;
        self.nft.run(transaction)
    }
}

impl Third {
    pub(super) fn new(paths: &Paths, causes: Outbox) -> Self {
        Self {
            tools: Tools::from_env(),
            causes,
            lock_file: paths.third_line_file(),
            owner: None,
            up: None,
            wait: BACKOFF[0],
            not_before: Instant::now(),
            missing: None,
            retired: false,
        }
    }

    /// Whether it is up.
    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Why it cannot be held, if so.
    pub(super) fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Whether the process that owned it has ended by itself, or it is time to try again.
    pub(super) fn is_due(&mut self) -> bool {
        match &mut self.owner {
            Some(owner) => owner.nft.has_ended(),
            None => !self.retired && Instant::now() >= self.not_before,
        }
    }

    /// What the backstop is to leave in the pass that begins. Where it is to leave none, the line is down when this returns.
    pub(super) fn proof(&mut self, log: &mut Log) -> Proof {
        if let Some(mut owner) = self.owner.take() {
            if owner.nft.has_ended() {
                self.up = None;
                self.later(owner.since);
                log.warning("the nft process that held the third line has ended");
            } else if owner.transactions < TRANSACTIONS {
                self.owner = Some(owner);
            } else {
                // Both other lines stand for the moment, and the proof stays.
                self.up = None;
                drop(owner);
            }
        }
        if self.owner.is_none() && !self.retired && Instant::now() >= self.not_before {
            self.start(log);
        }
        match (&self.owner, &self.up) {
            (None, _) => Proof::No,
            (Some(_), None) => Proof::Wanted,
            (Some(_), Some(_)) => Proof::Asked,
        }
    }

    /// Makes the line as wanted, behind a backstop that leaves a proof; `None` takes it down. Answers whether it is so.
    pub(super) fn hold(&mut self, wanted: Option<ThirdLine>, log: &mut Log) -> bool {
        let Some(owner) = &mut self.owner else { return wanted.is_none() };
        let done = match (wanted, &mut self.up) {
            (None, None) => Ok(()),
            (None, Some(_)) => owner.run(&compile::lower()).map(|()| self.up = None),
            (Some(line), Some(up)) => {
                let transaction = line.change(&up.line).unwrap_or_else(|| line.raise());
                let done = if transaction.is_empty() { Ok(()) } else { owner.run(&transaction) };
                done.map(|()| up.line = line)
            }
            (Some(line), None) => {
                // The lock first: as soon as somebody asks for the proof, nobody may take it away.
                match Lock::acquire_file(&self.lock_file, ALONE, |_| {}) {
                    Err(error) => Err(NftError::Refused(error.to_string())),
                    Ok(lock) => owner.run(&line.raise()).map(|()| {
                        log.info("the third line is up: the nftables table inet docker-firewall, which nobody else can flush");
                        self.up = Some(Up { line, _lock: lock });
                    }),
                }
            }
        };
        if let Err(error) = &done {
            self.fail(error, log);
        }
        done.is_ok()
    }

    /// Takes it down for good.
    pub(super) fn retire(&mut self) -> bool {
        self.retired = true;
        self.owner = None;
        self.up.take().is_some()
    }

    fn start(&mut self, log: &mut Log) {
        let causes = self.causes.clone();
        let started = Nft::start(&self.tools, move || causes.third_line());
        let begun = started.and_then(|nft| {
            let mut owner = Owner { nft, since: Instant::now(), transactions: 0 };
            let mut left = PREDECESSOR.0;
            loop {
                match owner.run(&compile::own()) {
                    Err(NftError::Refused(said)) if left > 0 && said.contains("not permitted") => {
                        left -= 1;
                        std::thread::sleep(PREDECESSOR.1);
                    }
                    done => break done.map(|()| owner),
                }
            }
        });
        match begun {
            Ok(owner) => {
                self.owner = Some(owner);
                self.missing = None;
            }
            Err(error) => self.fail(&error, log),
        }
    }

    /// Gives it up for a while.
    fn fail(&mut self, error: &NftError, log: &mut Log) {
        self.up = None;
        self.owner = None;
        if matches!(error, NftError::Missing) {
            // Somebody has to install it.
            self.wait = BACKOFF[1];
        }
        // However long the owner lived: what it was told may fail again.
        self.later(Instant::now());
        let why = error.to_string();
        if self.missing.as_ref() != Some(&why) {
            log.warning(&format!("there is no third line: {why}"));
            self.missing = Some(why);
        }
    }

    /// Comes back to it.
    fn later(&mut self, since: Instant) {
        if since.elapsed() > GOOD {
            (self.wait, self.not_before) = (BACKOFF[0], Instant::now());
            return;
        }
        self.not_before = Instant::now() + self.wait;
        self.causes.third_line_after(self.wait);
        self.wait = (self.wait * 2).min(BACKOFF[1]);
    }
}

impl super::Agent<'_> {
    /// Before the end the third line comes down, and what it asks for is taken away.
    pub(super) fn step_down(&mut self) {
        if self.third.retire() {
            // What was asked last does, and nobody waits for the engine.
            self.away = true;
            if let Err(failure) = self.full() {
                self.log.failure(&failure.message);
            }
        }
    }
}
