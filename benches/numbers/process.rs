//! Whole processes, timed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// The program that is measured; another build can be named.
pub(crate) fn program() -> std::ffi::OsString {
    std::env::var_os("DOCKER_FIREWALL_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_docker-firewall").into())
}

/// Milliseconds of a process that has to succeed.
pub(crate) fn timed(command: &mut Command) -> Result<f64> {
    let begun = Instant::now();
    let code = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    let time = begun.elapsed().as_secs_f64() * 1e3;
    if code.success() { Ok(time) } else { Err(format!("{command:?}: {code}").into()) }
}

/// The most memory that a process had, in megabytes. It is asked every millisecond, for a process that has ended cannot be.
pub(crate) fn most_memory(command: &mut Command) -> Result<f64> {
    let mut child = command.spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut most: f64 = 0.0;
    loop {
        most = most.max(kilobytes(&fs::read_to_string(&status).unwrap_or_default(), "VmHWM:") / 1024.0);
        if let Some(code) = child.try_wait()? {
            return if code.success() { Ok(most) } else { Err(format!("{command:?}: {code}").into()) };
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// A line of `/proc/PID/status` or `smaps_rollup`.
pub(crate) fn kilobytes(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0)
}

/// What is typed by hand, a line each, with the words divided by blanks; `< FILE` at the end is its input. Milliseconds.
pub(crate) fn typed(lines: &[&str]) -> Result<f64> {
    lines.iter().map(|line| timed(&mut hand(line)?)).sum()
}

/// One such line.
pub(crate) fn hand(line: &str) -> Result<Command> {
    let (words, input) = line.split_once(" < ").unwrap_or((line, "/dev/null"));
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(fs::File::open(input)?).stdout(Stdio::null());
    Ok(command)
}

/// A directory for the program's files, and the engine that it asks.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        for (name, directory) in [("CONFIG", "etc"), ("STATE", "lib"), ("RUN", "run")] {
            command.env(format!("DOCKER_FIREWALL_{name}_DIR"), self.path().join(directory));
        }
        command.env("DOCKER_HOST", format!("unix://{}", self.path().join("docker.sock").display()));
        let words_of_failure = fs::File::create(self.path().join("stderr"));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(words_of_failure.map_or_else(|_| Stdio::null(), Stdio::from));
        command
    }

    /// Runs the program, which has to succeed. Milliseconds.
    pub(crate) fn time(&self, words: &[&str]) -> Result<f64> {
        self.told(timed(&mut self.command(words)))
    }

    /// The most memory of such a run, in megabytes.
    pub(crate) fn memory(&self, words: &[&str]) -> Result<f64> {
        self.told(most_memory(&mut self.command(words)))
    }

    /// With what the program said, where it failed.
    pub(crate) fn told<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let said = fs::read_to_string(self.path().join("stderr")).unwrap_or_default();
            format!("{error}: {said}").into()
        })
    }
}
