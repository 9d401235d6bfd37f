//! `plan`: how the kernel differs from the policy.

use crate::cli::args::PlanArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: PlanArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
