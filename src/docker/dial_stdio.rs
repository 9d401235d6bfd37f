//! The engine behind `docker system dial-stdio`: HTTP over the pipes of a child process.
//!
//! docker resolves contexts, TLS and ssh by itself then, exactly as it does for its own commands. One process costs
//! some 35 ms, so one connection is kept and requests take turns on it.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::{BollardRequest, ClientVersion, Docker};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// The host name that docker sends where the transport has none (docker/cli `cli/connhelper`).
const DUMMY_HOST: &str = "docker.example.com";
/// As much of the child's message as is kept.
const MESSAGE_LIMIT: u64 = 4096;
/// How long the child may take to finish its message once the connection is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why the child gave no connection: its own message.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct DialFailure(pub(super) String);

impl DialFailure {
    fn into_bollard(self) -> Bollard {
        io::Error::other(self).into()
    }
}

/// A bollard client over `program args...`.
pub(super) fn client(program: &str, args: &[String], timeout: u64, version: &ClientVersion) -> Result<Docker, Bollard> {
    let dialler = Arc::new(Dialler { program: program.to_owned(), args: args.to_vec(), connection: Mutex::default() });
    Docker::connect_with_custom_transport(
        move |request: BollardRequest| {
            let dialler = Arc::clone(&dialler);
            async move { dialler.send(request).await }
        },
        Some(format!("http://{DUMMY_HOST}")),
        timeout,
        version,
    )
}

struct Dialler {
    program: String,
    args: Vec<String>,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    // Killed when this goes out of scope.
    _child: Child,
    message: JoinHandle<String>,
}

impl Dialler {
    async fn send(&self, request: BollardRequest) -> Result<Response<Incoming>, Bollard> {
        // Everything asked of the engine is a GET: there is no body to carry over.
        let (mut parts, _) = request.into_parts();
        // Over a direct connection the path alone is sent, and the host in a header (RFC 9112, 3.2.1).
        parts.uri = parts.uri.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()));
        parts.headers.insert(HOST, HeaderValue::from_static(DUMMY_HOST));
        let request = hyper::Request::from_parts(parts, Empty::new());

        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) if !connection.sender.is_closed() => connection,
            _ => self.dial().await?,
        };
        let sent = match connection.sender.ready().await {
            Ok(()) => connection.sender.send_request(request).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(response) => {
                *slot = Some(connection);
                Ok(response)
            }
            Err(error) => Err(connection.explain(error).await),
        }
    }

    async fn dial(&self) -> Result<Connection, Bollard> {
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| DialFailure(format!("cannot start {}: {error}", self.program)).into_bollard())?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(DialFailure(format!("{} has no pipes", self.program)).into_bollard());
        };
        let message = tokio::spawn(read_message(stderr));
        let (sender, driver) = http1::handshake(TokioIo::new(tokio::io::join(stdout, stdin))).await?;
        // Its errors reach the sender as well.
        tokio::spawn(driver);
        Ok(Connection { sender, _child: child, message })
    }
}

impl Connection {
    /// What the child said about it tells more than "connection closed".
    async fn explain(mut self, error: hyper::Error) -> Bollard {
        match tokio::time::timeout(LAST_WORDS, &mut self.message).await {
            Ok(Ok(message)) if !message.is_empty() => DialFailure(message).into_bollard(),
            _ => error.into(),
        }
    }
}

/// Reads to the end, so that the child never blocks, and keeps the beginning.
async fn read_message(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let _ = (&mut stderr).take(MESSAGE_LIMIT).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).trim().to_owned()
}
