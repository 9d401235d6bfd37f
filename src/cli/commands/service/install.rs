//! `service install`: the program, the units, and the word that an agent is there.

use std::thread;
use std::time::{Duration, Instant};

use super::{complain, require_root, require_systemd, without_systemd};
use crate::cli::args::ServiceInstallArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;
use crate::host::files;
use crate::host::systemd::{self, AGENT, BOOT, PROGRAM, UNITS, unit_file};
use crate::host::tools::Tools;

/// How long the agent may take until its first pass is done.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Runs it; again for an upgrade.
pub fn run(ctx: &mut Context, args: ServiceInstallArgs) -> Result<Exit, Failure> {
    require_root()?;
    if !args.no_systemd {
        require_systemd(&ctx.program)?;
    }
    if args.dry_run {
        return Ok(dry_run(ctx, args.no_systemd));
    }
    let replaced = systemd::install_program().map_err(|error| complain(&error))?;
    ctx.output.line(&format!("{PROGRAM}: {}", if replaced { "installed" } else { "this version is there already" }));
    if args.no_systemd {
        mark(ctx)?;
        for line in without_systemd() {
            ctx.output.line(&line);
        }
        return Ok(Exit::Success);
    }
    for path in systemd::install_units().map_err(|error| complain(&error))? {
        ctx.output.line(&format!("{}: written", path.display()));
    }
    start(ctx)
}

/// Says that an agent is there: from now on what it has not seen is closed, also while it is away.
fn mark(ctx: &Context) -> Result<(), Failure> {
    let marker = offline::paths(ctx).agent_installed_file();
    files::write_atomic(&marker, "").map_err(|error| Failure::environment(error.to_string()))
}

fn start(ctx: &mut Context) -> Result<Exit, Failure> {
    let tools = Tools::from_env();
    let marker = offline::paths(ctx).agent_installed_file();
    let was_marked = marker.exists();
    let systemctl = |words: &[&str]| systemd::systemctl(&tools, words).map_err(|error| complain(&error));
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--quiet", BOOT, AGENT])?;
    mark(ctx)?;
    let before = systemd::invocation(&tools, AGENT);
    // Not waited for: without an engine it would take for ever.
    systemctl(&["restart", "--no-block", AGENT])?;
    let begun = Instant::now();
    // The one from before is still active for a moment.
    while systemd::invocation(&tools, AGENT) == before || systemd::word(&tools, "is-active", AGENT) != "active" {
        if begun.elapsed() < START {
            thread::sleep(POLL);
            continue;
        }
        if !was_marked {
            // What nobody will ever see must not stay closed.
            files::remove(&marker).map_err(|error| Failure::environment(error.to_string()))?;
        }
        return Err(Failure::environment(format!(
            "{AGENT} is enabled, and was not ready within {} s",
            START.as_secs()
        ))
        .hinted("Rules are as they were. It goes on trying; to see what it says:")
        .hinted(format!("journalctl -u {AGENT} -n 20")));
    }
    ctx.output.line(&format!("{BOOT}: enabled, runs at the next boot"));
    ctx.output.line(&format!("{AGENT}: enabled and running"));
    for unit in [BOOT, AGENT] {
        if let Some(line) = systemd::exposure(&tools, unit) {
            ctx.output.line(&line);
        }
    }
    Ok(Exit::Success)
}

fn dry_run(ctx: &mut Context, no_systemd: bool) -> Exit {
    let marker = offline::paths(ctx).agent_installed_file();
    let mut lines = vec![format!("Would write {PROGRAM}, a copy of this program")];
    if !no_systemd {
        lines.extend(UNITS.map(|(name, _)| format!("Would write {}", unit_file(name).display())));
        lines.push(format!("Would enable {BOOT} and {AGENT}, and start the latter"));
    }
    lines.push(format!("Would write {}: what no agent has seen is closed from then on", marker.display()));
    for line in lines {
        ctx.output.line(&line);
    }
    Exit::ThingsToDo
}
