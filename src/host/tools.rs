//! Running the host's own programs: found by name, fed by stdin, never through a shell.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// Where the programs are; the user's PATH often lacks the `sbin` directories.
#[derive(Clone, Debug)]
pub struct Tools {
    path: OsString,
}

/// What a program said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Whether it exited with 0.
    pub success: bool,
    /// What it printed; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// What it complained of, verbatim.
    pub stderr: String,
}

impl Tools {
    /// The programs on PATH, `/usr/sbin` and `/sbin`.
    pub fn from_env() -> Self {
        Self::new(env::var_os("PATH").unwrap_or_default())
    }

    /// The programs on `path`, `/usr/sbin` and `/sbin`.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        // A relative directory would let the working directory choose what runs as root.
        let listed = env::split_paths(path.as_ref()).filter(|directory| directory.is_absolute());
        let added = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        let mut directories: Vec<PathBuf> = Vec::new();
        for directory in listed.chain(added) {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        Self { path: env::join_paths(directories).unwrap_or_default() }
    }

    /// Where a program is.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        which::which_in_global(name, Some(&self.path)).ok()?.next()
    }

    /// Runs a program with `stdin`; `None` when there is no such program.
    pub fn run(&self, name: &str, arguments: &[&str], stdin: &str) -> Option<io::Result<Ran>> {
        Some(self.run_found(self.find(name)?, arguments, stdin))
    }

    fn run_found(&self, program: PathBuf, arguments: &[&str], stdin: &str) -> io::Result<Ran> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("PATH", &self.path)
            // Messages are read for line numbers and shown verbatim.
            .env("LC_ALL", "C")
            .stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of reach of the terminal's Ctrl-C: a batch that has begun is finished or undone, never cut.
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        // Written beside the reading: a program that answers before it has read everything would block on us.
        let output = thread::scope(|scope| {
            if let Some(mut pipe) = pipe {
                scope.spawn(move || {
                    // A program that gives up early closes its end; what it says then is the error to report.
                    let _ = pipe.write_all(stdin.as_bytes());
                });
            }
            child.wait_with_output()
        })?;
        Ok(Ran { success: output.status.success(), stdout: into_text(output.stdout), stderr: into_text(output.stderr) })
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
