//! `allow` and `deny`: a new rule, put where it belongs.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cli::args::RuleArgs;
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::listening;
use crate::cli::report;
use crate::cli::session::{Need, Session};
use crate::cli::soundness;
use crate::cli::text::printable;
use crate::host::interfaces::HostInterfaces;
use crate::inventory::{Found, Inventory};
use crate::lint::Finding;
use crate::policy::{Policy, Rule, RuleSource, Target, Verdict, nearest};
use crate::reconcile::Config;
use crate::ruleset::Dump;

/// Runs it.
pub fn run(ctx: &mut Context, args: RuleArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    for source in &args.sources {
        if let Some(block) = source.normalised {
            ctx.output.note(&format!("note: {} has host bits set: it means {block}", printable(&source.text)));
        }
    }
    let rule = rule_of(args.clone(), &session, &ctx.program)?;
    let mut config = session.config().clone();
    let rules = &session.policy().rules;
    if let Some(known) = rules.iter().position(|known| known.id() == rule.id()) {
        let known = (known, rules[known].clone());
        return again(ctx, &mut session, known, &args);
    }
    known_interface(&rule)?;
    let index = place(&rule, session.policy(), args.before)?;
    config.document.insert(index, &rule).map_err(|error| Failure::internal(error.to_string()))?;

    if rule.log {
        session.require_log(config.document.policy())?;
    }
    let state = session.state()?;
    let warnings = judge(ctx, &session, &config, index, &state)?;
    if args.dry_run {
        soundness::warn(ctx, &warnings);
        return session.show_plan(ctx, &config);
    }
    session.change(ctx, config)?;
    report::now_true(ctx, &session, &[&rule], &[index + 1]);
    soundness::warn(ctx, &warnings);
    Ok(Exit::Success)
}

/// The rule exists: whatever was missing in the kernel is put right, and nothing is written twice. Whether it logs is no part
/// of what it says, and changes.
fn again(ctx: &mut Context, session: &mut Session, known: (usize, Rule), args: &RuleArgs) -> Result<Exit, Failure> {
    let (index, rule) = known;
    let mut config = session.config().clone();
    let log = args.log.filter(|log| *log != rule.log);
    if let Some(log) = log {
        config.document.set_rule_log(index, log).map_err(|error| Failure::internal(error.to_string()))?;
        if log {
            session.require_log(config.document.policy())?;
        }
    }
    if args.dry_run {
        return session.show_plan(ctx, &config);
    }
    session.change(ctx, config)?;
    let number = index + 1;
    ctx.output.note(&match log {
        None => format!("note: rule {number} says this already"),
        Some(true) => format!("note: rule {number} says this already; whom it denies is written down from now on"),
        Some(false) => format!("note: rule {number} says this already; whom it denies is written down no more"),
    });
    report::now_true(ctx, session, &[&rule], &[index + 1]);
    Ok(Exit::Success)
}

fn rule_of(args: RuleArgs, session: &Session, program: &str) -> Result<Rule, Failure> {
    let inventory = session.containers()?;
    let mut targets = Vec::new();
    for target in args.targets {
        let target = match target {
            Target::Container(name) => named(&name, inventory, args.pending, program)?,
            other => other,
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut sources: Vec<RuleSource> = Vec::new();
    for source in args.sources.into_iter().map(|source| source.source) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let expires = match (args.lifetime, args.until) {
        (Some(_), Some(_)) => return Err(Failure::usage("--for and --until both say when the rule ends: give one")),
        (Some(lifetime), None) => Some(expiry(session.now, lifetime)?),
        (None, Some(until)) if until <= session.now => {
            return Err(Failure::usage(format!("--until {until} is past: it is {:.0} now", session.now)));
        }
        (None, until) => until,
    };
    Ok(Rule {
        verdict: args.verdict,
        targets,
        ports: args.ports,
        sources,
        interface: args.interface,
        expires,
        comment: args.comment,
        pending: args.pending,
        log: args.log.unwrap_or(false),
        line: None,
    })
}

/// The moment a lifetime ends, cut to whole seconds.
pub(super) fn expiry(now: Timestamp, lifetime: Duration) -> Result<Timestamp, Failure> {
    let too_long = || Failure::usage("--for is too long: no clock goes that far");
    let lifetime = SignedDuration::try_from(lifetime).map_err(|_| too_long())?;
    let end = now.checked_add(lifetime).map_err(|_| too_long())?;
    Timestamp::from_second(end.as_second()).map_err(|_| too_long())
}

/// A container by name; an ID is stored as the name it has, for IDs change with every recreation.
fn named(name: &str, inventory: &Inventory, pending: bool, program: &str) -> Result<Target, Failure> {
    match inventory.find(name) {
        Found::One(container) => Ok(Target::Container(container.name.clone())),
        Found::None if pending => Ok(Target::Container(name.to_owned())),
        Found::Ambiguous(several) => {
            let names: Vec<&str> = several.iter().map(|container| container.name.as_str()).collect();
            Err(Failure::user(format!("the ID {name} is the beginning of several: {}", names.join(", ")))
                .hinted("Name the container instead"))
        }
        Found::None => {
            let names = || inventory.containers.iter().map(|container| container.name.as_str());
            let near = nearest(name, names()).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            Err(Failure::user(format!("no container is named {}{near}", printable(name)))
                .hinted("`docker ps -a` lists containers; for one that is yet to come, add --pending")
                .hinted(format!("Nothing was changed. `{program} ls` shows what is reachable now")))
        }
    }
}

/// Refuses an interface that the host does not have: a slip there would leave a deny without effect.
fn known_interface(rule: &Rule) -> Result<(), Failure> {
    let Some(name) = rule.interface.as_ref().filter(|_| !rule.pending) else { return Ok(()) };
    let host = HostInterfaces::read().map_err(|error| Failure::environment(error.to_string()))?;
    if host.names.contains(name) {
        return Ok(());
    }
    let near = nearest(name, host.names.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(Failure::user(format!("this host has no interface {}{near}", printable(name)))
        .hinted("Nothing was changed. `ip -brief link` lists them; for one that is yet to come, add --pending"))
}

/// Where the rule goes: denies after the denies, before the allows; allows last; `--before` overrides. From 0.
fn place(rule: &Rule, policy: &Policy, before: Option<usize>) -> Result<usize, Failure> {
    let rules = &policy.rules;
    if let Some(before) = before {
        return if before <= rules.len() {
            Ok(before - 1)
        } else {
            let rules = report::count(rules.len(), "rule", "rules");
            Err(Failure::user(format!("there is no rule {before} to put it before: the policy has {rules}")))
        };
    }
    Ok(match rule.verdict {
        Verdict::Allow => rules.len(),
        // The first allow after the last leading deny; with allows in front the deny still has to bite.
        Verdict::Deny => rules.iter().position(|rule| rule.verdict == Verdict::Allow).unwrap_or(rules.len()),
    })
}

/// Refuses a rule that means nothing or could not hold; answers what is worth a warning.
fn judge(
    ctx: &Context,
    session: &Session,
    config: &Config,
    index: usize,
    state: &Dump,
) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = session.config().sets.keys().cloned().collect();
    let rule = &config.document.policy().rules[index];
    let (mut fatal, mut warnings) = (Vec::new(), Vec::new());
    for finding in soundness::findings(session, config, state)? {
        match finding.rule() {
            Some(about) if about == index => {
                // A rule for many may pass over some that cannot be guarded, if it says so.
                let many = rule.targets.iter().all(|target| !matches!(target, Target::Container(_)));
                let spared = many && matches!(finding, Finding::NotForwarded { .. });
                let expected =
                    rule.pending && matches!(finding, Finding::NoTarget { .. } | Finding::NotPublished { .. });
                if complaint::is_fatal(&finding, rule.pending) && !spared {
                    fatal.push(finding);
                } else if !expected {
                    warnings.push(complaint::finding(&finding, &names));
                }
            }
            // The new rule takes everything from one that was there before.
            Some(about) if matches!(finding, Finding::NeverMatches { because, .. } if because == index) => {
                warnings.push(format!("rule {} can no longer match: this one always decides first", about + 1));
            }
            _ => {}
        }
    }
    let Some(first) = fatal.first() else {
        warnings.extend(listening::check(session.containers()?, rule)?);
        return Ok(warnings);
    };
    let mut failure =
        Failure::user(fatal.iter().map(|finding| complaint::finding(finding, &names)).collect::<Vec<_>>().join("\n"));
    // The command that would do, for those who meant this one.
    match first {
        Finding::HostNetwork { container, .. } => {
            for line in listening::of_container(session.containers()?, container, rule, &ctx.program) {
                failure = failure.hinted(line);
            }
        }
        Finding::SharesNetwork { owner, known: true, .. } => {
            let instead = Rule { targets: vec![Target::Container(owner.clone())], ..rule.clone() };
            failure = failure.hinted(format!("Name {owner} instead: {} {instead}", ctx.program));
        }
        _ => {}
    }
    if let Some(hint) = complaint::hint(first, &ctx.program) {
        failure = failure.hinted(hint);
    }
    Err(failure)
}
