//! `rm`: rules are removed.

use crate::cli::args::RmArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: RmArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
