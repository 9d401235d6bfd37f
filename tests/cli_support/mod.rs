//! Runs the built binary, directly and through Docker's own client.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The built binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_docker-firewall");
/// Docker's client sets it for its plugins.
pub const ORIGINAL: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// stdout.
    pub out: String,
    /// stderr.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("killed by a signal"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command without anything of Docker's in its environment.
pub fn clean(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKER_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Words of a line; `''` is an empty one.
pub fn words(line: &str) -> Vec<&str> {
    line.split(' ').filter(|word| !word.is_empty()).map(|word| if word == "''" { "" } else { word }).collect()
}

/// Runs the binary as Docker's client would, with these words.
pub fn plugin(line: &str) -> Ended {
    clean(BINARY).args(words(line)).env(ORIGINAL, "docker").output().unwrap().into()
}

/// Runs the binary on its own.
pub fn alone(line: &str) -> Ended {
    clean(BINARY).args(words(line)).output().unwrap().into()
}

/// Docker's client with our plugin installed for it.
pub struct Docker {
    config: TempDir,
}

impl Docker {
    /// A configuration of its own.
    pub fn new() -> Self {
        let config = tempfile::tempdir().unwrap();
        std::fs::create_dir(config.path().join("cli-plugins")).unwrap();
        symlink(BINARY, config.path().join("cli-plugins/docker-firewall")).unwrap();
        Self { config }
    }

    /// Its plugin directory.
    pub fn plugins(&self) -> PathBuf {
        self.config.path().join("cli-plugins")
    }

    /// `docker` with these words; it must be there.
    pub fn command(&self, line: &str) -> Command {
        let mut command = clean("docker");
        command.args(words(line)).env("DOCKER_CONFIG", self.config.path());
        command
    }

    /// Runs it.
    pub fn run(&self, line: &str) -> Ended {
        self.command(line).output().expect("these tests need Docker's client in PATH").into()
    }
}
