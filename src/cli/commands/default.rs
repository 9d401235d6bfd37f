//! `default`: what happens to containers that no allow rule selects.

use crate::cli::args::DefaultArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;
use crate::cli::session::{Need, Session};
use crate::policy::DefaultAccess;

/// Runs it; without a word it prints the setting.
pub fn run(ctx: &mut Context, args: DefaultArgs) -> Result<Exit, Failure> {
    let Some(access) = args.access else {
        let config = offline::config(ctx)?;
        ctx.output.line(config.document.policy().default.name());
        return Ok(Exit::Success);
    };
    let mut session = Session::open(ctx, Need::Engine)?;
    let mut config = session.config().clone();
    if config.document.policy().default != access {
        config.document.set_default(access).map_err(|error| Failure::internal(error.to_string()))?;
    }
    if args.dry_run {
        return session.show_plan(ctx, &config);
    }
    session.change(ctx, config)?;
    ctx.output.line(match access {
        DefaultAccess::Closed => {
            "Every container is guarded: what no rule allows is closed. Containers and networks made later are guarded \
             from the next apply on."
        }
        DefaultAccess::Open => "Containers that no allow rule names are as open as Docker leaves them.",
    });
    Ok(Exit::Success)
}
