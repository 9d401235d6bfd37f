//! What is on disk: the policy, the sets, and both as they were when the kernel was last written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// A file ends in the middle of what it said when it was last in force.
    #[error("{} breaks off after {length} bytes: it was cut while it was written", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// Its copy, whole.
        copy: PathBuf,
        /// What is left of it.
        length: usize,
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
        Self::read(paths, Some(&paths.last_good_paths()), None)
    }

    /// Reads what was in force when the kernel was last written; nothing of it is required to exist.
    pub fn last_good(paths: &Paths) -> Result<Self, ConfigError> {
        Self::read(&paths.last_good_paths(), None, None)
    }

    /// The same beside the files that people edit: a set that is the same in both is kept once.
    pub fn last_good_beside(paths: &Paths, files: &Self) -> Result<Self, ConfigError> {
        Self::read(&paths.last_good_paths(), None, Some(files))
    }

    /// The sets that a change which was killed may have put into the kernel.
    pub fn pending_sets(paths: &Paths) -> Result<BTreeMap<String, SetFile>, ConfigError> {
        Self::read(&paths.pending_paths(), None, None).map(|config| config.sets)
    }

    /// `copies` are of the same files when they were whole; `known` are sets that may be the same.
    fn read(paths: &Paths, copies: Option<&Paths>, known: Option<&Self>) -> Result<Self, ConfigError> {
        let path = paths.policy_file();
        let document = match files::read_limited(&path, DOCUMENT_MAX as u64)? {
            None => Document::empty(),
            Some(text) => {
                if let Some(copies) = copies {
                    whole(&path, &text, &copies.policy_file())?;
                }
                Document::parse(&text)
                    .map_err(|source| ConfigError::Policy { path: path.display().to_string(), source })?
            }
        };
        let mut sets = BTreeMap::new();
        for name in files::list_sets(paths)? {
            let path = paths.set_file(&name);
            if let Some(text) = files::read_limited(&path, files::SET_FILE_MAX)? {
                if let Some(copies) = copies {
                    whole(&path, &text, &copies.set_file(&name))?;
                }
                let known = known.and_then(|known| known.sets.get(name.as_str()));
                let file = match known.filter(|known| known.is_text(&text)) {
                    Some(known) => known.clone(),
                    None => SetFile::parse(&name, &text)
                        .map_err(|source| ConfigError::Set { path: path.display().to_string(), source })?,
                };
                sets.insert(name.to_string(), file);
            }
        }
        Ok(Self { document, sets })
    }
}

/// Whether a file is no torn one. Half an address is another address, and a set without its end is one that keeps fewer out; so
/// what breaks off within a line of its copy, or is empty, is not taken for what its owner meant. A file that ends with
/// one of the copy's lines may well have been shortened by hand.
fn whole(path: &Path, text: &str, copy: &Path) -> Result<(), ConfigError> {
    if text.ends_with('\n') {
        return Ok(());
    }
    // A copy that cannot be read proves nothing.
    let was = files::read_limited(copy, files::SET_FILE_MAX).ok().flatten().unwrap_or_default();
    if was.strip_prefix(text).is_some_and(|rest| !rest.trim().is_empty()) {
        return Err(ConfigError::Torn { path: path.to_owned(), copy: copy.to_owned(), length: text.len() });
    }
    Ok(())
}
