//! `set add`: entries come in.

use crate::cli::args::SetAddArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetAddArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
