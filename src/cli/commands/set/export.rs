//! `set export`: the text that `ipset restore` reads.

use crate::cli::args::SetExportArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Runs it.
pub fn run(_ctx: &mut Context, _args: SetExportArgs) -> Result<Exit, Failure> {
    Err(Failure::internal("not wired yet"))
}
