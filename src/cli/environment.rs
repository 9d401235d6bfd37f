//! The environment, read once, so that nothing below `main` looks at the process's own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The variables of the process at its start.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// A copy of the process's variables.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of `name`, empty or not.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of `name` when it is text and not empty: what Docker takes for "set".
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str().filter(|value| !value.is_empty())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
