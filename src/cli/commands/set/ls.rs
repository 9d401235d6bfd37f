//! `set ls`: the sets there are.

use crate::cli::args::SetLsArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetLsArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
