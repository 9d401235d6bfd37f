//! The files of one host: what people edit, what was last in force, and what a change that was killed left behind.
//!
//! A change is written in four steps, so that a crash between any two is understood by whoever comes next: staged beside
//! its place, announced (which sets are about to reach the kernel), then the kernel, then placed and forgotten.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::config::{Config, ConfigError};
use super::pass::kernel_names;
use crate::host::files::{self, FileError, Staged};
use crate::host::paths::Paths;
use crate::policy::{DefaultAccess, Policy, SetFile, SetName};

/// The files, read.
#[derive(Debug)]
pub struct Ledger {
    /// As people wrote them.
    pub config: Config,
    /// As they were when the kernel was last written, without what had ended by then.
    last: Config,
    /// The record of it cannot be read: it is written anew whatever it seems to say.
    last_damaged: bool,
    /// The sets of a change that was killed, if there was one, and those announced since.
    pending: BTreeMap<String, SetFile>,
    /// There was one.
    interrupted: bool,
    /// The policy file is missing although rules of it were in force.
    policy_gone: bool,
    paths: Paths,
}

/// Files written beside their places.
#[derive(Debug)]
pub struct Draft {
    staged: Vec<Staged>,
    /// Which of them, in the record, say exactly what a set's file will.
    whole: BTreeMap<String, usize>,
}

impl Ledger {
    /// Reads the records that go with `config`. `locked` says that nobody else writes meanwhile: then what a killed
    /// process left is swept away. Also answers what is worth a warning; a damaged record must not stop a repair.
    pub fn read(paths: Paths, config: Config, locked: bool) -> (Self, Vec<String>) {
        let mut remarks = Vec::new();
        let mut last_damaged = false;
        let last = match Config::last_good_beside(&paths, &config) {
            Ok(last) => last,
            // Whoever only looks may not be allowed to read it.
            Err(_) if !locked => config.clone(),
            Err(error) => {
                remarks.push(format!("the record of what was last in force cannot be used and is made anew: {error}"));
                last_damaged = true;
                config.clone()
            }
        };
        let policy_gone = matches!(paths.policy_file().try_exists(), Ok(false))
            && (last_damaged
                || !last.document.policy().rules.is_empty()
                || last.document.policy().default == DefaultAccess::Closed);
        let pending = if locked { leftovers(&paths, &mut remarks) } else { BTreeMap::new() };
        let interrupted = !pending.is_empty();
        (Self { config, last, last_damaged, pending, interrupted, policy_gone, paths }, remarks)
    }

    /// As [`Ledger::read`] for the one who holds the lock, and who must go on: where the files cannot be used, what was
    /// last in force stands in for them. Also answers why it had to.
    pub fn read_or_last(paths: Paths) -> Result<(Self, Vec<String>, Option<String>), ConfigError> {
        let (config, fault) = match Config::load(&paths) {
            Ok(config) => (config, None),
            // Without a record nobody knows what was in force, and an empty policy is not what stands in for a broken one.
            Err(error) if !has_last(&paths) => return Err(error),
            Err(error) => {
                (Config::last_good(&paths)?, Some(error.to_string().replace(":\n", ": ").replace('\n', "; ")))
            }
        };
        let (mut ledger, remarks) = Self::read(paths, config, true);
        let fault = fault.or_else(|| {
            let (policy, copy) = (ledger.paths.policy_file(), ledger.paths.last_good_paths().policy_file());
            let back = format!("To have it back: cp {} {}", copy.display(), policy.display());
            (ledger.policy_gone && !ledger.last_damaged).then(|| format!("{} is missing. {back}", policy.display()))
        });
        if fault.is_some() {
            ledger.stand_on_last();
        }
        Ok((ledger, remarks, fault))
    }

    /// Whether anybody knows what was last in force.
    pub fn has_last(&self) -> bool {
        has_last(&self.paths) && !self.last_damaged
    }

    /// What was last in force stands in for the files. With these as the files, nobody writes over what is broken.
    pub fn stand_on_last(&mut self) {
        self.config = self.last.clone();
        self.policy_gone = false;
    }

    /// Where the files are.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The rules that were in force when the kernel was last written.
    pub fn last_policy(&self) -> &Policy {
        self.last.document.policy()
    }

    /// Sets whose members are not somebody's additions, though no file holds them any more.
    pub fn earlier(&self) -> [&BTreeMap<String, SetFile>; 2] {
        [&self.last.sets, &self.pending]
    }

    /// Kernel names of all users' sets that we keep, kept, or keep with `config`.
    pub fn users(&self, config: &Config) -> BTreeSet<String> {
        let earlier = self.earlier().into_iter().flat_map(|sets| sets.values());
        kernel_names(config.sets.values().chain(earlier).chain(self.config.sets.values())).collect()
    }

    /// Whether the policy file is missing although rules of it were in force: a file that is missing says "no rules", and
    /// nobody who deletes it by mistake means to open every door.
    pub fn policy_gone(&self) -> bool {
        self.policy_gone
    }

    /// A whole policy takes the place of the old one: that the old one is missing does not matter.
    pub fn policy_replaced(&mut self) {
        self.policy_gone = false;
    }

    /// Writes everything that differs beside its place, in the files that people edit and in the record, which gets what
    /// has not ended by `now`: what somebody puts back by hand afterwards is not ours to take away.
    pub fn stage(&self, config: &Config, now: Timestamp) -> Result<Draft, FileError> {
        let (mut staged, mut whole) = (Vec::new(), BTreeMap::new());
        let text = config.document.text();
        let last_paths = self.paths.last_good_paths();
        for (paths, old, anew) in [(&self.paths, &self.config, false), (&last_paths, &self.last, self.last_damaged)] {
            if anew || text != old.document.text() {
                staged.push(files::write_beside(&paths.policy_file(), &text)?);
            }
        }
        for (name, set) in &config.sets {
            let differs = |old: &Config, set: &SetFile| old.sets.get(name).is_none_or(|old| !old.is_written_like(set));
            let text = LazyCell::new(|| set.text());
            if differs(&self.config, set) {
                staged.push(files::write_beside(&self.paths.set_file(set.name()), &text)?);
            }
            let living = set.living(now);
            if self.last_damaged || differs(&self.last, &living) {
                let path = last_paths.set_file(set.name());
                staged.push(match living {
                    Cow::Borrowed(_) => {
                        whole.insert(name.clone(), staged.len());
                        files::write_beside(&path, &text)?
                    }
                    Cow::Owned(living) => files::write_beside(&path, &living.text())?,
                });
            }
        }
        files::settle_all(&staged)?;
        Ok(Draft { staged, whole })
    }

    /// Writes down which sets are about to reach the kernel: if this process is killed before their files are placed, the
    /// next one knows that nobody added those members by hand. What was staged for the record says the same, mostly, and is
    /// announced as it is.
    pub fn announce(&mut self, config: &Config, draft: &Draft) -> Result<(), FileError> {
        let paths = self.paths.pending_paths();
        for (name, set) in &config.sets {
            if self.config.sets.get(name).is_none_or(|known| !known.is_written_like(set)) {
                let mut announced = set.clone();
                // What an earlier killed change may have put there is still there.
                for entry in self.pending.get(name).into_iter().flat_map(SetFile::entries) {
                    if !set.contains(entry.block()) {
                        // One too many for a set would be one too many for the kernel as well.
                        let _ = announced.add(entry.clone());
                    }
                }
                let path = paths.set_file(set.name());
                let same = draft.whole.get(name).filter(|_| announced.is_written_like(set));
                if !same.and_then(|at| draft.staged.get(*at)).is_some_and(|staged| staged.link(&path)) {
                    // A power cut takes the kernel's sets away too.
                    files::write_for_this_boot(&path, &announced.text())?;
                }
                self.pending.insert(name.clone(), announced);
            }
        }
        Ok(())
    }

    /// The kernel holds `config` now: the files take their places. Also answers what is worth a warning; on an error
    /// some files are not as the kernel is.
    pub fn place(&mut self, draft: Draft, config: Config, now: Timestamp) -> Result<Vec<String>, FileError> {
        let mut remarks = Vec::new();
        let mut fault = None;
        for error in files::place_all(draft.staged) {
            match error {
                FileError::NotDurable { .. } => remarks.push(error.to_string()),
                error => fault = Some(error),
            }
        }
        let last_paths = self.paths.last_good_paths();
        let goes = |name: &&SetName| !config.sets.contains_key(name.as_str());
        // Those that could not be read as well.
        let recorded = files::list_sets(&last_paths).unwrap_or_default();
        let known = self.config.sets.values().map(SetFile::name).filter(goes);
        let stale = known.map(|name| (&self.paths, name));
        for (paths, name) in stale.chain(recorded.iter().filter(goes).map(|name| (&last_paths, name))) {
            if let Err(error) = files::remove(&paths.set_file(name)) {
                fault = Some(error);
            }
        }
        if let Some(error) = fault {
            return Err(error);
        }
        remarks.extend(self.forget_pending());
        self.last = config.clone();
        for set in self.last.sets.values_mut() {
            set.prune(now);
        }
        self.last_damaged = false;
        self.interrupted = false;
        self.config = config;
        Ok(remarks)
    }

    /// Nothing of what was announced is in the kernel, for it was never written or everything was undone. Answers what is
    /// worth a warning.
    pub fn withdraw(&mut self) -> Vec<String> {
        if self.interrupted { Vec::new() } else { self.forget_pending() }
    }

    /// The announcement goes, readable or not.
    fn forget_pending(&mut self) -> Vec<String> {
        self.pending.clear();
        let paths = self.paths.pending_paths();
        let names = files::list_sets(&paths);
        let removed = names.and_then(|names| {
            names.iter().try_for_each(|name| files::remove_for_this_boot(&paths.set_file(name)).map(drop))
        });
        removed.err().map(|error| error.to_string()).into_iter().collect()
    }
}

/// Whether there is a record of what was last in force.
fn has_last(paths: &Paths) -> bool {
    matches!(paths.last_good_paths().policy_file().try_exists(), Ok(true))
}

/// What a killed process left: staged files, which go, and the sets that it may have put into the kernel.
fn leftovers(paths: &Paths, remarks: &mut Vec<String>) -> BTreeMap<String, SetFile> {
    for place in [paths, &paths.last_good_paths(), &paths.pending_paths()] {
        for directory in [&place.config_dir, &place.sets_dir()] {
            if let Err(error) = files::sweep(directory) {
                remarks.push(error.to_string());
            }
        }
    }
    Config::pending_sets(paths).unwrap_or_else(|error| {
        remarks.push(format!("the record of an interrupted change cannot be used: {error}"));
        BTreeMap::new()
    })
}
