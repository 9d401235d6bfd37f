//! `apply`: makes the kernel hold what the policy says.

use std::io::{self, Read as _};

use crate::cli::args::{ApplyArgs, Input};
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::report;
use crate::cli::session::{Need, Session};
use crate::host::files;
use crate::lint::{self, Finding};
use crate::policy::{DOCUMENT_MAX, Document, Verdict};
use crate::reconcile::Config;
use crate::resolve::Facts;
use crate::ruleset::is_own_set;

/// Runs it. With a file, that file becomes the policy.
pub fn run(ctx: &mut Context, args: ApplyArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    let mut config = session.config.clone();
    if let Some(input) = &args.file {
        config.document = read(input)?;
    }
    if let Some(hook) = args.hook.filter(|hook| config.document.policy().hook != *hook) {
        config.document.set_hook(hook).map_err(|error| Failure::internal(error.to_string()))?;
    }
    check(ctx, &mut session, Some(&config))?;
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

/// Refuses a policy that cannot be believed in, and warns of the rest.
///
/// A rule that was in force may name a container that is away. A rule that is new and names nothing is a slip of the
/// pen, which must not leave open what its author believes is guarded.
pub(super) fn check(ctx: &mut Context, session: &mut Session, config: Option<&Config>) -> Result<(), Failure> {
    let config = config.unwrap_or(&session.config).clone();
    let policy = config.document.policy();
    let state = session.state()?;
    let sets = config.sets.keys().cloned().collect();
    let foreign = state.sets.iter().filter(|(name, _)| !is_own_set(name));
    let ipsets = foreign.map(|(name, set)| (name.clone(), set.shape.family)).collect();
    let facts = Facts { inventory: session.containers()?, sets: &sets, ipsets: &ipsets, now: session.now };
    let names: Vec<String> = config.sets.keys().cloned().collect();
    let known: Vec<String> = session.last_policy().rules.iter().map(crate::policy::Rule::id).collect();
    let mut fatal = Vec::new();
    for finding in lint::findings(policy, &facts) {
        let rule = finding.rule().map(|index| (index, &policy.rules[index]));
        let message = match rule {
            Some((index, rule)) => {
                let line = rule.line.map_or_else(String::new, |line| format!(" (line {line})"));
                format!("rule {}{line}: {}", index + 1, complaint::finding(&finding, &names))
            }
            None => complaint::finding(&finding, &names),
        };
        let refuse = match (&finding, rule) {
            (Finding::NoSet { .. }, _) => true,
            // A deny whose list is gone would let everybody in; an allow just lets nobody in.
            (Finding::NoIpset { .. }, Some((_, rule))) => rule.verdict == Verdict::Deny,
            (Finding::NoTarget { .. }, Some((_, rule))) => !rule.pending && !known.contains(&rule.id()),
            _ => false,
        };
        let expected = matches!(finding, Finding::NoTarget { .. } | Finding::NotPublished { .. })
            && rule.is_some_and(|(_, rule)| rule.pending);
        if refuse {
            fatal.push(message);
        } else if !expected {
            ctx.output.note(&format!("warning: {message}"));
        }
    }
    if fatal.is_empty() {
        return Ok(());
    }
    Err(Failure::user(fatal.join("\n"))
        .hinted("Nothing was changed. For a container that is yet to come, write `pending = true` into its rule"))
}
