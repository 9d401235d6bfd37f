//! `set rm`: sets are removed.

use crate::cli::args::SetRmArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetRmArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
