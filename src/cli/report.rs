//! What commands say when they are done: differences, and what is now true.

use std::collections::BTreeMap;

use super::context::Context;
use super::output::Output;
use super::session::Session;
use super::text::{natural_order, printable};
use crate::access::{ServiceAccess, beyond_reach, is_guarded, named_access, rules_of, service_access};
use crate::inventory::{Container, Inventory, NetworkMode, Service};
use crate::net::Family;
use crate::plan::{DiffLine, Sign};
use crate::policy::{Rule, RuleSource, SetFile, Verdict};
use crate::resolve::{named_ports, network_owner, rule_selects_service, speaks_of};
use crate::ruleset::{Member, SetEntry, render_set_entry};

/// Containers that are named one by one; more are counted.
const NAMED: usize = 3;

/// Prints a difference, a heading a place.
pub(super) fn diff(output: &mut Output, lines: &[DiffLine]) {
    let mut place = "";
    for line in lines {
        if line.place != place {
            output.line(&printable(&line.place));
            place = &line.place;
        }
        let sign = match line.sign {
            Sign::Add => '+',
            Sign::Remove => '-',
        };
        output.line(&format!("{sign} {}", printable(&line.text)));
    }
}

/// Mentions members that somebody added by hand.
pub(super) fn unsaved(ctx: &mut Context, sets: &[(String, Vec<SetEntry>)]) {
    for (name, entries) in sets {
        let shown: Vec<String> =
            entries.iter().take(NAMED).map(|entry| render_set_entry(entry, &Member::default())).collect();
        let more = if entries.len() > NAMED { ", ..." } else { "" };
        let set = name.strip_suffix("-v6").unwrap_or(name);
        ctx.output.note(&format!(
            "note: {name} holds {} not saved in its file ({}{more}): kept; `{} set inspect {set}` shows them",
            count(entries.len(), "entry", "entries"),
            shown.join(", "),
            ctx.program
        ));
    }
}

/// `1 entry`, `2 entries`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn size(set: &SetFile) -> String {
    let all: usize = Family::ALL.iter().map(|family| set.count(*family)).sum();
    let single = set.entries().all(|entry| entry.block().prefix_len() == entry.block().max_prefix_len());
    if single { count(all, "address", "addresses") } else { count(all, "entry", "entries") }
}

/// `ipfriends (3 addresses), 192.0.2.0/24 via eth0`.
fn sources(rule: &Rule, sets: &BTreeMap<String, SetFile>) -> String {
    let named = |source: &RuleSource| match source {
        RuleSource::Any => "anybody".to_owned(),
        RuleSource::Set(name) => match sets.get(name.as_str()) {
            Some(set) => format!("{name} ({})", size(set)),
            None => name.to_string(),
        },
        other => other.to_string(),
    };
    let list: Vec<String> = rule.sources.iter().map(named).collect();
    let via = rule.interface.as_ref().map_or_else(String::new, |name| format!(" via {name}"));
    let until = rule.expires.map_or_else(String::new, |at| format!(" until {at}"));
    format!("{}{via}{until}", list.join(", "))
}

/// `80/tcp`, `published 8080/tcp`, or every port with those that are published.
fn ports(rule: &Rule, container: Option<&Container>) -> String {
    let mut parts = Vec::new();
    if let Some(ports) = &rule.ports.container {
        parts.push(ports.to_string());
    }
    if let Some(ports) = &rule.ports.published {
        parts.push(format!("published {ports}"));
    }
    if !parts.is_empty() {
        return parts.join(" and ");
    }
    let mut published: Vec<String> = container
        .iter()
        .flat_map(|container| &container.bindings)
        .map(|binding| format!("{}/{}", binding.container_port, binding.protocol))
        .collect();
    published.sort_by(|a, b| natural_order(a, b));
    published.dedup();
    if published.is_empty() {
        "every port".to_owned()
    } else {
        format!("every port (published: {})", published.join(", "))
    }
}

/// What is now true of one container: `web is guarded: 80/tcp from ipfriends (3 addresses); everything else closed.`
fn container_now(session: &Session, inventory: &Inventory, container: &Container) -> String {
    let (policy, sets, name) = (session.policy(), &session.config().sets, &container.name);
    if network_owner(inventory, container).is_some_and(|owner| owner.mode == NetworkMode::Host) {
        return on_the_host(session, inventory, container);
    }
    if let Some(place) = beyond_reach(inventory, container) {
        return format!("{name} is NOT guarded: it is on {place}, where no rule reaches");
    }
    let (mut allows, mut denies, mut last_word) = (Vec::new(), Vec::new(), None);
    let rules = rules_of(policy, inventory, container).into_iter().map(|(_, rule)| rule);
    for rule in rules.filter(|rule| rule.expires.is_none_or(|at| at > session.now)) {
        let text = || format!("{} from {}", ports(rule, Some(container)), sources(rule, sets));
        match rule.verdict {
            Verdict::Allow => allows.push(text()),
            Verdict::Deny if !is_about_all(rule) => denies.push(text()),
            Verdict::Deny => {}
        }
        if is_about_all(rule) {
            // What stands behind it never matches.
            last_word = Some(rule.verdict);
            break;
        }
    }
    let taken = if denies.is_empty() { String::new() } else { format!("; denied: {}", denies.join("; ")) };
    let allows = allows.join("; ");
    match (is_guarded(policy, inventory, container), last_word) {
        (_, Some(Verdict::Allow)) => format!("{name} is open: {allows}{taken}"),
        (guarded, last_word) if allows.is_empty() => match (guarded || last_word.is_some(), guarded) {
            (true, true) => format!("{name} is guarded: closed to everybody"),
            (true, false) => format!("{name} is closed to everybody"),
            _ if denies.is_empty() => format!("{name} is not guarded: as open as Docker leaves it"),
            _ => format!("{name} is open{taken}"),
        },
        _ => format!("{name} is guarded: {allows}{taken}; everything else closed"),
    }
}

/// The same of one on the host's network: `hostapp is guarded on 9100/tcp: from lan; its other ports are not`.
fn on_the_host(session: &Session, inventory: &Inventory, container: &Container) -> String {
    let (policy, name) = (session.policy(), &container.name);
    let named = named_ports(policy, inventory, container);
    if named.is_empty() {
        return format!("{name} is NOT guarded: it is on the host's own network, and no rule names a port of it");
    }
    let said: Vec<String> = named
        .iter()
        .map(|ports| {
            let [v4, v6] = Family::ALL.map(|family| named_access(policy, ports, family, session.now).to_string());
            let who = if v4 == v6 { v4 } else { format!("{v4} over IPv4 and {v6} over IPv6") };
            format!("{} open to {who}", ports.range)
        })
        .collect();
    format!("{name}, on the host's network: {}; its other ports are not guarded", said.join("; "))
}

/// What is now true of the ports that a swarm service publishes on every node:
/// `service:web is guarded on every port: 8080/tcp from ipfriends (3 addresses); everything else closed`.
fn service_now(session: &Session, inventory: &Inventory, service: &Service) -> String {
    let (policy, sets) = (session.policy(), &session.config().sets);
    let ServiceAccess { rules, guarded } = service_access(policy, inventory, service);
    let (mut allows, mut denies) = (Vec::new(), Vec::new());
    for (_, rule) in rules.into_iter().filter(|(_, rule)| rule.expires.is_none_or(|at| at > session.now)) {
        let spoken: Vec<String> = service
            .ports
            .iter()
            .filter(|port| speaks_of(rule, port))
            .map(|port| format!("{}/{}", port.published, port.protocol))
            .collect();
        if !spoken.is_empty() {
            let text = format!("{} from {}", spoken.join(", "), sources(rule, sets));
            if rule.verdict == Verdict::Allow { allows.push(text) } else { denies.push(text) }
        }
    }
    let taken = if denies.is_empty() { String::new() } else { format!("; denied: {}", denies.join("; ")) };
    let name = &service.name;
    match (guarded, allows.is_empty()) {
        (true, true) => format!("service:{name} is guarded at the ingress: closed to everybody"),
        (true, false) => {
            format!("service:{name} is guarded at the ingress: {}{taken}; everything else closed", allows.join("; "))
        }
        _ => format!("service:{name} is open at the ingress{taken}"),
    }
}

/// Whether a rule decides for everybody, on every port.
fn is_about_all(rule: &Rule) -> bool {
    let ports = &rule.ports;
    rule.interface.is_none()
        && ports.container.is_none()
        && ports.published.is_none()
        && rule.sources.contains(&RuleSource::Any)
}

/// What is now true of everything that rules speak of, in a line or two; `numbers` are those of rules that came.
pub(super) fn now_true(ctx: &mut Context, session: &Session, rules: &[&Rule], numbers: &[usize]) {
    let Some(inventory) = &session.inventory else { return };
    let mut meant: Vec<&Container> = inventory
        .containers
        .iter()
        .filter(|container| rules.iter().any(|rule| crate::resolve::rule_selects(rule, container, inventory)))
        .collect();
    meant.sort_by(|a, b| natural_order(&a.name, &b.name));
    let suffix = match numbers {
        [] => String::new(),
        [one] => format!(" Rule {one}."),
        several => format!(" Rules {}.", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let known = session.services(inventory);
    let services = known.iter().filter(|service| !service.ports.is_empty());
    let services = services.filter(|service| rules.iter().any(|rule| rule_selects_service(rule, service, inventory)));
    let services: Vec<String> = services.map(|service| service_now(session, inventory, service)).collect();
    // Tasks that publish nothing themselves have nothing to add to what is said of their service.
    meant.retain(|container| {
        services.is_empty() || container.swarm_service().is_none() || !container.bindings.is_empty()
    });
    for (index, line) in services.iter().enumerate() {
        let last = meant.is_empty() && index + 1 == services.len();
        ctx.output.line(&format!("{}.{}", printable(line), if last { &suffix } else { "" }));
    }
    if !services.is_empty() && meant.is_empty() {
        return;
    }
    if meant.is_empty() {
        // A rule that was removed waits for nobody.
        if !numbers.is_empty() {
            let targets: Vec<String> = rules.iter().flat_map(|rule| &rule.targets).map(ToString::to_string).collect();
            ctx.output.line(&format!("No container is named by {} yet.{suffix}", printable(&targets.join(", "))));
        }
        return;
    }
    for (index, container) in meant.iter().take(NAMED).enumerate() {
        let last = index + 1 == meant.len().min(NAMED);
        let stopped = if container.running { "" } else { " (when it runs)" };
        let line = container_now(session, inventory, container);
        ctx.output.line(&format!("{}{stopped}.{}", printable(&line), if last { &suffix } else { "" }));
    }
    if meant.len() > NAMED {
        ctx.output.line(&format!("And {} more; `{} ls` shows them all.", meant.len() - NAMED, ctx.program));
    }
}
