//! Boot: what is kept for it after every apply, and what is done with it before there is an engine.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::apply::{Applied, ApplyError, Undone, apply, observe};
use crate::compile::{Ground, compile};
use crate::host::files::{self, FileError};
use crate::host::kernel::{Kernel, KernelError};
use crate::host::paths::Paths;
use crate::net::Family;
use crate::policy::Hook;
use crate::resolve::BootRecord;
use crate::ruleset::{Desired, Dump, Table, names};

/// More than any host's: a line has some hundred bytes.
const RECORD_MAX: u64 = 64 << 20;

/// The records on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// The newest one that can be used.
    pub record: Option<BootRecord>,
    /// What is wrong with those that cannot.
    pub faults: Vec<String>,
}

impl Boot {
    /// Reads them. A newest one that is damaged gives way to the one before it.
    pub fn read(paths: &Paths) -> Self {
        let mut boot = Self::default();
        for path in [paths.boot_file(), paths.boot_previous_file()] {
            let text = match files::read_limited(&path, RECORD_MAX) {
                Ok(None) => continue,
                Ok(Some(text)) => text,
                Err(error) => {
                    boot.faults.push(error.to_string());
                    continue;
                }
            };
            match BootRecord::parse(&text) {
                Ok(record) => {
                    boot.record = Some(record);
                    break;
                }
                Err(error) => boot.faults.push(format!("{} cannot be used: {error}", path.display())),
            }
        }
        boot
    }

    /// Writes `record` where it says something new; the one before it is kept. Only for the one who holds the lock.
    pub fn keep(record: &BootRecord, paths: &Paths) -> Result<(), FileError> {
        let (path, text) = (paths.boot_file(), record.to_string());
        // What is there and cannot be read is replaced.
        let there = files::read_limited(&path, RECORD_MAX).ok().flatten();
        if there.as_deref() == Some(&text) {
            return Ok(());
        }
        let staged = files::stage(&path, &text)?;
        // Killed between the two renames, there is only the one before, which is read then. One that is damaged is not worth
        // the place of one that may be good.
        if there.is_some_and(|there| BootRecord::parse(&there).is_ok()) {
            files::rename(&path, &paths.boot_previous_file())?;
        }
        staged.place()
    }
}

/// What became of closing the doors.
#[derive(Debug)]
pub enum Closed {
    /// Rules of ours are in force already, and nothing was changed.
    Already,
    /// Done.
    Now(Applied),
}

/// Closes everything that `record` knows. No set of anybody's is asked, so nothing but our own chains and sets, and in
/// the families that had it the chain `DOCKER-USER` with its jump, is written. dockerd keeps both as they are (moby:
/// `setup_ip_tables.go`, tried with 20.10, 26.1 and 28.5).
pub fn close(kernel: &mut dyn Kernel, record: &BootRecord) -> Result<Closed, ApplyError> {
    let nobody = BTreeSet::new();
    let unreadable = |source| ApplyError::Step { phase: "reading the kernel", source, undone: Undone::Yes };
    let mut before = observe(kernel, &nobody).map_err(unreadable)?;
    let resolved = record.closed();
    let desired = |state: &Dump| compile(&resolved, |family| Ground::of(state, family));
    let ours = Desired::from_dump(&before, &nobody);
    if !ours.tables.is_empty() && desired(&before).tables.keys().all(|key| ours.tables.contains_key(key)) {
        return Ok(Closed::Already);
    }
    if record.hook != Hook::Forward {
        for family in &record.docker_user {
            call_docker_user(kernel, &before, *family).map_err(|source| ApplyError::Step {
                phase: "making DOCKER-USER",
                source,
                undone: Undone::Yes,
            })?;
        }
        before = observe(kernel, &nobody).map_err(unreadable)?;
    }
    apply(kernel, &nobody, &before, &desired, &|| false).map(Closed::Now)
}

/// Makes the engine's chain for users' rules, and calls it before anything else that is forwarded, as the engine does.
fn call_docker_user(kernel: &mut dyn Kernel, state: &Dump, family: Family) -> Result<(), KernelError> {
    if !state.tables.contains_key(&(family, Table::Filter)) || Ground::of(state, family).docker_user {
        return Ok(());
    }
    let mut text = String::from("*filter\n");
    // This line would empty one that somebody else made.
    if state.chain(family, Table::Filter, names::DOCKER_USER).is_none() {
        let _ = writeln!(text, ":{} - [0:0]", names::DOCKER_USER);
    }
    let _ = writeln!(text, "-I {} 1 -j {}\nCOMMIT", names::FORWARD, names::DOCKER_USER);
    kernel.restore_rules(family, &text)
}
