//! `set test`: whether an address is in a set.

use crate::cli::args::SetTestArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetTestArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
