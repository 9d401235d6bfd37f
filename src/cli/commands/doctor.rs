//! `doctor`: what could be wrong, check by check, each with its way out.

mod look;

use serde_json::{Value, json};

use crate::cli::args::DoctorArgs;
use crate::cli::commands::explain::strangers;
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::listing::print_objects;
use crate::cli::offline;
use crate::cli::session::{Need, Session};
use crate::cli::soundness;
use crate::cli::text::printable;
use crate::doctor::{self, Check, Evidence, Health, Surroundings};
use crate::lint::Finding;
use crate::ruleset::Dump;

/// What calms somebody who wanted to change something, and is no way out.
const CALM: &str = "Nothing was changed; what was in force before still is";

/// Runs it; exits 1 when something is not safe.
pub fn run(ctx: &mut Context, args: DoctorArgs) -> Result<Exit, Failure> {
    let config = offline::config(ctx);
    let host = look::around(ctx, config.as_ref().ok());
    let mut checks = match (config, Session::is_privileged()) {
        (Err(failure), true) => {
            let mut checks = vec![failed(Check::not_safe("policy", failure.message.clone()), &failure)];
            checks.extend(doctor::without_kernel(None, &host));
            checks
        }
        (Ok(_), true) => with_privileges(ctx, &host)?,
        (config, false) => without(ctx, &host, config.err()),
    };
    checks.extend(doctor::around(&host));
    print(ctx, args.format, &checks)?;
    let worst = checks.iter().map(|check| check.health).max();
    Ok(if worst == Some(Health::Unsafe) { Exit::SomeFailed } else { Exit::Success })
}

/// What a failure says has to be done, as the way out of a check.
fn failed(check: Check, failure: &Failure) -> Check {
    let way = |hint: &'_ String| hint.trim_start_matches(CALM).trim_start_matches(". ").to_owned();
    let ways: Vec<String> = failure.hints.iter().map(way).filter(|way| !way.is_empty()).collect();
    if ways.is_empty() { check } else { check.fixed_by(ways.join("; ")) }
}

/// What stops every other command is what this one is for.
fn with_privileges(ctx: &mut Context, host: &Surroundings) -> Result<Vec<Check>, Failure> {
    match Session::open(ctx, Need::Engine) {
        Ok(mut session) => examined(ctx, &mut session, host),
        Err(failure) => {
            let mut checks = vec![failed(Check::not_safe("engine", failure.message.clone()), &failure)];
            checks.extend(doctor::without_kernel(None, host));
            Ok(checks)
        }
    }
}

/// What anybody may see.
fn without(ctx: &mut Context, host: &Surroundings, no_policy: Option<Failure>) -> Vec<Check> {
    let mut checks = vec![doctor::without_privileges(&ctx.program)];
    if let Some(failure) = no_policy {
        checks.push(failed(Check::unknown("policy", failure.message.clone()), &failure));
        checks.push(Check::unknown("engine", "it was not asked, for want of a policy that can be read"));
        checks.extend(doctor::without_kernel(None, host));
        return checks;
    }
    match Session::look(ctx, Need::Engine) {
        Ok(session) => checks.extend(doctor::without_kernel(session.inventory.as_ref(), host)),
        Err(failure) => {
            checks.push(failed(Check::unknown("engine", failure.message.clone()), &failure));
            checks.extend(doctor::without_kernel(None, host));
        }
    }
    checks
}

fn examined(ctx: &Context, session: &mut Session, host: &Surroundings) -> Result<Vec<Check>, Failure> {
    let state = match session.state() {
        Ok(state) => state,
        // Nothing of the rules can be told without it.
        Err(failure) => {
            let mut checks = doctor::without_kernel(session.inventory.as_ref(), host);
            checks.push(failed(Check::not_safe("kernel", failure.message.clone()), &failure));
            return Ok(checks);
        }
    };
    let config = session.config().clone();
    let desired = session.desired(&config, &state);
    let changes = session.differing(&config, &state, &desired);
    let mut checks = doctor::examine(&Evidence {
        policy: config.document.policy(),
        inventory: session.containers()?,
        state: &state,
        desired: &desired,
        changes: &changes,
        filters: &session.filters(),
        host,
    });
    checks.extend(rules(ctx, session, &state)?);
    match strangers(session) {
        Ok(found) => checks.extend(doctor::reach(&found, &ctx.program)),
        Err(failure) => {
            let text = format!("whether strangers get in could not be looked at: {}", failure.message);
            checks.push(failed(Check::unknown("reach", text), &failure));
        }
    }
    Ok(checks)
}

/// What the rules say that the world does not bear out.
fn rules(ctx: &Context, session: &Session, state: &Dump) -> Result<Vec<Check>, Failure> {
    let config = session.config();
    let names: Vec<String> = config.sets.keys().cloned().collect();
    let mut checks = Vec::new();
    let findings = soundness::findings(session, config, state)?.into_iter();
    for finding in findings.filter(|finding| !soundness::is_expected(finding, config.document.policy())) {
        let text = complaint::finding(&finding, &names);
        let text = finding.rule().map_or(text.clone(), |index| format!("rule {}: {text}", index + 1));
        let check = Check::warning("rules", text);
        checks.push(match complaint::hint(&finding, &ctx.program) {
            Some(hint) => check.fixed_by(hint.replace('\n', "; ")),
            None => match finding {
                Finding::NeverMatches { rule, .. } => check.fixed_by(format!("{} rm {}", ctx.program, rule + 1)),
                _ => check,
            },
        });
    }
    if checks.is_empty() {
        checks.push(Check::good("rules", "every rule means something and can match"));
    }
    Ok(checks)
}

/// Room for the names of checks.
const NAME: usize = 12;

/// A sentence a check with its way out; any other format is that of a list.
fn print(ctx: &mut Context, format: Option<Format>, checks: &[Check]) -> Result<(), Failure> {
    if let Some(format) = format.filter(|format| *format != Format::Table) {
        return print_objects(ctx, format, checks.iter().map(object).collect());
    }
    for Check { name, health, text, fix } in checks {
        ctx.output.line(&format!("{health:<7} {name:<NAME$} {}", printable(text)));
        if let Some(fix) = fix {
            ctx.output.line(&format!("{:1$} -> {2}", "", NAME + 8, printable(fix)));
        }
    }
    Ok(())
}

fn object(check: &Check) -> Value {
    let fix = check.fix.as_deref().unwrap_or_default();
    json!({ "Check": check.name, "Health": check.health.to_string(), "Text": check.text, "Fix": fix })
}
