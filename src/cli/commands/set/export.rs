//! `set export`: the set as `ipset restore` reads it.

use crate::cli::args::SetExportArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;

/// Runs it.
pub fn run(ctx: &mut Context, args: SetExportArgs) -> Result<Exit, Failure> {
    let config = offline::config(ctx)?;
    let text = super::existing(&config, &args.name, &ctx.program)?.text();
    ctx.output.print(&text);
    Ok(Exit::Success)
}
