//! `allow` and `deny`: a new rule, put where it belongs.

use crate::cli::args::RuleArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: RuleArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
