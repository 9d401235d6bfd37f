//! The ways into containers as this moment shows them: what `ls` lists and `graph` draws.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::context::Context;
use super::failure::Failure;
use super::figures::Reading;
use super::format::Filters;
use super::offline;
use super::report::count;
use super::session::{Need, Session};
use super::text::{natural_order, printable};
use crate::access::{Exposure, Onlooker, View, Way, pending_ways, rules_of, service_ways, ways, withheld_ways};
use crate::inventory::{Container, Inventory, NetworkMode, Service};
use crate::policy::{Policy, Rule, Target, nearest};
use crate::resolve::{selects, selects_service};
use crate::tally::count_traffic;

mod seen;

use seen::Seen;

/// What was found.
pub(super) struct Survey {
    /// The ways, sorted by whom they lead to.
    pub(super) ways: Vec<Way>,
    /// The rules that they were read off.
    pub(super) policy: Policy,
    /// The engine's host.
    pub(super) host: String,
    /// When.
    pub(super) now: Timestamp,
    /// What a reader should know: that the kernel was not asked, or holds something else.
    pub(super) remarks: Vec<String>,
}

/// Keys of `--filter`.
const FILTERS: [&str; 5] = ["container", "label", "network", "exposed", "managed"];

/// What is wanted besides who comes in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Each step of those who were sent.
    pub(super) steps: bool,
    /// What the kernel counted.
    pub(super) traffic: bool,
}

/// Looks around. Without privileges the policy alone is read.
pub(super) fn survey(
    ctx: &mut Context,
    (targets, filters): (&[Target], &Filters),
    wanted: Wanted,
) -> Result<Survey, Failure> {
    filters.only(&FILTERS)?;
    filters.only_values("managed", &["true", "false"])?;
    filters.only_values("exposed", &Exposure::ALL.map(Exposure::name))?;
    let mut remarks = Vec::new();
    let mut counting = None;
    let (session, world) = if Session::is_privileged() {
        let (mut session, mut whole) = Session::open_and_look(ctx)?;
        let saves = std::mem::take(&mut whole.saves);
        // The rest of it is read while the ways are tried.
        counting = wanted.traffic.then(|| Reading::begin(offline::paths(ctx), saves));
        if session.containers()?.services_withheld().is_some() {
            // Only the comments of members say what services publish here.
            session.state()?;
        }
        let world = seen::world(&mut session, whole)?;
        (session, Some(world))
    } else {
        remarks.push("note: read from the policy, not from the kernel, which needs CAP_NET_ADMIN (sudo)".to_owned());
        (Session::look(ctx, Need::Engine)?, None)
    };
    let seen = world.map(|world| Seen::new(world, &session, wanted.steps));
    let mut ways = found(&session, seen.as_ref(), targets)?;
    if let Some(reading) = counting {
        let id = |number: &usize| Some(session.policy().rules.get(number - 1)?.id());
        match reading.wait() {
            Ok(mut tally) => {
                tally.speak_of(&spoken_of(session.policy(), session.containers()?));
                count_traffic(&mut ways, &tally, &id);
            }
            Err(error) => remarks.push(format!("warning: what was counted could not be read: {error}")),
        }
    }
    ways.retain(|way| passes(way, filters));
    remarks.extend(seen.iter().flat_map(|seen| differences(&ctx.program, &ways, seen)));
    // The process ends with what is printed, and gives everything back at once: piece by piece takes some 20 ms of 1,000
    // containers.
    std::mem::forget(seen);
    let host = session.containers()?.engine.name.clone();
    Ok(Survey { ways, policy: session.policy().clone(), host, now: session.now, remarks })
}

/// The containers that each rule speaks of, by the rule's ID.
fn spoken_of(policy: &Policy, inventory: &Inventory) -> BTreeMap<String, BTreeSet<String>> {
    let ids: Vec<String> = policy.rules.iter().map(Rule::id).collect();
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // What comes to a container that is on another one's network is counted as the other's.
    let joins = |container: &&Container| matches!(container.mode, NetworkMode::Container(_));
    for container in inventory.containers.iter().filter(|container| !joins(container)) {
        let numbers = rules_of(policy, inventory, container).into_iter().map(|(number, _)| number);
        for id in numbers.filter_map(|number| ids.get(number - 1)) {
            names.entry(id.clone()).or_default().insert(container.name.clone());
        }
    }
    names
}

/// What a reader of these ways should know besides.
fn differences(program: &str, ways: &[Way], seen: &Seen<'_>) -> Vec<String> {
    let mut remarks: Vec<String> =
        seen.unread().iter().map(|unread| format!("warning: {unread} is in the kernel too and was not read")).collect();
    let differing = ways.iter().filter(|way| way.intended.is_some()).count();
    if differing > 0 {
        remarks.push(format!(
            "warning: {} not what the policy says: `{program} plan` shows what `{program} apply` mends, and \
             `{program} explain` what others' rules do",
            count(differing, "way is", "ways are")
        ));
    }
    remarks
}

fn found(session: &Session, seen: Option<&Seen<'_>>, targets: &[Target]) -> Result<Vec<Way>, Failure> {
    let inventory = session.containers()?;
    let known = session.services(inventory);
    let pending: Vec<Target> = session.policy().rules.iter().flat_map(|rule| rule.targets.clone()).collect();
    refuse_unknown(targets, inventory, &known, &pending)?;
    let onlooker = seen.map(|seen| seen as &dyn Onlooker);
    let view = View { policy: session.policy(), inventory, onlooker, now: session.now };
    let is_meant = |service: &Service| {
        targets.is_empty() || targets.iter().any(|target| selects_service(target, service, inventory))
    };
    let mut containers: Vec<&Container> = inventory
        .containers
        .iter()
        .filter(|container| targets.is_empty() || targets.iter().any(|target| selects(target, container, inventory)))
        .collect();
    containers.sort_by(|a, b| natural_order(&a.name, &b.name));
    let mut services: Vec<&Service> = known.iter().filter(|service| is_meant(service)).collect();
    services.sort_by(|a, b| natural_order(&a.name, &b.name));
    let mut all = ways(&view, &containers);
    all.extend(service_ways(&view, &services));
    all.extend(withheld_ways(&view, &known, &is_meant));
    let waits = |way: &Way| targets.is_empty() || targets.iter().any(|target| target.to_string() == way.to.name);
    all.extend(pending_ways(&view, &known).into_iter().filter(waits));
    Ok(all)
}

/// Refuses targets that mean nobody, and that no rule speaks of either.
pub(super) fn refuse_unknown(
    targets: &[Target],
    inventory: &Inventory,
    known: &[Service],
    pending: &[Target],
) -> Result<(), Failure> {
    let means_somebody = |target: &Target| {
        pending.contains(target)
            || inventory.containers.iter().any(|container| selects(target, container, inventory))
            || known.iter().any(|service| selects_service(target, service, inventory))
    };
    let Some(target) = targets.iter().find(|target| !means_somebody(target)) else { return Ok(()) };
    let name = target.to_string();
    let failure = Failure::user(format!("no container is meant by {}", printable(&name)));
    let names = inventory.containers.iter().map(|container| container.name.as_str());
    Err(match nearest(&name, names) {
        Some(near) => failure.hinted(format!("Did you mean {}?", printable(near))),
        None => failure.hinted("`docker ps -a` lists containers"),
    })
}

fn passes(way: &Way, filters: &Filters) -> bool {
    let to = &way.to;
    filters.pass(|key, value| match key {
        "container" => to.name == value || (value.len() >= 4 && !to.id.is_empty() && starts_alike(&to.id, value)),
        "label" => match value.split_once('=') {
            Some((label, wanted)) => to.labels.get(label).is_some_and(|own| own == wanted),
            None => to.labels.get(value).is_some(),
        },
        "network" => to.networks.iter().any(|network| network == value),
        "exposed" => way.exposure.name() == value,
        _ => (value == "true") == way.managed,
    })
}

/// Whether an ID of 12 digits and the one that was typed, short or long, are the same as far as they go.
fn starts_alike(id: &str, typed: &str) -> bool {
    id.starts_with(typed) || typed.starts_with(id)
}
