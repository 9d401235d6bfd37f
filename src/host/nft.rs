//! A process of nft's own that stays: whoever makes a table with `flags owner` through it keeps the table for as long as it
//! lives, and no longer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::tools::Tools;

/// How long it may take for one line; 20,000 elements took it 1.5 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Asking for a table of this name, which nobody has, makes it say so: what it says is the end of its answer.
const NOBODY: &str = "list table inet docker-firewall-answers";

/// Why it did not do what it was told.
#[derive(Debug, Error)]
pub enum NftError {
    /// It is not installed.
    #[error("nft is not installed: it comes with the package nftables")]
    Missing,
    /// It could not be run.
    #[error("nft could not be run: {0}")]
    NotRun(io::Error),
    /// It said no, or the kernel did.
    #[error("nft says: {0}")]
    Refused(String),
    /// It is gone.
    #[error("nft ended")]
    Ended,
    /// It does not answer.
    #[error("nft does not answer")]
    Silent,
}

/// `nft -i`, fed by a pipe that ends with this process, however that ends.
#[derive(Debug)]
pub struct Nft {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Nft {
    /// Starts it; `ended` is called once it is no more, whoever ended it.
    pub fn start(tools: &Tools, ended: impl FnOnce() + Send + 'static) -> Result<Self, NftError> {
        let program = tools.find("nft").ok_or(NftError::Missing)?;
        // One pipe for both, so that complaints stay in their place.
        let (output, stdout) = io::pipe().map_err(NftError::NotRun)?;
        let stderr = stdout.try_clone().map_err(NftError::NotRun)?;
        let mut child = Command::new(program)
            .arg("-i")
            .env("LC_ALL", "C")
            // It would write what it was told into a file there.
            .env("HOME", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            // Out of reach of the terminal's Ctrl-C.
            .process_group(0)
            .spawn()
            .map_err(NftError::NotRun)?;
        let stdin = child.stdin.take();
        let (sender, lines) = channel();
        let reader = thread::Builder::new().name("nft".to_owned()).spawn(move || {
            for line in BufReader::new(output).lines() {
                if line.is_ok_and(|line| sender.send(line).is_ok()) {
                    continue;
                }
                break;
            }
            drop(sender);
            ended();
        });
        let mut nft = Self { child, stdin, lines };
        match reader {
            Ok(_) => Ok(nft),
            Err(error) => {
                nft.end();
                Err(NftError::NotRun(error))
            }
        }
    }

    /// Has it carry out one line, which is one transaction: all of it, or nothing.
    pub fn run(&mut self, line: &str) -> Result<(), NftError> {
        let stdin = self.stdin.as_mut().ok_or(NftError::Ended)?;
        writeln!(stdin, "{line}\n{NOBODY}").and_then(|()| stdin.flush()).map_err(|_| NftError::Ended)?;
        let until = Instant::now() + PATIENCE;
        let mut said: Vec<String> = Vec::new();
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                // A prompt may stand before it.
                Ok(line) if line.ends_with(NOBODY) => break,
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(NftError::Silent),
                Err(RecvTimeoutError::Disconnected) => return Err(NftError::Ended),
            }
        }
        let mut errors = said.iter().filter_map(|line| line.split_once("Error: ")).map(|(_, error)| error.to_owned());
        let first = errors.next();
        // The last one is about the table that nobody has.
        if errors.next().is_some() { Err(NftError::Refused(first.unwrap_or_default())) } else { Ok(()) }
    }

    /// Whether it is no more. It closes its pipes a moment before it can be waited for.
    pub fn has_ended(&mut self) -> bool {
        loop {
            match self.lines.try_recv() {
                // Said without being asked.
                Ok(_) => {}
                Err(error) => return error == TryRecvError::Disconnected,
            }
        }
    }

    fn end(&mut self) {
        self.stdin = None;
        // Nothing is to be done about one that cannot be ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it owns is gone when this returns.
impl Drop for Nft {
    fn drop(&mut self) {
        self.end();
    }
}
