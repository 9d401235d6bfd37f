//! What is on disk: the policy, the sets, and both as they were when the kernel was last written.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::host::files::{self, FileError};
use crate::host::paths::Paths;
use crate::policy::{Document, DocumentError, SetFile, SetFileError, SetName, SetNameError};

/// A policy file above this size is refused; a million-entry set file has about 40 bytes an entry.
const POLICY_LIMIT: u64 = 4 << 20;
const SET_LIMIT: u64 = 1 << 30;

/// The policy and the sets, read and valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// The policy file; [`Document::empty`] when there is none.
    pub document: Document,
    /// The sets by name.
    pub sets: BTreeMap<String, SetFile>,
}

/// Why the files could not be used. Nothing was changed.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Reading failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The policy has faults; each names its line.
    #[error("{path}:\n{source}")]
    Policy {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// A set has faults.
    #[error("{path}: {source}")]
    Set {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: SetFileError,
    },
    /// A file in the sets' folder has a name that no set may have.
    #[error("{path}: {source}")]
    SetName {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: SetNameError,
    },
}

impl Config {
    /// Reads the files that people edit.
    pub fn load(paths: &Paths) -> Result<Self, ConfigError> {
        Self::read(paths)
    }

    /// Reads what was in force when the kernel was last written; nothing of it is required to exist.
    pub fn last_good(paths: &Paths) -> Result<Self, ConfigError> {
        Self::read(&paths.last_good_paths())
    }

    fn read(paths: &Paths) -> Result<Self, ConfigError> {
        let path = paths.policy_file();
        let document = match files::read_limited(&path, POLICY_LIMIT)? {
            None => Document::empty(),
            Some(text) => Document::parse(&text)
                .map_err(|source| ConfigError::Policy { path: path.display().to_string(), source })?,
        };
        let mut sets = BTreeMap::new();
        for name in files::list_sets(paths)? {
            let path = paths.sets_dir().join(format!("{name}.conf"));
            let shown = || path.display().to_string();
            let parsed: SetName =
                name.parse().map_err(|source| ConfigError::SetName { path: shown(), source })?;
            if let Some(text) = files::read_limited(&path, SET_LIMIT)? {
                let file = SetFile::parse(&parsed, &text)
                    .map_err(|source| ConfigError::Set { path: shown(), source })?;
                sets.insert(name, file);
            }
        }
        Ok(Self { document, sets })
    }
}
