//! Which engine is meant: docker's own order of flags, variables, contexts and defaults.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::context::{self, ContextError};
use super::globals::{Environment, GlobalFlags};
use super::host_address::{self, HostError};

/// How the engine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineAddress {
    /// Its socket, opened directly.
    Unix(PathBuf),
    /// Anything else, through `docker system dial-stdio`: docker itself knows about contexts, TLS and ssh.
    DialStdio {
        /// The context that led there, unless it was a flag or `DOCKER_HOST`.
        context: Option<String>,
        /// The address for people, such as `ssh://me@h`.
        description: String,
        /// The docker CLI.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::DialStdio { description, .. } => f.write_str(description),
        }
    }
}

/// Why no engine could be determined.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// `-c` with `-H`; docker's own words.
    #[error("conflicting options: cannot specify both --host and --context")]
    Conflict,
    /// `-H` twice; docker's own words.
    #[error("specify only one -H")]
    ManyHosts,
    /// An address that is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A context that leads nowhere.
    #[error(transparent)]
    Context(#[from] ContextError),
}

/// Determines the engine in docker's order (docker/cli `cli/command/cli.go`, `resolveContextName`): `--context`, `-H`,
/// `DOCKER_HOST`, `DOCKER_CONTEXT`, `currentContext`, the default socket.
///
/// `DOCKER_HOST` beats `DOCKER_CONTEXT`, whatever docker's documentation says. Files are read only as far as needed.
pub fn resolve_endpoint(flags: &GlobalFlags, environment: &Environment) -> Result<EngineAddress, EndpointError> {
    let context = flags.context.as_deref().filter(|name| !name.is_empty());
    if context.is_some() && !flags.hosts.is_empty() {
        return Err(EndpointError::Conflict);
    }
    let name = match context {
        Some(name) => name.to_owned(),
        None => ambient_context(flags, environment)?,
    };
    if name == context::DEFAULT {
        let written = match flags.hosts.as_slice() {
            [] => environment.get("DOCKER_HOST").unwrap_or_default(),
            [host] => host,
            _ => return Err(EndpointError::ManyHosts),
        };
        let host = host_address::parse(written, environment.wants_tls(flags))?;
        return Ok(address(host, None, flags, environment));
    }
    let config_dir = environment.config_dir(flags).ok_or_else(|| ContextError::NoDirectory(name.clone()))?;
    // docker takes a context's host as it stands; an empty one is its default.
    let host = match context::host(&config_dir, &name)? {
        host if host.is_empty() => format!("unix://{}", host_address::DEFAULT_SOCKET),
        host => host,
    };
    Ok(address(host, Some(name), flags, environment))
}

/// The context's name when `--context` does not give it.
fn ambient_context(flags: &GlobalFlags, environment: &Environment) -> Result<String, EndpointError> {
    if !flags.hosts.is_empty() || environment.get("DOCKER_HOST").is_some() {
        return Ok(context::DEFAULT.to_owned());
    }
    if let Some(name) = environment.get("DOCKER_CONTEXT") {
        return Ok(name.to_owned());
    }
    let current = match environment.config_dir(flags) {
        Some(config_dir) => context::current(&config_dir)?,
        None => None,
    };
    Ok(current.unwrap_or_else(|| context::DEFAULT.to_owned()))
}

fn address(host: String, context: Option<String>, flags: &GlobalFlags, environment: &Environment) -> EngineAddress {
    if let Some(path) = host.strip_prefix("unix://") {
        return EngineAddress::Unix(PathBuf::from(path));
    }
    let mut args = flags.raw.clone();
    args.extend(["system".to_owned(), "dial-stdio".to_owned()]);
    EngineAddress::DialStdio { context, description: host, program: environment.docker_command(), args }
}
