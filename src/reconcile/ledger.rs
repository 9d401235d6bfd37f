//! The files of one host: what people edit, what was last in force, and what a change that was killed left behind.
//!
//! A change is written in four steps, so that a crash between any two is understood by whoever comes next: staged beside
//! its place, announced (which sets are about to reach the kernel), then the kernel, then placed and forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, ConfigError};
use super::pass::kernel_names;
use crate::host::files::{self, FileError, Staged};
use crate::host::paths::Paths;
use crate::policy::{DefaultAccess, Policy, SetFile};

/// The files, read.
#[derive(Debug)]
pub struct Ledger {
    /// As people wrote them.
    pub config: Config,
    /// As they were when the kernel was last written.
    last: Config,
    /// The sets of a change that was killed, if there was one.
    pending: BTreeMap<String, SetFile>,
    /// The policy file is missing although rules of it were in force.
    policy_gone: bool,
    paths: Paths,
}

/// Files written beside their places.
#[derive(Debug)]
pub struct Draft(Vec<Staged>);

impl Ledger {
    /// Reads the records that go with `config`. `locked` says that nobody else writes meanwhile: then what a killed
    /// process left is swept away. Also answers what is worth a warning; a damaged record must not stop a repair.
    pub fn read(paths: Paths, config: Config, locked: bool) -> (Self, Vec<String>) {
        let mut remarks = Vec::new();
        let last = match Config::last_good(&paths) {
            Ok(last) => last,
            // Whoever only looks may not be allowed to read it.
            Err(_) if !locked => config.clone(),
            Err(error) => {
                remarks.push(format!("the record of what was last in force cannot be used: {error}"));
                config.clone()
            }
        };
        let policy_gone = matches!(paths.policy_file().try_exists(), Ok(false))
            && (!last.document.policy().rules.is_empty() || last.document.policy().default == DefaultAccess::Closed);
        let pending = if locked { leftovers(&paths, &mut remarks) } else { BTreeMap::new() };
        (Self { config, last, pending, policy_gone, paths }, remarks)
    }

    /// As [`Ledger::read`] for the one who holds the lock, and who must go on: where the files cannot be used, what was
    /// last in force stands in for them. Also answers why it had to.
    pub fn read_or_last(paths: Paths) -> Result<(Self, Vec<String>, Option<String>), ConfigError> {
        let (config, fault) = match Config::load(&paths) {
            Ok(config) => (config, None),
            Err(error) => {
                (Config::last_good(&paths)?, Some(error.to_string().replace(":\n", ": ").replace('\n', "; ")))
            }
        };
        let (mut ledger, remarks) = Self::read(paths, config, true);
        let fault = fault.or_else(|| {
            let (policy, copy) = (ledger.paths.policy_file(), ledger.paths.last_good_paths().policy_file());
            let back = format!("To have it back: cp {} {}", copy.display(), policy.display());
            ledger.policy_gone.then(|| format!("{} is missing. {back}", policy.display()))
        });
        if fault.is_some() {
            ledger.stand_on_last();
        }
        Ok((ledger, remarks, fault))
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

    /// Writes everything that differs beside its place, in the files that people edit and in the record.
    pub fn stage(&self, config: &Config) -> Result<Draft, FileError> {
        let mut staged = Vec::new();
        for (paths, old) in [(&self.paths, &self.config), (&self.paths.last_good_paths(), &self.last)] {
            let text = config.document.text();
            if text != old.document.text() {
                staged.push(files::stage(&paths.policy_file(), &text)?);
            }
            for (name, set) in &config.sets {
                if old.sets.get(name).is_none_or(|old| old.text() != set.text()) {
                    staged.push(files::stage(&paths.set_file(set.name()), &set.text())?);
                }
            }
        }
        Ok(Draft(staged))
    }

    /// Writes down which sets are about to reach the kernel: if this process is killed before their files are placed, the
    /// next one knows that nobody added those members by hand.
    pub fn announce(&mut self, config: &Config) -> Result<(), FileError> {
        let paths = self.paths.pending_paths();
        for (name, set) in &config.sets {
            if self.config.sets.get(name).is_none_or(|known| known.text() != set.text()) {
                files::write_atomic(&paths.set_file(set.name()), &set.text())?;
                self.pending.insert(name.clone(), set.clone());
            }
        }
        Ok(())
    }

    /// The kernel holds `config` now: the files take their places. Also answers what is worth a warning; on an error
    /// some files are not as the kernel is.
    pub fn place(&mut self, draft: Draft, config: Config) -> Result<Vec<String>, FileError> {
        let mut remarks = Vec::new();
        let mut fault = None;
        for file in draft.0 {
            match file.place() {
                Ok(()) => {}
                Err(error @ FileError::NotDurable { .. }) => remarks.push(error.to_string()),
                Err(error) => fault = Some(error),
            }
        }
        for (paths, old) in [(&self.paths, &self.config), (&self.paths.last_good_paths(), &self.last)] {
            for set in old.sets.values().filter(|set| !config.sets.contains_key(set.name().as_str())) {
                if let Err(error) = files::remove(&paths.set_file(set.name())) {
                    fault = Some(error);
                }
            }
        }
        if let Some(error) = fault {
            return Err(error);
        }
        let pending_paths = self.paths.pending_paths();
        for set in std::mem::take(&mut self.pending).into_values() {
            if let Err(error) = files::remove(&pending_paths.set_file(set.name())) {
                remarks.push(error.to_string());
            }
        }
        self.last = config.clone();
        self.config = config;
        Ok(remarks)
    }
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
