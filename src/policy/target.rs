//! Whom a rule protects: identities, never addresses.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One target of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A container by its name.
    Container(String),
    /// A compose service, written `project/service`.
    Service(String, String),
    /// A swarm service, written `service:NAME`.
    SwarmService(String),
    /// Containers with a label, or with a label of that value.
    Label(String, Option<String>),
    /// Containers attached to a network of that name.
    Network(String),
    /// Every container.
    All,
}

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Nothing there.
    #[error(
        "a target is empty: name a container, PROJECT/SERVICE, service:NAME, label:KEY[=VALUE], network:NAME or '*'"
    )]
    Empty,
    /// Docker would never give such a name.
    #[error("{0:?} cannot be a container's name: letters, digits, \"_\", \".\" and \"-\" only, and no leading sign")]
    BadName(String),
    /// `label:` with nothing, or with characters that no label has.
    #[error("{0:?} is no label: write label:KEY or label:KEY=VALUE")]
    BadLabel(String),
    /// `network:` with nothing.
    #[error("{0:?} is no network: write network:NAME")]
    BadNetwork(String),
    /// `service:` with nothing, or with characters that no service has.
    #[error("{0:?} is no swarm service: write service:NAME")]
    BadSwarmService(String),
    /// `a/b/c`.
    #[error("{0:?} is no compose service: write PROJECT/SERVICE")]
    BadService(String),
    /// `foo:bar`.
    #[error(
        "{0:?} is no target: the forms are NAME, PROJECT/SERVICE, service:NAME, label:KEY[=VALUE], network:NAME and '*'"
    )]
    UnknownForm(String),
}

/// Docker's own pattern for names of containers and networks (moby `daemon/names`: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`).
fn is_docker_name(text: &str) -> bool {
    text.len() <= 255
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some(label) = text.strip_prefix("label:") {
            let (key, value) = match label.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (label, None),
            };
            let clean = |part: &str| !part.chars().any(char::is_control);
            if key.is_empty() || key.contains(char::is_whitespace) || !clean(label) {
                return Err(TargetError::BadLabel(text.to_owned()));
            }
            return Ok(Self::Label(key.to_owned(), value));
        }
        if let Some(network) = text.strip_prefix("network:") {
            // Networks may have freer names than containers, but never empty ones or control characters.
            if network.trim().is_empty() || network.chars().any(char::is_control) {
                return Err(TargetError::BadNetwork(text.to_owned()));
            }
            return Ok(Self::Network(network.to_owned()));
        }
        if let Some(service) = text.strip_prefix("service:") {
            if !is_docker_name(service) {
                return Err(TargetError::BadSwarmService(text.to_owned()));
            }
            return Ok(Self::SwarmService(service.to_owned()));
        }
        if let Some((project, service)) = text.split_once('/') {
            // `docker inspect` prints names with a leading slash, so people paste them.
            if project.is_empty() && is_docker_name(service) {
                return Ok(Self::Container(service.to_owned()));
            }
            if !is_docker_name(project) || !is_docker_name(service) {
                return Err(TargetError::BadService(text.to_owned()));
            }
            return Ok(Self::Service(project.to_owned(), service.to_owned()));
        }
        if is_docker_name(text) {
            return Ok(Self::Container(text.to_owned()));
        }
        if text.contains(':') {
            return Err(TargetError::UnknownForm(text.to_owned()));
        }
        Err(TargetError::BadName(text.to_owned()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => f.write_str(name),
            Self::Service(project, service) => write!(f, "{project}/{service}"),
            Self::SwarmService(service) => write!(f, "service:{service}"),
            Self::Label(key, None) => write!(f, "label:{key}"),
            Self::Label(key, Some(value)) => write!(f, "label:{key}={value}"),
            Self::Network(name) => write!(f, "network:{name}"),
            Self::All => f.write_str("*"),
        }
    }
}
