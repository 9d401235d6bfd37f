//! `set rm`.

use crate::cli::args::SetRmArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::session::{Need, Session};

/// Runs it: prints each name that went, complains of each that could not, and goes on.
pub fn run(ctx: &mut Context, args: SetRmArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Nothing)?;
    let mut exit = Exit::Success;
    for name in &args.names {
        match remove(ctx, &mut session, name) {
            Ok(()) => ctx.output.line(name.as_str()),
            Err(failure) => {
                ctx.output.failure(&failure);
                exit = Exit::SomeFailed;
            }
        }
    }
    Ok(exit)
}

fn remove(ctx: &mut Context, session: &mut Session, name: &crate::policy::SetName) -> Result<(), Failure> {
    super::existing(session.config(), name, &ctx.program)?;
    let users = super::users(session.policy(), name);
    if !users.is_empty() {
        let rules: Vec<String> =
            users.iter().map(|number| format!("  {number}  {}", session.policy().rules[number - 1])).collect();
        return Err(Failure::user(format!(
            "the set {name} is in use by {}:\n{}",
            super::rule_list(&users),
            rules.join("\n")
        ))
        .hinted(format!(
            "Remove those first: {} rm {}",
            ctx.program,
            users.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        )));
    }
    let mut config = session.config().clone();
    config.sets.remove(name.as_str());
    session.change(ctx, config).map(drop)
}
