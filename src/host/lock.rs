//! One at a time: the lock that whoever changes files or kernel holds.
//!
//! It is the kernel's `flock`, so it ends with its holder however that dies. The process ID in the file is for people.
//!
//! Tools that the holder starts inherit it: when the holder is killed while `ipset restore` still writes, the next one
//! waits until that has ended too, and does not read a kernel that is about to change.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;

use super::paths::Paths;

/// How often a waiter looks; short against what a person notices, long against the cost of looking.
const POLL: Duration = Duration::from_millis(5);

/// How long a wait goes unmentioned: most are over before anybody could read of them.
const NOTICE: Duration = Duration::from_millis(250);

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// When the one before let go of it.
    found: Option<SystemTime>,
    /// The file says no more who holds it.
    tidy: bool,
}

/// Why the lock was not to be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process kept it for longer than we would wait.
    #[error("{} has been changing the firewall for {} s: nothing was changed", holder_text(*holder), waited.as_secs())]
    Busy {
        /// Its process ID, when it could be read.
        holder: Option<u32>,
        /// How long we waited.
        waited: Duration,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Whether somebody holds the lock on `file` at this moment; not so if it cannot be looked at.
pub fn is_held(file: &Path) -> bool {
    let Ok(file) = File::open(file) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

impl Lock {
    /// Takes the lock, waiting for at most `wait`. `on_wait` is called once, with the holder's process ID if it is
    /// known, once the wait has become worth a word.
    pub fn acquire(paths: &Paths, wait: Duration, on_wait: impl FnOnce(Option<u32>)) -> Result<Self, LockError> {
        let lock = Self::acquire_file(&paths.lock_file(), wait, on_wait)?;
        // Without it a killed holder's tool would be overtaken, and nothing else goes wrong.
        let _ = rustix::io::fcntl_setfd(&lock.file, rustix::io::FdFlags::empty());
        Ok(lock)
    }

    /// The same with a file of one's own.
    pub fn acquire_file(path: &Path, wait: Duration, on_wait: impl FnOnce(Option<u32>)) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
        // Not truncated: until the lock is ours, the content is its holder's.
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut lock = Self { file: file.map_err(failed)?, found: None, tidy: false };
        let begun = Instant::now();
        let mut on_wait = Some(on_wait);
        loop {
            match lock.file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let waited = begun.elapsed();
            if waited >= wait {
                return Err(LockError::Busy { holder: lock.holder(), waited });
            }
            if waited >= NOTICE.min(wait / 2)
                && let Some(on_wait) = on_wait.take()
            {
                on_wait(lock.holder());
            }
            thread::sleep(POLL.min(wait.saturating_sub(waited)));
        }
        // Only for people: on a full disk the lock holds without it.
        lock.found = lock.written();
        let _ = lock.write_holder(std::process::id());
        Ok(lock)
    }

    /// A stamp that whoever held it last left; what [`Lock::release`] answered if nobody held it since.
    pub fn found(&self) -> Option<SystemTime> {
        self.found
    }

    /// Lets go of it; answers the stamp that the next holder finds.
    pub fn release(mut self) -> Option<SystemTime> {
        self.tidy = self.file.set_len(0).is_ok();
        self.written()
    }

    fn written(&self) -> Option<SystemTime> {
        self.file.metadata().ok()?.modified().ok()
    }

    /// The process that the file names.
    fn holder(&mut self) -> Option<u32> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        (&self.file).take(16).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    fn write_holder(&mut self, pid: u32) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{pid}")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only for tidiness: closing the file is what unlocks, and the file stays, for a removed lock file can be
        // locked twice.
        if !self.tidy {
            let _ = self.file.set_len(0);
        }
        let _ = self.file.unlock();
    }
}
