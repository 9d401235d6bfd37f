//! `set add`: entries come, and what they mean comes with them at once.

use crate::cli::args::SetAddArgs;
use crate::cli::commands::allow::expiry;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::report::count;
use crate::cli::session::{Need, Session};

/// Runs it. All entries come, or none.
pub fn run(ctx: &mut Context, args: SetAddArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Nothing)?;
    super::say_normalised(ctx, &args.entries);
    let mut set = super::existing(session.config(), &args.name, &ctx.program)?.clone();
    set.prune(session.now);
    let mut added = 0;
    for entry in args.entries.iter().flat_map(|arg| &arg.entries) {
        let mut entry = entry.clone();
        if let Some(comment) = &args.comment {
            entry = entry.with_comment(comment).map_err(|error| Failure::usage(error.to_string()))?;
        }
        if let Some(lifetime) = args.lifetime {
            let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
            entry = entry.with_expiry(expiry(session.now, lifetime)?, seconds);
        }
        added += usize::from(set.add(entry).map_err(|error| Failure::user(error.to_string()))?);
    }
    let mut config = session.config().clone();
    config.sets.insert(args.name.to_string(), set.clone());
    session.change(ctx, config)?;
    let known = args.entries.iter().map(|arg| arg.entries.len()).sum::<usize>() - added;
    if known > 0 {
        ctx.output.note(&format!("note: {} there already", count(known, "entry was", "entries were")));
    }
    ctx.output.line(&format!("Added {}: {}", count(added, "entry", "entries"), super::now_has(&set, session.policy())));
    Ok(Exit::Success)
}
