//! `service`: the two services that keep the rules in force over boots and restarts.

pub mod install;
pub mod status;
pub mod uninstall;

use crate::cli::failure::Failure;
use crate::host::systemd::{self, PROGRAM, SystemdError};

/// Who may.
fn require_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::environment("services are installed and removed by root: run it with sudo"))
}

/// What somebody must see to who has another init system, or none.
fn without_systemd() -> [String; 3] {
    [
        format!("At boot, before dockerd starts:  {PROGRAM} restore"),
        format!("From then on, after dockerd:     {PROGRAM} agent"),
        "The project's install/openrc holds both as services of OpenRC.".to_owned(),
    ]
}

/// Systemd must be what runs this system.
fn require_systemd(program: &str) -> Result<(), Failure> {
    if systemd::is_booted() {
        return Ok(());
    }
    let mut failure =
        Failure::environment("systemd does not run this system, and another init system is not known here")
            .hinted(
                "Nothing was changed. Without systemd, install the program alone, and see to two commands yourself:",
            )
            .hinted(format!("  {program} service install --no-systemd"));
    for line in without_systemd() {
        failure = failure.hinted(format!("  {line}"));
    }
    Err(failure)
}

fn complain(error: &SystemdError) -> Failure {
    let failure = Failure::environment(error.to_string());
    match error {
        SystemdError::Unsafe { path, .. } => failure.hinted(format!(
            "Nothing was changed. Take it to root alone: chown root:root {0}; chmod go-w {0}",
            path.display()
        )),
        _ => failure,
    }
}
