//! Being asked to stop: Ctrl-C, signals and the socket of Docker's client.
//!
//! A command that has changed nothing yet ends at once. One that holds a [`Mutation`] is only told, finishes or undoes
//! its transaction and then fails with `Failure::cancelled`. The third request ends it anyway. All of it happens on
//! a thread of its own, because the main one waits for kernel tools.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use tokio::io::AsyncReadExt as _;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::environment::Env;
use super::failure::Failure;

/// The exit code of a command stopped on request.
const CODE: i32 = 130;
/// Where Docker's client (25.0 and later) listens; end of file there means "stop".
const SOCKET: &str = "DOCKER_CLI_PLUGIN_SOCKET";

#[derive(Debug, Default)]
struct State {
    mutations: usize,
    requests: usize,
}

/// Tells whether somebody asked to stop. Clones share one answer.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Mutex<State>>);

/// While it lives, requests to stop wait for the transaction in hand.
#[derive(Debug)]
#[must_use]
pub struct Mutation(Cancel);

impl Drop for Mutation {
    fn drop(&mut self) {
        self.0.state().mutations -= 1;
    }
}

impl Cancel {
    /// One that nobody triggers.
    pub fn never() -> Self {
        Self::default()
    }

    /// Starts to listen; from the return on no request is lost.
    pub fn watch(env: &Env) -> Result<Self, Failure> {
        let cancel = Self::default();
        let socket = env.text(SOCKET).map(connect);
        if let Some(Socket::Refused) = socket {
            // The client was stopped before we got here and has closed its end.
            return Err(Failure::cancelled(""));
        }
        let (ready, wait) = mpsc::sync_channel(1);
        let watcher = cancel.clone();
        thread::Builder::new()
            .name("cancel".to_owned())
            .spawn(move || watcher.listen(socket, &ready))
            .map_err(|error| Failure::environment(format!("cannot start a thread: {error}")))?;
        match wait.recv() {
            Ok(Ok(())) => Ok(cancel),
            Ok(Err(error)) => Err(Failure::environment(format!("cannot listen for signals: {error}"))),
            Err(_) => Err(Failure::internal("the thread that listens for signals ended")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is two numbers: a panic elsewhere leaves them whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody asked to stop. To be polled between the steps of a mutation.
    pub fn is_cancelled(&self) -> bool {
        self.state().requests > 0
    }

    /// Marks the beginning of a transaction; fails if somebody asked to stop before.
    pub fn begin(&self) -> Result<Mutation, Failure> {
        let mut state = self.state();
        if state.requests > 0 {
            return Err(Failure::cancelled("cancelled: nothing was changed"));
        }
        state.mutations += 1;
        drop(state);
        Ok(Mutation(self.clone()))
    }

    /// Somebody asks to stop.
    fn request(&self) {
        // The lock is held while the process exits, so that no transaction begins in between.
        let mut state = self.state();
        state.requests += 1;
        let mut stderr = io::stderr();
        if state.mutations == 0 || state.requests >= 3 {
            if stderr.is_terminal() {
                // The terminal has printed ^C, and perhaps a question.
                let _ = writeln!(stderr);
            }
            process::exit(CODE);
        }
        if state.requests == 1 {
            let _ = writeln!(stderr, "stopping: the change in hand is finished or undone first");
        }
    }

    fn listen(&self, socket: Option<Socket>, ready: &mpsc::SyncSender<io::Result<()>>) {
        let started = runtime::Builder::new_current_thread().enable_io().build().and_then(|runtime| {
            let inside = runtime.enter();
            let signals = Signals::new()?;
            let stream = match socket {
                Some(Socket::Open(stream)) => {
                    stream.set_nonblocking(true)?;
                    Some(tokio::net::UnixStream::from_std(stream)?)
                }
                _ => None,
            };
            drop(inside);
            Ok((runtime, signals, stream))
        });
        let (runtime, mut signals, mut stream) = match started {
            Ok(started) => started,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(()));
        runtime.block_on(async {
            loop {
                tokio::select! {
                    () = signals.next() => {}
                    () = end_of_file(&mut stream) => stream = None,
                }
                self.request();
            }
        });
    }
}

/// Waits until the client closes its end; for ever where there is none.
async fn end_of_file(stream: &mut Option<tokio::net::UnixStream>) {
    let Some(stream) = stream else {
        return std::future::pending().await;
    };
    let mut buffer = [0; 64];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

/// The end of the socket that is ours.
enum Socket {
    Open(UnixStream),
    /// Nobody listens any more: the client was told to stop.
    Refused,
    /// Something that cannot be used, which is no reason to stop.
    None,
}

fn connect(name: &str) -> Socket {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(Path::new(name)),
    };
    match address.and_then(|address| UnixStream::connect_addr(&address)) {
        Ok(stream) => Socket::Open(stream),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Socket::Refused,
        Err(_) => Socket::None,
    }
}

/// The signals that ask to stop, except those that the process was started to ignore (`nohup`, `&` in scripts).
struct Signals([Option<Signal>; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        let ignored = ignored_signals();
        let listen = |kind: SignalKind| {
            let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(0);
            if ignored >> bit & 1 == 1 { Ok(None) } else { signal(kind).map(Some) }
        };
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
            () = one(hangup) => {}
        }
    }
}

async fn one(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The mask of ignored signals, bit 0 for signal 1; none where the kernel does not say.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_only_told() {
        let cancel = Cancel::never();
        let mutation = cancel.begin().unwrap();
        cancel.request();
        assert!(cancel.is_cancelled());
        drop(mutation);
        assert_eq!(cancel.begin().unwrap_err().code(), 130);
    }
}
