//! What is on disk: the policy, the sets, and both as they were when the kernel was last written.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::host::files::{self, FileError};
use crate::host::paths::Paths;
use crate::policy::{DOCUMENT_MAX, Document, DocumentError, SetFile, SetFileError};

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

    /// The sets that a change which was killed may have put into the kernel.
    pub fn pending_sets(paths: &Paths) -> Result<BTreeMap<String, SetFile>, ConfigError> {
        Self::read(&paths.pending_paths()).map(|config| config.sets)
    }

    fn read(paths: &Paths) -> Result<Self, ConfigError> {
        let path = paths.policy_file();
        let document = match files::read_limited(&path, DOCUMENT_MAX as u64)? {
            None => Document::empty(),
            Some(text) => Document::parse(&text)
                .map_err(|source| ConfigError::Policy { path: path.display().to_string(), source })?,
        };
        let mut sets = BTreeMap::new();
        for name in files::list_sets(paths)? {
            let path = paths.set_file(&name);
            if let Some(text) = files::read_limited(&path, files::SET_FILE_MAX)? {
                let file = SetFile::parse(&name, &text)
                    .map_err(|source| ConfigError::Set { path: path.display().to_string(), source })?;
                sets.insert(name.to_string(), file);
            }
        }
        Ok(Self { document, sets })
    }
}
