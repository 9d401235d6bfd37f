//! `version`: which one this is.

use crate::cli::args::VersionArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::metadata;

/// Runs it.
pub fn run(ctx: &mut Context, _args: VersionArgs) -> Result<Exit, Failure> {
    ctx.output.line(&format!("docker-firewall {}", metadata::VERSION));
    Ok(Exit::Success)
}
