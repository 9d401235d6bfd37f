//! `rules`: the policy in order, numbered.

use crate::cli::args::RulesArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: RulesArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
