//! What can keep a lab from doing as it was told.

use std::io;
use std::path::PathBuf;

use crate::command::Output;

/// Why a lab could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces need root.
    #[error("a lab needs root")]
    NotRoot,
    /// The engine's root has not been made.
    #[error("{path} is missing: run tests/engines.sh {engine}")]
    NoRoot {
        /// The engine asked for.
        engine: &'static str,
        /// Where its root should be.
        path: PathBuf,
    },
    /// The layer with other programs that write rules has not been made.
    #[error("{path} is missing: run tests/engines.sh --tools {engine}")]
    NoTools {
        /// The engine asked for.
        engine: &'static str,
        /// Where the layer should be.
        path: PathBuf,
    },
    /// A word that names nothing.
    #[error("no {what} '{name}' (known: {known})")]
    Unknown {
        /// What kind of thing was looked for.
        what: &'static str,
        /// The word given.
        name: String,
        /// What could have been meant.
        known: &'static str,
    },
    /// No lab of that name is up.
    #[error("no lab '{0}' is up: see `lab ls`")]
    NoLab(String),
    /// A lab's name becomes part of namespace and directory names.
    #[error("'{0}' cannot name a lab: lower-case letters and digits, at most 20")]
    BadName(String),
    /// A file or a system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("{what} ended with {}: {}", .output.code, .output.said())]
    Failed {
        /// The command.
        what: String,
        /// All it said.
        output: Output,
    },
    /// The host did not come up.
    #[error("the lab's host did not come up: {0}")]
    NoHolder(String),
    /// dockerd ended, or did not answer in time.
    #[error("dockerd does not answer; from its log:\n{0}")]
    NoEngine(String),
    /// A container did not say that it is ready.
    #[error("the container {name} is not ready; its log: {log}")]
    NoContainer {
        /// The container.
        name: String,
        /// What it wrote.
        log: String,
    },
}

impl LabError {
    /// For `map_err`: adds what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
