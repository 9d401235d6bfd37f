//! `explain`: whether somebody reaches a container, by every way in, and what decides it.

mod caller;
mod leaks;
mod reason;
mod way;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use caller::{Caller, callers, check};
pub(in crate::cli) use leaks::strangers;
use reason::{Reason, change, reason};
use way::{Way, ways};

use crate::cli::args::ExplainArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::listing::print_objects;
use crate::cli::session::Session;
use crate::cli::text::printable;
use crate::cli::world::World;
use crate::effective::{Answer, Passage};
use crate::net::Family;

/// One way, tried.
#[derive(Clone, Debug)]
struct Trial {
    way: Way,
    passage: Passage,
    reason: Reason,
}

/// Callers that meet the same on every way.
struct Group {
    callers: Vec<Caller>,
    trials: Vec<Trial>,
}

/// Runs it; exits 0 when everybody asked about gets through, 3 when somebody does not, 1 when nobody can tell.
pub fn run(ctx: &mut Context, args: ExplainArgs) -> Result<Exit, Failure> {
    if args.sources.is_empty() {
        return Err(Failure::user("who comes is missing: --from ADDRESS, CIDR, SET or any"));
    }
    let (mut session, whole) = Session::open_and_look(ctx)?;
    let mut world = World::read(&session, whole, args.interface.clone())?;
    let callers = callers(&session, &world, &args.sources)?;
    check(&world, &callers)?;
    let sentences = args.format == Format::Table;
    let (mut answers, mut listed) = (Vec::new(), Vec::new());
    for destination in &args.destinations {
        let found = match ways(&session, &world, destination) {
            Ok(found) => found,
            // One of several that means nothing leaves the others their answers.
            Err(failure) if args.destinations.len() > 1 => {
                ctx.output.failure(&failure);
                answers.push(Answer::Unknown);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        for (port, all) in found {
            way::enter(&mut world, &mut session, &all)?;
            for group in groups(&session, &world, &all, &callers)? {
                answers.push(overall(&group.trials));
                let shown = Shown { ctx, args: &args, world: &world, port: &port, group: &group };
                if sentences {
                    shown.text();
                } else {
                    listed.extend(shown.objects());
                }
            }
        }
    }
    if !sentences {
        print_objects(ctx, args.format, listed)?;
    }
    Ok(match answers.iter().max_by_key(|answer| (**answer == Answer::Unknown, **answer == Answer::Denied)) {
        None | Some(Answer::Unknown) => Exit::SomeFailed,
        Some(Answer::Denied) => Exit::Denied,
        Some(Answer::Allowed) => Exit::Success,
    })
}

/// One open way is enough.
fn overall(trials: &[Trial]) -> Answer {
    let has = |answer| trials.iter().any(|trial| trial.passage.answer == answer);
    if has(Answer::Allowed) {
        Answer::Allowed
    } else if has(Answer::Unknown) {
        Answer::Unknown
    } else {
        Answer::Denied
    }
}

/// Tries every caller on every way of its family; those that meet the same are one group.
fn groups(session: &Session, world: &World, ways: &[Way], callers: &[Caller]) -> Result<Vec<Group>, Failure> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for caller in callers {
        let mut trials = Vec::new();
        for way in ways.iter().filter(|way| way.takes(caller.address)) {
            let passage = way.tried(world, caller.address);
            let reason = reason(session, world, way, caller.address, &passage)?;
            trials.push(Trial { way: way.clone(), passage, reason });
        }
        // Addresses of different families never meet the same ways.
        let mut key = format!("{} {}", caller.source, Family::of(&caller.address));
        for trial in &trials {
            let _ = write!(key, "|{:?} {} {}", trial.way.to, trial.passage.answer, trial.reason.text);
        }
        if !groups.contains_key(&key) {
            order.push(key.clone());
        }
        groups.entry(key).or_insert_with(|| Group { callers: Vec::new(), trials }).callers.push(caller.clone());
    }
    Ok(order.iter().filter_map(|key| groups.remove(key)).collect())
}

/// What is printed of one group.
struct Shown<'a> {
    ctx: &'a mut Context,
    args: &'a ExplainArgs,
    world: &'a World,
    port: &'a str,
    group: &'a Group,
}

impl Shown<'_> {
    /// An object for each way.
    fn objects(self) -> Vec<Value> {
        let Some(first) = self.group.callers.first() else { return Vec::new() };
        let object = |Trial { way, passage, reason }: &Trial| {
            let mut line = json!({
                "Container": way.container, "Port": way.port_text(), "From": first.source,
                "Address": first.address.to_string(), "Addresses": self.group.callers.len().to_string(),
                "Way": way.kind.name(), "To": way.to_text(), "Family": Family::of(&way.to.0).to_string(),
                "Interface": self.world.interface(first.address).unwrap_or_default(),
                "Answer": passage.answer.to_string(), "Because": reason.text,
                "Rule": reason.rule.map(|number| number.to_string()).unwrap_or_default(),
                "Line": reason.line.map(|line| line.to_string()).unwrap_or_default(),
                "Proxy": passage.proxied.to_string(),
                "Change": change(self.world, &self.ctx.program, way, first.address, passage, reason),
            });
            if self.args.verbose {
                line["Path"] = passage.steps.iter().map(ToString::to_string).collect();
            }
            line
        };
        self.group.trials.iter().map(object).collect()
    }

    fn text(self) {
        let Self { ctx, args, world, port, group } = self;
        let Some(first) = group.callers.first() else { return };
        let who = match group.callers.len() {
            1 if first.address.to_string() == first.source => first.source.clone(),
            1 => format!("{} ({})", first.source, first.address),
            count => format!("{} ({count} addresses tried, such as {})", first.source, first.address),
        };
        let over = world.interface(first.address).map_or_else(String::new, |name| format!(", over {name}"));
        if group.trials.is_empty() {
            ctx.output
                .line(&format!("{who} -> {port}: denied: no way leads there over {}", Family::of(&first.address)));
            return;
        }
        ctx.output.line(&format!("{}{over} -> {}: {}", printable(&who), printable(port), overall(&group.trials)));
        let mut told: Vec<String> = Vec::new();
        for trial in &group.trials {
            let same = |other: &&Trial| {
                (other.way.kind, other.passage.answer, &other.reason.text)
                    == (trial.way.kind, trial.passage.answer, &trial.reason.text)
            };
            let places: Vec<String> = group.trials.iter().filter(same).map(|other| other.way.to_text()).collect();
            let line = format!(
                "  {} {}{}: {}: {}",
                trial.way.kind.name(),
                places.join(", "),
                if trial.passage.proxied { " (docker-proxy)" } else { "" },
                trial.passage.answer,
                trial.reason.text
            );
            if told.contains(&line) {
                continue;
            }
            ctx.output.line(&printable(&line));
            told.push(line);
            if args.verbose {
                for each in &trial.passage.steps {
                    ctx.output.line(&format!("      {}", printable(&each.to_string())));
                }
            }
            let change = change(world, &ctx.program, &trial.way, first.address, &trial.passage, &trial.reason);
            if !change.is_empty() {
                ctx.output.line(&format!("    -> {}", printable(&change)));
            }
        }
    }
}
