//! `service uninstall`: everything that `service install` made goes; the rules stay.

use std::path::{Path, PathBuf};

use super::{complain, require_root};
use crate::cli::args::ServiceUninstallArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;
use crate::host::files;
use crate::host::systemd::{self, PROGRAM, UNITS, unit_file};
use crate::host::tools::Tools;

/// Runs it.
pub fn run(ctx: &mut Context, args: ServiceUninstallArgs) -> Result<Exit, Failure> {
    require_root()?;
    let units: Vec<&str> = UNITS.into_iter().map(|(name, _)| name).filter(|name| unit_file(name).exists()).collect();
    let marker = offline::paths(ctx).agent_installed_file();
    // The marker first: whoever is killed after it leaves nothing closed that nobody will ever open.
    let files = [marker, PathBuf::from(PROGRAM)].into_iter().chain(units.iter().map(|name| unit_file(name)));
    let there: Vec<PathBuf> = files.filter(|path| path.symlink_metadata().is_ok()).collect();
    if there.is_empty() {
        ctx.output.line("Nothing to do: no service is installed.");
        return Ok(Exit::Success);
    }
    if args.dry_run {
        for name in &units {
            ctx.output.line(&format!("Would stop and disable {name}"));
        }
        for path in &there {
            ctx.output.line(&format!("Would remove {}", path.display()));
        }
        return Ok(Exit::ThingsToDo);
    }
    let tools = Tools::from_env();
    let booted = systemd::is_booted();
    if booted && !units.is_empty() {
        let words = [&["disable", "--quiet", "--now"][..], &units].concat();
        systemd::systemctl(&tools, &words).map_err(|error| complain(&error))?;
    }
    for path in &there {
        remove(path)?;
        ctx.output.line(&format!("{}: removed", path.display()));
    }
    if booted {
        systemd::systemctl(&tools, &["daemon-reload"]).map_err(|error| complain(&error))?;
    }
    ctx.output.line(&format!(
        "The rules stay in force as they are. `{0} apply` opens what was closed until seen, `{0} reset` takes all of them away.",
        ctx.program
    ));
    Ok(Exit::Success)
}

fn remove(path: &Path) -> Result<(), Failure> {
    files::remove(path).map(drop).map_err(|error| Failure::environment(error.to_string()))
}
