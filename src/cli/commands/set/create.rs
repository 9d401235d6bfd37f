//! `set create`: a new, empty set.

use crate::cli::args::SetCreateArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetCreateArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
