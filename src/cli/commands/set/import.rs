//! `set import`: a file takes the place of the entries.

use crate::cli::args::SetImportArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetImportArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
