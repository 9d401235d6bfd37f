//! GET requests to the engine, with bollard carrying the connection.
//!
//! bollard 0.21.1 is used for sockets, pipes, HTTP and error answers, but not for its typed calls. Those send paths
//! without a version (`Url::join` drops it, fixed for 0.22), so that an engine upgrade changes what comes back and
//! `DOCKER_API_VERSION` has no effect; their models refuse a whole list for one value that they do not know (a
//! container in a new state hides all others); and they bound the wait for the head of an answer, not for its body.

use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures_util::{Stream, StreamExt as _};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use serde::de::DeserializeOwned;

use super::dial_stdio;
use super::endpoint::EngineAddress;
use super::error::{EngineError, Request};

/// No engine has that much to say: some 10,000 containers take 20 MB.
const ANSWER_LIMIT: usize = 256 << 20;

/// An engine to which requests can be made.
#[derive(Debug)]
pub(super) struct Connection {
    docker: Docker,
    address: String,
    patience: Duration,
}

impl Connection {
    /// Prepares the connection; `patience` bounds each request. Nothing is sent yet.
    pub(super) fn open(address: &EngineAddress, patience: Duration) -> Result<Self, EngineError> {
        let text = address.to_string();
        // bollard counts in seconds and stops at the head of an answer: `get` measures the whole.
        let seconds = patience.as_secs().saturating_add(2);
        let docker = match address {
            EngineAddress::Unix(path) => open_socket(path, seconds, &text)?,
            EngineAddress::DialStdio { program, args, .. } => {
                dial_stdio::client(program, args, seconds, API_DEFAULT_VERSION)
                    .map_err(|error| failure(&error, &text, "/", patience))?
            }
        };
        Ok(Self { docker, address: text, patience })
    }

    /// The engine, for messages.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The answer to `GET path`, decoded.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let body = self.get_bytes(path).await?;
        serde_json::from_slice(&body).map_err(|error| EngineError::misunderstood(path, &error.to_string()))
    }

    /// The answer to `GET path`, piece by piece, for as long as it goes on.
    pub(super) fn stream(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, EngineError>> + use<>, EngineError> {
        let target =
            path.parse::<PathAndQuery>().map_err(|error| EngineError::misunderstood(path, &error.to_string()))?;
        // bollard has no public call for a path of one's own. This one is its plainest GET that hands out the bytes
        // undecoded; the modifier replaces where it goes.
        let docker = self.docker.clone().with_request_modifier(move |request| aim(request, &target));
        let (address, patience, path) = (self.address.clone(), self.patience, path.to_owned());
        // The stream has what it needs of the client by the time it is made.
        let stream = docker.export_container("-");
        Ok(stream.map(move |chunk| chunk.map_err(|error| failure(&error, &address, &path, patience))))
    }

    /// The answer to `GET path`.
    pub(super) async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, EngineError> {
        let answer = async {
            let mut stream = std::pin::pin!(self.stream(path)?);
            let mut body = Vec::new();
            while let Some(chunk) = stream.next().await {
                body.extend_from_slice(&chunk?);
                if body.len() > ANSWER_LIMIT {
                    return Err(EngineError::misunderstood(path, "it is too long"));
                }
            }
            Ok(body)
        };
        tokio::time::timeout(self.patience, answer).await.unwrap_or_else(|_| {
            Err(EngineError::Timeout {
                address: self.address.clone(),
                path: path.to_owned(),
                seconds: self.patience.as_secs(),
            })
        })
    }
}

/// Sends `request` to `target` of the same engine.
fn aim(mut request: BollardRequest, target: &PathAndQuery) -> BollardRequest {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(target.clone());
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    let agent = concat!("docker-firewall/", env!("CARGO_PKG_VERSION"), " (linux)");
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
    request
}

fn open_socket(path: &Path, seconds: u64, address: &str) -> Result<Docker, EngineError> {
    // bollard takes a socket that it may not see for one that is not there.
    if let Err(error) = path.metadata()
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        return Err(EngineError::Permission(address.to_owned()));
    }
    let Some(text) = path.to_str() else { return Err(EngineError::CannotConnect(address.to_owned())) };
    Docker::connect_with_unix(text, seconds, API_DEFAULT_VERSION)
        .map_err(|error| failure(&error, address, "/", Duration::from_secs(seconds)))
}

fn failure(error: &Bollard, address: &str, path: &str, patience: Duration) -> EngineError {
    EngineError::from_bollard(error, &Request { address, path }, patience.as_secs())
}
