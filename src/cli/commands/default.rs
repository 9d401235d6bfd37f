//! `default`: what happens to containers without an allow rule.

use crate::cli::args::DefaultArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: DefaultArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
