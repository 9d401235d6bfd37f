//! `ls`: who reaches what, by the live kernel.

use crate::cli::args::LsArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: LsArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
