//! `status`: whether the firewall is in force.

use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: StatusArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
