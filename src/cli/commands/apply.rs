//! `apply`: makes the kernel hold what the policy says.

use std::io::{self, Read as _};

use crate::cli::args::{ApplyArgs, Input};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::report;
use crate::cli::session::{Need, Session};
use crate::cli::soundness;
use crate::compile::Ground;
use crate::host::files;
use crate::inventory::Engine;
use crate::net::Family;
use crate::policy::{DOCUMENT_MAX, Document, Hook};
use crate::ruleset::{Dump, names};

/// Runs it. With a file, that file becomes the policy.
pub fn run(ctx: &mut Context, args: ApplyArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    let mut config = session.config().clone();
    if let Some(input) = &args.file {
        config.document = read(input)?;
        session.policy_replaced();
    }
    if let Some(hook) = args.hook.filter(|hook| config.document.policy().hook != *hook) {
        config.document.set_hook(hook).map_err(|error| Failure::internal(error.to_string()))?;
    }
    let state = session.state()?;
    if let Some(hook) = args.hook {
        check_hook(ctx, hook, &state, &session.containers()?.engine)?;
    }
    soundness::warn(ctx, &soundness::check(&session, &config, &state)?);
    if args.dry_run {
        return session.show_plan(ctx, &config);
    }
    let applied = session.change(ctx, config)?;
    let rules = report::count(session.policy().rules.len(), "rule", "rules");
    if applied.calls == 0 {
        ctx.output.line(&format!("Nothing to do: {rules} in force."));
    } else {
        ctx.output.line(&format!("Applied: {rules} in force."));
    }
    Ok(Exit::Success)
}

/// Whether there is what was asked for. The default gives way to `FORWARD` without a word wherever nobody typed it; who
/// asks for the engine's own chain by name wants its literal rules, and would not get them.
fn check_hook(ctx: &mut Context, hook: Hook, state: &Dump, engine: &Engine) -> Result<(), Failure> {
    let anywhere = |has: fn(&Ground) -> bool| Family::ALL.iter().any(|family| has(&Ground::of(state, *family)));
    let backend = engine.firewall_backend.as_deref().unwrap_or("iptables");
    let uncalled =
        |chain: &str| format!("FORWARD leads to no chain {chain} here (the engine's firewall backend is {backend})");
    match hook {
        Hook::Docker if !anywhere(|ground| ground.docker) => {
            Err(Failure::user(format!("{}: rules in it would judge no packet", uncalled(names::DOCKER))).hinted(
                format!("Nothing was changed. Hang the rules in FORWARD: {} apply --hook forward", ctx.program),
            ))
        }
        Hook::DockerUser if !anywhere(|ground| ground.docker_user) => {
            ctx.output.note(&format!("note: {}; the rules hang in FORWARD itself", uncalled(names::DOCKER_USER)));
            Ok(())
        }
        Hook::DockerUser | Hook::Docker | Hook::Forward => Ok(()),
    }
}

fn read(input: &Input) -> Result<Document, Failure> {
    let (text, name) = match input {
        Input::File(path) => {
            let text = files::read_limited(path, DOCUMENT_MAX as u64)
                .map_err(|error| Failure::user(error.to_string()))?
                .ok_or_else(|| Failure::user(format!("{} does not exist", path.display())))?;
            (text, path.display().to_string())
        }
        Input::Stdin => {
            let mut text = String::new();
            io::stdin()
                .take(DOCUMENT_MAX as u64 + 1)
                .read_to_string(&mut text)
                .map_err(|error| Failure::user(format!("cannot read standard input: {error}")))?;
            (text, "standard input".to_owned())
        }
    };
    Document::parse(&text).map_err(|error| {
        Failure::user(format!("{name}:\n{error}")).hinted("Nothing was changed; what was in force before still is")
    })
}
