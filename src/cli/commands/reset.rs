//! `reset`: everything of ours leaves the kernel.

use crate::cli::args::ResetArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: ResetArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
