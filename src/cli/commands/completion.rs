//! `completion`: the script for a shell, for those who run the program without Docker's client.

use crate::cli::args::CompletionArgs;
use crate::cli::complete::script;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it; needs nothing.
pub fn run(ctx: &mut Context, args: CompletionArgs) -> Result<Exit, Failure> {
    ctx.output.print(&script(args.shell, "docker-firewall"));
    Ok(Exit::Success)
}
