//! What decided, in words, and the command that would change it.

use std::net::IpAddr;

use super::way::{Kind, Way};
use crate::access::{is_guarded, rules_of};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::world::World;
use crate::effective::{Answer, Cause, Link, Lookup, Passage, Place, Segment};
use crate::inventory::{Container, NetworkMode};
use crate::net::Family;
use crate::policy::{Rule, RuleSource, Verdict};
use crate::resolve::named_ports;
use crate::ruleset::{SetDirection, is_own_chain, names};

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) text: String,
    /// The rule of the policy, by its number.
    pub(super) rule: Option<usize>,
    /// The line of the policy file where it begins.
    pub(super) line: Option<usize>,
    /// The kernel does not do what the policy says.
    pub(super) differs: bool,
    /// The rules have no say.
    beyond: bool,
}

/// What the policy says of one packet.
struct Reading<'a> {
    deciding: Option<(usize, &'a Rule)>,
    guarded: bool,
    /// Numbers of the rules that guard.
    guards: Vec<usize>,
}

/// Puts what decided into words; our own chains are told by the policy's rules.
pub(super) fn reason(
    session: &Session,
    world: &World,
    way: &Way,
    from: IpAddr,
    passage: &Passage,
) -> Result<Reason, Failure> {
    let container = session.containers()?.container(&way.owner);
    let plain = |text: String| Reason { text, rule: None, line: None, differs: false, beyond: false };
    let Some(container) = container else { return Ok(plain("the container is gone".to_owned())) };
    let reading = read(session, world, container, way, from)?;
    let own = matches!(&passage.cause, Cause::Rule(place) if is_own(place));
    if passage.answer == Answer::Unknown || passage.answer == Answer::Denied && !own {
        return Ok(plain(passage.cause.to_string()));
    }
    let allowed = passage.answer == Answer::Allowed;
    if allowed && world.is_inside(from) {
        let text = format!("{from} is on a network of the engine, which rules do not judge; {}", passage.cause);
        return Ok(Reason { beyond: true, ..plain(text) });
    }
    let by = |(number, rule): (usize, &Rule)| {
        let line = rule.line.map_or_else(String::new, |line| format!(" (line {line} of the policy)"));
        Reason {
            text: format!("rule {number}: {rule}{line}"),
            rule: Some(number),
            line: rule.line,
            differs: false,
            beyond: false,
        }
    };
    let name = &container.name;
    Ok(match reading.deciding {
        Some(found) if (found.1.verdict == Verdict::Allow) == allowed => by(found),
        Some(found) => {
            let text = format!("{}; but the policy says {}", passage.cause, by(found).text);
            Reason { text, differs: true, ..by(found) }
        }
        None if reading.guarded != allowed => plain(if allowed {
            format!("no rule speaks of this; past our rules, {}", passage.cause)
        } else if reading.guards.is_empty() {
            format!("no rule allows it, and the default is closed for {name}")
        } else {
            let numbers: Vec<String> = reading.guards.iter().map(ToString::to_string).collect();
            format!("no rule allows it, and {name} is guarded by rule {}", numbers.join(", "))
        }),
        None => {
            let says = if reading.guarded { "the policy allows nobody else" } else { "no rule of the policy says so" };
            Reason { differs: true, ..plain(format!("{}; but {says}", passage.cause)) }
        }
    })
}

fn is_own(place: &Place) -> bool {
    is_own_chain(&place.chain) || place.text.contains(&format!("--comment {}", names::MARK))
}

/// The first rule that matches decides; sets are the kernel's.
fn read<'a>(
    session: &'a Session,
    world: &World,
    container: &Container,
    way: &Way,
    from: IpAddr,
) -> Result<Reading<'a>, Failure> {
    let (policy, inventory) = (session.policy(), session.containers()?);
    let on_host = container.mode == NetworkMode::Host;
    let published = if on_host { Some(way.port.1) } else { way.published.filter(|_| way.kind != Kind::Forwarded) };
    let speaks = |rule: &Rule| rule.ports.speak_of(way.port.0, way.port.1, published.or(way.published));
    let rules = rules_of(policy, inventory, container);
    let named = || named_ports(policy, inventory, container);
    let piece =
        on_host.then(|| named().into_iter().find(|ports| ports.range.contains(way.port.0, way.port.1))).flatten();
    let guarded = if on_host {
        piece.as_ref().is_some_and(|piece| piece.guarded)
    } else {
        is_guarded(policy, inventory, container)
    };
    let here = world.interface(from).map(str::to_owned);
    let parent = inventory
        .sandboxed(container)
        .filter(|(endpoint, _)| endpoint.address(Family::of(&way.to.0)) == Some(way.to.0))
        .find_map(|(_, network)| network.parent.clone());
    let interface = if way.kind == Kind::Wire { parent } else { here };
    let current = |rule: &Rule| rule.expires.is_none_or(|at| at > session.now);
    let applies = |rule: &Rule| !on_host || piece.is_some() && !rule.ports.is_every();
    let deciding = rules.iter().copied().find(|(_, rule)| {
        current(rule)
            && speaks(rule)
            && applies(rule)
            && rule.interface.as_ref().is_none_or(|name| interface.as_ref() == Some(name))
            && rule.sources.iter().any(|source| is_from(world, source, from))
    });
    let guards = rules.iter().filter(|(_, rule)| rule.verdict == Verdict::Allow).map(|(number, _)| *number).collect();
    Ok(Reading { deciding, guarded, guards })
}

fn is_from(world: &World, source: &RuleSource, from: IpAddr) -> bool {
    let asked = |name: &str| {
        let segment = Segment::opening(crate::net::Protocol::Tcp, from, (from, 1), Link::Unknown);
        Lookup::holds(&world.sets, name, &[SetDirection::Src], &segment) == Some(true)
    };
    match source {
        RuleSource::Any => true,
        RuleSource::Literal { blocks, .. } => blocks.iter().any(|block| block.contains(&from)),
        RuleSource::Set(name) => asked(&name.kernel_name(Family::of(&from))),
        RuleSource::Ipset(name) => asked(name),
    }
}

/// The command that would change the answer; empty where there is none.
pub(super) fn change(
    world: &World,
    program: &str,
    way: &Way,
    from: IpAddr,
    passage: &Passage,
    reason: &Reason,
) -> String {
    let rule = |verdict: &str, more: &str| {
        format!("{program} {verdict} {} --from {from} --port {}{more}", way.container, way.port_text())
    };
    if reason.differs {
        return format!("{program} apply    (`{program} plan` shows what differs)");
    }
    match (passage.answer, &passage.cause) {
        (Answer::Allowed, _) if reason.beyond => String::new(),
        (Answer::Allowed, _) => rule("deny", ""),
        (Answer::Denied, Cause::Rule(place)) if is_own(place) => match reason.rule {
            Some(number) => rule("allow", &format!(" --before {number}")),
            None => rule("allow", ""),
        },
        (Answer::Denied, Cause::Rule(place)) if is_dockers(world, place) => {
            "Docker itself keeps this closed: a published port is its way in (docker run -p)".to_owned()
        }
        (Answer::Denied, Cause::Rule(Place { program, table, chain, number, .. })) => {
            format!("{program} -t {table} -D {chain} {number}    (not ours: it closes this for others too)")
        }
        (Answer::Unknown, Cause::Rule(Place { program, table, chain, number, .. })) => {
            format!("see that rule: {program} -t {table} -S {chain} {number}")
        }
        (Answer::Denied, Cause::Policy { program, table, chain }) => {
            format!("{program} -t {table} -I {chain} -s {from} -j ACCEPT    (what is not Docker's is yours to open)")
        }
        _ => String::new(),
    }
}

/// Docker's own chains, and what it puts into `raw` for each container.
fn is_dockers(world: &World, place: &Place) -> bool {
    let leads = |words: &str| world.host.bridges.iter().any(|bridge| words.contains(&format!("! -i {bridge} -j DROP")));
    place.chain.starts_with("DOCKER") && place.chain != names::DOCKER_USER
        || place.table == "raw" && place.text.starts_with("-d ") && leads(&place.text)
}
