//! What can go wrong between us and the engine, in docker's own words where it has some.

use std::io;

use bollard::errors::Error as Bollard;
use thiserror::Error;

use super::dial_stdio::DialFailure;

/// Why the engine gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// Nothing listens there.
    #[error("Cannot connect to the Docker daemon at {0}. Is the docker daemon running?")]
    CannotConnect(String),
    /// The socket is not for us.
    #[error("permission denied while trying to connect to the docker API at {0}")]
    Permission(String),
    /// `docker system dial-stdio` could not be started or gave up; `detail` is what it said.
    #[error("cannot reach the engine at {address} through the docker CLI: {detail}")]
    Dial {
        /// The engine.
        address: String,
        /// docker's own message.
        detail: String,
    },
    /// An error that the engine reports.
    #[error("Error response from daemon: {message}")]
    Api {
        /// The HTTP status.
        status: u16,
        /// Its message.
        message: String,
    },
    /// Something answers, but not an engine.
    #[error("what answers at {address} is not a Docker engine: HTTP status {status}")]
    NotAnEngine {
        /// The address.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer in time.
    #[error("the Docker daemon at {address} did not answer {path} within {seconds} s")]
    Timeout {
        /// The engine.
        address: String,
        /// The request.
        path: String,
        /// The patience it was given.
        seconds: u64,
    },
    /// The connection broke.
    #[error("lost the connection to the Docker daemon at {address}: {detail}")]
    Lost {
        /// The engine.
        address: String,
        /// What broke.
        detail: String,
    },
    /// An answer that cannot be understood. Nothing may be built on half of it.
    #[error("the Docker daemon's answer to {path} cannot be understood: {detail}")]
    Answer {
        /// The request.
        path: String,
        /// What is wrong, naming the container or network.
        detail: String,
    },
    /// `DOCKER_API_VERSION` is no version.
    #[error("DOCKER_API_VERSION is \"{0}\", which is not an API version such as 1.44")]
    ApiVersion(String),
    /// An engine from before [`super::OLDEST_API`].
    #[error(
        "the engine at {address} speaks API {api} at most; {} (Docker 20.10) or newer is needed",
        super::OLDEST_API
    )]
    TooOld {
        /// The engine.
        address: String,
        /// What it speaks.
        api: String,
    },
}

/// A request and where it went, for the message.
pub(super) struct Request<'a> {
    pub(super) address: &'a str,
    pub(super) path: &'a str,
}

impl EngineError {
    pub(super) fn from_bollard(error: &Bollard, request: &Request<'_>, seconds: u64) -> Self {
        let address = request.address.to_owned();
        match error {
            Bollard::DockerResponseServerError { status_code, message } => server_error(address, *status_code, message),
            Bollard::SocketNotFoundError(_) => Self::CannotConnect(address),
            Bollard::RequestTimeoutError => Self::Timeout { address, path: request.path.to_owned(), seconds },
            // Only error answers are decoded by bollard itself.
            Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. } => {
                Self::Answer { path: request.path.to_owned(), detail: error.to_string() }
            }
            other => connection_error(address, other),
        }
    }

    /// Whether the engine says that the thing asked for is not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, .. })
    }
}

/// The engine's errors are short; a web server's are a page, which helps nobody on a terminal.
fn server_error(address: String, status: u16, message: &str) -> EngineError {
    let message = message.trim();
    if message.is_empty() || message.starts_with('<') {
        return EngineError::NotAnEngine { address, status };
    }
    EngineError::Api { status, message: message.to_owned() }
}

/// Finds the system's reason in the chain of causes that hyper and bollard wrap around it.
fn connection_error(address: String, error: &Bollard) -> EngineError {
    let mut detail = error.to_string();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<io::Error>() {
            if let Some(dial) = io.get_ref().and_then(|inner| inner.downcast_ref::<DialFailure>()) {
                return EngineError::Dial { address, detail: dial.0.clone() };
            }
            match io.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    return EngineError::CannotConnect(address);
                }
                io::ErrorKind::PermissionDenied => return EngineError::Permission(address),
                _ => {}
            }
        }
        detail = this.to_string();
        cause = this.source();
    }
    EngineError::Lost { address, detail }
}
