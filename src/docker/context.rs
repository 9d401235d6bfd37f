//! Docker contexts: `config.json` and the context store, read as docker/cli `cli/context/store` does.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The context that stands for `-H`, `DOCKER_HOST` or the default socket, and has no file.
pub(super) const DEFAULT: &str = "default";

/// Why a context does not lead to an engine.
#[derive(Debug, Error)]
pub enum ContextError {
    /// No such context; docker's own words.
    #[error(
        "unable to resolve docker endpoint: context \"{name}\": context not found: open {}: no such file or directory",
        path.display()
    )]
    NotFound {
        /// The context.
        name: String,
        /// Where its description should be.
        path: PathBuf,
    },
    /// Its description, or `config.json`, cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its description, or `config.json`, is not what docker writes.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// It describes something other than an engine.
    #[error("unable to resolve docker endpoint: cannot find docker endpoint in context \"{0}\"")]
    NoEndpoint(String),
    /// There is no directory to look in.
    #[error("context \"{0}\" cannot be looked up: neither --config nor DOCKER_CONFIG nor HOME is set")]
    NoDirectory(String),
}

/// `currentContext` of `config.json`; `None` when there is no file or it names none.
///
/// docker only warns of a damaged file and goes on with the default engine. Here it is an error: rules made for
/// another engine than the one meant are worse than none.
pub(super) fn current(config_dir: &Path) -> Result<Option<String>, ContextError> {
    let path = config_dir.join("config.json");
    let Some(text) = read(&path)? else { return Ok(None) };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let document = parse(&path, &text)?;
    match field(&document, "currentContext") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone()).filter(|name| !name.is_empty())),
        Some(_) => Err(ContextError::Damaged { path, detail: "currentContext is not a text".to_owned() }),
    }
}

/// The address of the engine that the context `name` describes; empty means docker's default.
pub(super) fn host(config_dir: &Path, name: &str) -> Result<String, ContextError> {
    // The directory is named by the hash, so that no name can lead out of the store.
    let mut directory = String::with_capacity(64);
    for byte in Sha256::digest(name.as_bytes()) {
        let _ = write!(directory, "{byte:02x}");
    }
    let path = config_dir.join("contexts/meta").join(directory).join("meta.json");
    let Some(text) = read(&path)? else { return Err(ContextError::NotFound { name: name.to_owned(), path }) };
    let document = parse(&path, &text)?;
    // "docker" is a key of a map, compared exactly; the others are fields, which Go finds in any case.
    let endpoint = field(&document, "Endpoints").and_then(|endpoints| endpoints.get("docker"));
    match endpoint {
        Some(endpoint @ Value::Object(_)) => match field(endpoint, "Host") {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(host)) => Ok(host.clone()),
            Some(_) => Err(ContextError::Damaged { path, detail: "Host is not a text".to_owned() }),
        },
        _ => Err(ContextError::NoEndpoint(name.to_owned())),
    }
}

fn read(path: &Path) -> Result<Option<String>, ContextError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ContextError::Unreadable { path: path.to_owned(), source }),
    }
}

fn parse(path: &Path, text: &str) -> Result<Value, ContextError> {
    serde_json::from_str(text)
        .map_err(|error| ContextError::Damaged { path: path.to_owned(), detail: error.to_string() })
}

/// The field `name` in any case, as Go's decoder matches it: the exact spelling first.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}
