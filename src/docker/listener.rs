//! Who listens on the engine's socket: a hint at the network namespace in which the engine is.

use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// Whether the process that opened the socket for listening is in this thread's network namespace; `None` when the
/// kernel does not tell (another PID namespace, no permission).
///
/// `Some(true)` proves nothing: it may be an ssh that forwards, or systemd that listens on the engine's behalf.
pub(super) async fn shares_namespace(socket: &Path) -> Option<bool> {
    let stream = UnixStream::connect(socket).await.ok()?;
    // Of a connected socket, SO_PEERCRED names whoever called listen(2) (unix(7)).
    let listener = stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)?;
    Some(namespace(&listener.to_string())? == namespace("thread-self")?)
}

/// Such as `net:[4026531840]`.
fn namespace(process: &str) -> Option<PathBuf> {
    std::fs::read_link(Path::new("/proc").join(process).join("ns/net")).ok()
}
