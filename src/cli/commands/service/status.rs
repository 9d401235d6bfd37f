//! `service status`: whether the services are there and run.

use std::path::Path;

use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;
use crate::host::systemd::{self, AGENT, BOOT, PROGRAM, unit_file};
use crate::host::tools::Tools;
use crate::reconcile::Boot;

/// Runs it; exits 0 when all is as `service install` leaves it.
pub fn run(ctx: &mut Context) -> Result<Exit, Failure> {
    let tools = Tools::from_env();
    let mut well = true;
    let mut lines = Vec::new();
    for unit in [BOOT, AGENT] {
        let state = if !unit_file(unit).exists() {
            "not installed".to_owned()
        } else if systemd::is_booted() {
            format!("{}, {}", systemd::word(&tools, "is-enabled", unit), systemd::word(&tools, "is-active", unit))
        } else {
            "installed, and systemd does not run this system".to_owned()
        };
        // The one for the boot has not run yet after an installation.
        well &=
            state.starts_with("enabled") && (unit == BOOT && !state.ends_with("failed") || state.ends_with(", active"));
        lines.push(format!("{unit:31}{state}"));
    }
    let program = if !Path::new(PROGRAM).exists() {
        "not installed"
    } else if systemd::is_current() {
        "this version"
    } else {
        well = false;
        "another version than this one: service install replaces it"
    };
    lines.push(format!("{PROGRAM:36} {program}"));
    let paths = offline::paths(ctx);
    let boot = Boot::read(&paths);
    let record = match (&boot.record, boot.faults.first()) {
        (_, Some(fault)) => fault.clone(),
        (Some(_), None) => "good".to_owned(),
        (None, None) => "none yet: the next apply writes it".to_owned(),
    };
    lines.push(format!("{:36} {record}", paths.boot_file().display()));
    for line in lines {
        ctx.output.line(&line);
    }
    Ok(if well { Exit::Success } else { Exit::SomeFailed })
}
