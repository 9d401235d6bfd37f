//! `set inspect`: all that is known of some sets.

use crate::cli::args::SetInspectArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetInspectArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
