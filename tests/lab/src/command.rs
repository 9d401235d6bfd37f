//! Running a command to its end and keeping all it said.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use crate::LabError;

/// Where a lab's commands are looked for, inside and outside.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a finished command left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 128 and the signal's number for one that was killed.
    pub code: i32,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Both outputs in one line of thought, for messages.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stderr, self.stdout).trim().to_owned()
    }

    /// Its stdout without the last line break, or an error with all it said when it did not end with 0.
    pub fn require(self, what: &str) -> Result<String, LabError> {
        if self.success() {
            Ok(self.stdout.trim_end().to_owned())
        } else {
            Err(LabError::Failed { what: what.to_owned(), output: self })
        }
    }
}

/// Runs a command to its end with the given text as its stdin.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<Output, LabError> {
    use std::os::unix::process::ExitStatusExt;

    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(LabError::io(program.clone()))?;
    let stdin = child.stdin.take();
    let finished = thread::scope(|scope| {
        // Beside the reading, for a command that writes before it has read all. One that does not read is no error.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })
    .map_err(LabError::io(program))?;
    Ok(Output {
        code: finished.status.code().unwrap_or_else(|| 128 + finished.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&finished.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
    })
}
