//! `set del`: entries go out.

use crate::cli::args::SetDelArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetDelArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
