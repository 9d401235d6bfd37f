//! `doctor`: what could be wrong, check by check, each with its way out.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::agent::Record;
use crate::cli::args::DoctorArgs;
use crate::cli::commands::explain::{Leaks, leaks};
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::listing::print_objects;
use crate::cli::offline;
use crate::cli::report::count;
use crate::cli::session::{Need, Session};
use crate::cli::soundness;
use crate::cli::text::printable;
use crate::doctor::{Check, Evidence, Health, examine};
use crate::host::firewalls::{self, Firewall};
use crate::host::systemd::AGENT;
use crate::resolve::Proof;

/// What calms somebody who wanted to change something, and is no way out.
const CALM: &str = "Nothing was changed; what was in force before still is";

/// Runs it; exits 1 when something is not safe.
pub fn run(ctx: &mut Context, args: DoctorArgs) -> Result<Exit, Failure> {
    let checks = match Session::open(ctx, Need::Engine) {
        Ok(mut session) => checks(ctx, &mut session)?,
        // What stops every other command is what this one is for.
        Err(failure) => vec![failed(Check::not_safe("engine", failure.message.clone()), &failure)],
    };
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

fn checks(ctx: &Context, session: &mut Session) -> Result<Vec<Check>, Failure> {
    let mut checks = of_engine(session)?;
    let state = match session.state() {
        Ok(state) => state,
        // Nothing that follows can be told without it.
        Err(failure) => {
            checks.push(failed(Check::not_safe("kernel", failure.message.clone()), &failure));
            return Ok(checks);
        }
    };
    let config = session.config().clone();
    let desired = session.desired(&config, &state);
    let changes = session.differing(&config, &state, &desired);
    let inventory = session.containers()?;
    if let Some(known) = session.capabilities() {
        let (kind, reason) = (known.flavour.kind, &known.flavour.reason);
        checks.push(if known.flavour.mixed {
            Check::note("flavour", format!("both kinds of iptables hold Docker's chains; ours are in {kind}: {reason}"))
                .fixed_by("reboot, so that only one kind holds rules")
        } else {
            Check::good("flavour", format!("{kind}: {reason}"))
        });
    }
    let policy = config.document.policy();
    checks.extend(examine(&Evidence {
        policy,
        inventory,
        state: &state,
        desired: &desired,
        changes: &changes,
        missed: session.dropped_by_the_backstop(),
        program: &ctx.program,
    }));
    checks.extend(reach(ctx, leaks(session)));
    checks.push(agent(ctx, session));
    checks.extend(third_line(ctx, session));
    checks.extend(firewalls(ctx, session));
    checks.extend(rules(ctx, session, &state)?);
    Ok(checks)
}

/// Which engine it is, and whether its packets pass through here. One that lives elsewhere has been refused before.
fn of_engine(session: &Session) -> Result<Vec<Check>, Failure> {
    let engine = &session.containers()?.engine;
    let about = format!("Docker {} (API {}), on this host", engine.version, engine.api);
    let namespace = match engine.shares_namespace {
        Some(true) => Check::good("namespace", "the engine's socket is held in this network namespace"),
        _ => Check::unknown(
            "namespace",
            "who holds the engine's socket cannot be seen, so that only its bridges show that it is in this network \
             namespace",
        )
        .fixed_by("docker network inspect bridge, and ip link: the bridge has to be there"),
    };
    Ok(vec![Check::good("engine", about), namespace])
}

/// Whether strangers get into a guarded container past everybody's rules, as the kernel holds them.
fn reach(ctx: &Context, found: Result<Leaks, Failure>) -> Vec<Check> {
    let leaks = match found {
        Ok(leaks) => leaks,
        Err(failure) => {
            let text = format!("whether strangers get in could not be looked at: {}", failure.message);
            return vec![failed(Check::unknown("reach", text), &failure)];
        }
    };
    let program = &ctx.program;
    let open = |way: &String| {
        Check::not_safe("reach", format!("a stranger gets into {way}"))
            .fixed_by(format!("{program} apply    (`{program} plan` shows what differs)"))
    };
    let mut checks: Vec<Check> = leaks.open.iter().map(open).collect();
    if let Some(first) = leaks.unknown.first() {
        let (count, tried) = (leaks.unknown.len(), leaks.tried);
        let text = format!("nobody can tell whether a stranger gets in in {count} of {tried} trials; such as {first}");
        checks.push(
            Check::unknown("reach", text)
                .fixed_by(format!("{program} explain TARGET --from ADDRESS --verbose shows the way there")),
        );
    }
    if checks.is_empty() {
        checks.push(match (leaks.guarded, leaks.tried) {
            (0, _) => Check::good("reach", "no guarded container that runs publishes a port"),
            (_, 0) => Check::unknown("reach", "no route leads to anybody outside who could be sent over the ways in")
                .fixed_by("ip route, once the network is up"),
            (_, tried) => {
                let trials = count(tried, "trial", "trials");
                let text = format!(
                    "strangers sent to published ports of guarded containers do not get in: {trials}, by all tables"
                );
                Check::good("reach", text)
            }
        });
    }
    checks
}

/// Whether somebody keeps the rules true.
fn agent(ctx: &Context, session: &Session) -> Check {
    let paths = offline::paths(ctx);
    let start = format!("systemctl start {AGENT}");
    match Record::of_running(&paths) {
        Some(Record { failure: Some(failure), .. }) => {
            Check::not_safe("agent", format!("it runs, and its last pass failed: {failure}"))
                .fixed_by(format!("journalctl -u {AGENT}"))
        }
        Some(record) if !record.connected => Check::note("agent", "it runs, and the engine did not answer it last"),
        Some(record) => Check::good("agent", format!("it runs (process {})", record.pid)),
        None if paths.agent_installed_file().exists() => {
            Check::not_safe("agent", "it is installed and does not run: containers that start are closed and stay so")
                .fixed_by(start)
        }
        None if session.policy().rules.is_empty() => Check::good("agent", "none runs, and there is no rule to keep"),
        None => Check::note(
            "agent",
            "none runs: containers that start or restart have no rules until `apply`, and after a reboot none has any",
        )
        .fixed_by(format!("{} service install", ctx.program)),
    }
}

/// Whether anything stands while both of our lines are gone. Without an agent nothing can, which is the agent's check.
fn third_line(ctx: &Context, session: &Session) -> Option<Check> {
    let record = Record::of_running(&offline::paths(ctx))?;
    let text = match (session.proof, record.third_line) {
        (Proof::Asked, _) => {
            let text = "the agent holds one: whoever takes away the other two lets nobody in until they are back";
            return Some(Check::good("third-line", text));
        }
        (_, Some(why)) => {
            format!("there is none: {why}. Whoever takes away both of ours lets strangers in until they are back")
        }
        (_, None) => return Some(Check::good("third-line", "down, for no rule is in force")),
    };
    Some(Check::note("third-line", text).fixed_by(format!(
        "apt-get install nftables (Debian, Ubuntu) or dnf install nftables (Fedora), then systemctl reload {AGENT}; the kernel \
         has to be 5.12 or later"
    )))
}

/// Who else writes rules on this host, and what that does to ours.
fn firewalls(ctx: &Context, session: &Session) -> Vec<Check> {
    let found = firewalls::found(Path::new("/"));
    if found.is_empty() {
        return vec![Check::good("firewalls", "no other firewall is set up here")];
    }
    let follows = Record::of_running(&offline::paths(ctx)).is_some();
    let mended = match session.proof {
        Proof::Asked => "the agent writes ours again, and its third line stands meanwhile",
        _ if follows => "the agent writes ours again",
        _ => "nobody writes ours again until `apply`",
    };
    let install = format!("{} service install", ctx.program);
    let check = |firewall: &Firewall| {
        let (does, fix) = match firewall {
            Firewall::Ufw => {
                ("ufw is enabled: `ufw enable` and `ufw reload` write the chains anew that call ours", None)
            }
            Firewall::Firewalld => {
                ("firewalld runs: `firewall-cmd --reload` and its restart may flush every chain", None)
            }
            Firewall::Nftables => (
                "nftables.service begins with `flush ruleset`: its start and reload take away both of our lines at once",
                Some("in /etc/nftables.conf, put `flush table inet filter` for `flush ruleset`"),
            ),
            Firewall::Persistent => {
                ("saved rules in /etc/iptables replace whole tables when netfilter-persistent starts or reloads", None)
            }
        };
        let check = Check::note("firewalls", format!("{does}; {mended}"));
        match fix {
            Some(fix) => check.fixed_by(fix),
            None if !follows => check.fixed_by(install.clone()),
            None => check,
        }
    };
    found.iter().map(check).collect()
}

/// What the rules say that the world does not bear out.
fn rules(ctx: &Context, session: &Session, state: &crate::ruleset::Dump) -> Result<Vec<Check>, Failure> {
    let config = session.config();
    let names: Vec<String> = config.sets.keys().cloned().collect();
    let mut checks = Vec::new();
    for finding in soundness::findings(session, config, state)? {
        let text = complaint::finding(&finding, &names);
        let text = finding.rule().map_or(text.clone(), |index| format!("rule {}: {text}", index + 1));
        let check = Check::note("rules", text);
        checks.push(match complaint::hint(&finding, &ctx.program) {
            Some(hint) => check.fixed_by(hint.replace('\n', "; ")),
            None => check,
        });
    }
    if checks.is_empty() {
        checks.push(Check::good("rules", "every rule means something and can match"));
    }
    Ok(checks)
}

/// A sentence a check with its way out; any other format is that of a list.
fn print(ctx: &mut Context, format: Option<Format>, checks: &[Check]) -> Result<(), Failure> {
    if let Some(format) = format.filter(|format| *format != Format::Table) {
        return print_objects(ctx, format, checks.iter().map(object).collect());
    }
    for Check { name, health, text, fix } in checks {
        ctx.output.line(&format!("{health:<7} {name:<10} {}", printable(text)));
        if let Some(fix) = fix {
            ctx.output.line(&format!("{:18} -> {}", "", printable(fix)));
        }
    }
    Ok(())
}

fn object(check: &Check) -> Value {
    let fix = check.fix.as_deref().unwrap_or_default();
    json!({ "Check": check.name, "Health": check.health.to_string(), "Text": check.text, "Fix": fix })
}
