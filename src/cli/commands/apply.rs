//! `apply`: the kernel is made to hold what the policy says.

use crate::cli::args::ApplyArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: ApplyArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
