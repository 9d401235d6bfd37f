//! `status`: what is in force, in a few lines.

use std::fmt::Write as _;

use serde_json::json;

use crate::access::{beyond_reach, is_guarded};
use crate::cli::agent::Record;
use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::listing::print_objects;
use crate::cli::offline;
use crate::cli::report::count;
use crate::cli::session::{Need, Session};
use crate::cli::text::printable;
use crate::inventory::NetworkMode;
use crate::net::Family;
use crate::policy::Unseen;
use crate::resolve::{Following, Proof};
use crate::ruleset::{Dump, Table, is_own_rule};

/// Runs it; exits 1 when the kernel does not hold what the policy says.
pub fn run(ctx: &mut Context, args: StatusArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    let state = session.state()?;
    let config = session.config().clone();
    let changes = session.differences(&config)?.len();
    let policy = session.policy();
    let inventory = session.containers()?;
    let running = inventory.containers.iter().filter(|container| container.running);
    let guarded = running
        .clone()
        .filter(|container| is_guarded(policy, inventory, container) && beyond_reach(inventory, container).is_none())
        .count();
    let in_part = running
        .clone()
        .filter(|container| container.mode == NetworkMode::Host && is_guarded(policy, inventory, container))
        .count();
    let agent = Record::of_running(&offline::paths(ctx));
    let third_line = third_line(agent.as_ref(), session.proof);
    let hooks = hooks(&state);
    let (flavour, reason) = session.capabilities().map_or_else(
        || ("unknown".to_owned(), String::new()),
        |known| (known.flavour.kind.name().to_owned(), known.flavour.reason.clone()),
    );
    let without_backstop: Vec<String> = Family::ALL
        .into_iter()
        .filter(|family| !state.tables.contains_key(&(*family, Table::Security)))
        .map(|family| family.to_string())
        .collect();
    let backend = inventory.engine.firewall_backend.clone().unwrap_or_else(|| "iptables".to_owned());
    let fields = || {
        json!({
            "Engine": inventory.engine.version, "Api": inventory.engine.api, "Backend": backend,
            "Flavour": flavour, "Default": policy.default.name(), "Hook": policy.hook.name(),
            "Hooks": hooks, "Rules": policy.rules.len().to_string(), "Sets": config.sets.len().to_string(),
            "Guarded": guarded.to_string(), "GuardedInPart": in_part.to_string(),
            "Running": running.clone().count().to_string(), "InForce": (changes == 0).to_string(),
            "Changes": changes.to_string(), "WithoutBackstop": without_backstop,
            "ThirdLine": third_line, "Unseen": policy.unseen.name(), "Agent": agent,
        })
    };
    if let Some(format) = args.format.filter(|format| *format != Format::Table) {
        print_objects(ctx, format, vec![fields()])?;
    } else {
        let in_force = if changes == 0 {
            "yes".to_owned()
        } else {
            format!(
                "NO: the kernel differs in {}; `{} plan` shows the difference, `{} apply` mends it",
                count(changes, "line", "lines"),
                ctx.program,
                ctx.program
            )
        };
        let in_part = match in_part {
            0 => String::new(),
            some => format!(", and {some} on the host's network on the ports that rules name"),
        };
        let of = count(running.count(), "running container", "running containers");
        let guarded_of = format!("{guarded} of {of}{in_part}");
        let hooked = if hooks.is_empty() { "nowhere".to_owned() } else { hooks.join(", ") };
        let missing = if without_backstop.is_empty() {
            "security table, both families".to_owned()
        } else {
            format!("MISSING for {}: this kernel has no security table there", without_backstop.join(" and "))
        };
        for (name, value) in [
            ("In force", in_force),
            ("Rules", policy.rules.len().to_string()),
            ("Sets", config.sets.len().to_string()),
            ("Default", policy.default.to_string()),
            ("Guarded", guarded_of),
            ("Unseen", unseen(policy.unseen, session.following)),
            ("Agent", agent.as_ref().map_or_else(|| "not running".to_owned(), account)),
            ("Hook", policy.hook.to_string()),
            ("Called from", hooked),
            ("Backstop", missing),
            ("Third line", third_line.clone()),
            ("iptables", format!("{flavour} ({reason})")),
            (
                "Engine",
                format!("{} (API {}, firewall backend {backend})", inventory.engine.version, inventory.engine.api),
            ),
        ] {
            ctx.output.line(&format!("{:<13}{value}", format!("{name}:")));
        }
    }
    Ok(if changes == 0 { Exit::Success } else { Exit::SomeFailed })
}

/// What stands while both of ours are gone.
fn third_line(agent: Option<&Record>, proof: Proof) -> String {
    match (agent, proof) {
        (None, _) => "none: an agent holds it, and none runs".to_owned(),
        (Some(_), Proof::Asked) => "up: nftables table inet docker-firewall, held by the agent".to_owned(),
        (Some(Record { third_line: Some(why), .. }), _) => format!("NONE: {}", printable(why)),
        (Some(_), _) => "down: no rule is in force".to_owned(),
    }
}

/// What becomes of addresses that nobody has looked at yet.
fn unseen(policy: Unseen, following: Following) -> String {
    match following {
        Following::Nobody => "open: no agent follows the containers".to_owned(),
        Following::Agent | Following::Blind => format!("{} until the agent has seen them", policy.name()),
    }
}

/// What the agent tells of itself, in one line.
fn account(record: &Record) -> String {
    let mut text = format!("running (process {})", record.pid);
    if let Some(failure) = &record.failure {
        let _ = write!(text, ", FAILING: {failure}");
    } else if !record.connected {
        text.push_str(", without an engine");
    }
    if let (Some(half), Some(most)) = (record.reaction(0.5), record.reaction(0.99)) {
        let times = count(record.reactions_ms.len(), "event", "events");
        let _ = write!(text, "; the last {times} in force after {half:.0} ms, p99 {most:.0} ms");
    }
    if let Some(last) = record.repaired.back() {
        let _ = write!(text, "; {}, last {}: {}", count_of(record.repairs), last.at, last.cause);
    }
    printable(&text).into_owned()
}

fn count_of(repairs: u64) -> String {
    count(usize::try_from(repairs).unwrap_or(usize::MAX), "repair", "repairs")
}

/// The places from which our chains are called now: `IPv4 filter/DOCKER-USER 1`.
fn hooks(state: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    for ((family, table), dump) in &state.tables {
        for (name, chain) in &dump.chains {
            let own = chain.lines.iter().position(|line| line.rule.as_ref().is_some_and(is_own_rule));
            if let Some(position) = own.filter(|_| !crate::ruleset::is_own_chain(name)) {
                found.push(format!("{family} {table}/{name} {}", position + 1));
            }
        }
    }
    found
}
