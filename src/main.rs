//! The `docker-firewall` binary: a Docker CLI plugin that also runs on its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    docker_firewall::cli::main()
}
