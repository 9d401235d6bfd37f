//! `plan`: what `apply` would do.

use crate::cli::args::PlanArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::session::{Need, Session};
use crate::cli::soundness;

/// Runs it; exits 0 when there is nothing to do and 2 when there is.
pub fn run(ctx: &mut Context, _args: PlanArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    let config = session.config().clone();
    let state = session.state()?;
    soundness::warn(ctx, &soundness::check(&session, &config, &state)?);
    let exit = session.show_plan(ctx, &config)?;
    if exit == Exit::Success {
        ctx.output.note("Nothing to do: the kernel holds what the policy says.");
    }
    Ok(exit)
}
