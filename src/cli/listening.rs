//! What processes of a container on the host's network listen on, and whose the ports are that a rule names there.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::failure::Failure;
use super::text::printable;
use crate::host::listeners::{self, Listener};
use crate::inventory::{Container, Inventory, NetworkMode};
use crate::net::{PortRange, PortSet, Protocol};
use crate::policy::{Ports, Rule, Target};
use crate::resolve::{named_count, network_owner, rule_selects};

/// Sockets that are listed one by one.
const LISTED: usize = 20;

fn is_loopback(listener: &Listener) -> bool {
    listener.address.is_loopback()
}

/// `0.0.0.0:9100/tcp`.
fn place(listener: &Listener) -> String {
    format!("{}/{}", SocketAddr::new(listener.address, listener.port), listener.protocol)
}

/// `sshd (pid 812)`, by a name that anybody may have chosen.
fn holders(listener: &Listener) -> String {
    let all = listener.processes.iter().map(|process| format!("{} (pid {})", printable(&process.name), process.pid));
    let all: Vec<String> = all.collect();
    if all.is_empty() { "the kernel, or a process that cannot be seen".to_owned() } else { all.join(", ") }
}

/// IDs of all that share the network namespace of `container`, itself among them.
fn lodgers<'a>(inventory: &'a Inventory, container: &'a Container) -> impl Iterator<Item = &'a str> {
    let shares = |other: &&Container| network_owner(inventory, other).is_some_and(|owner| owner.id == container.id);
    inventory.containers.iter().filter(shares).map(|other| other.id.as_str())
}

fn is_of(listener: &Listener, ids: &BTreeSet<&str>) -> bool {
    listener.processes.iter().any(|process| ids.iter().any(|id| process.is_of(id)))
}

/// What the container of that name listens on, and the rule as it could be written: lines for an error about a rule
/// without ports.
pub(super) fn of_container(inventory: &Inventory, name: &str, rule: &Rule, program: &str) -> Vec<String> {
    let Some(container) = inventory.container(name) else { return Vec::new() };
    let with = |ports: &str| {
        let bare = Rule { targets: vec![Target::Container(name.to_owned())], ..rule.clone() };
        format!("{program} {bare} --port {ports}")
    };
    if !container.running {
        return vec![
            format!("{name} does not run, so nobody can tell what it will listen on"),
            format!("Name its ports: {}", with("PORT[/PROTOCOL][,...]")),
        ];
    }
    let all = match listeners::read() {
        Ok(all) => all,
        Err(error) => {
            return vec![
                format!("What it listens on cannot be told: {error}"),
                format!("Name its ports: {}", with("PORT[/PROTOCOL][,...]")),
            ];
        }
    };
    let ids: BTreeSet<&str> = lodgers(inventory, container).collect();
    let own: Vec<&Listener> = all.iter().filter(|listener| is_of(listener, &ids)).collect();
    if own.is_empty() {
        return vec![
            format!("No process of {name} is seen listening on a TCP or UDP port now"),
            format!("Name the ports it will listen on: {}", with("PORT[/PROTOCOL][,...]")),
        ];
    }
    let mut lines = vec![format!("{name} listens on:")];
    for listener in own.iter().take(LISTED) {
        let only = if is_loopback(listener) { ", for the host itself only" } else { "" };
        lines.push(format!("  {}  {}{only}", place(listener), holders(listener)));
    }
    if own.len() > LISTED {
        lines.push(format!("  and {} more", own.len() - LISTED));
    }
    let outside = own.iter().filter(|listener| !is_loopback(listener));
    let ports = PortSet::new(outside.map(|listener| PortRange::single(listener.protocol, listener.port)));
    lines.push(match ports {
        Some(ports) => format!("Name those that you mean: {}", with(&ports.to_string())),
        None => "Nobody outside reaches any of these, so there is nothing to guard".to_owned(),
    });
    lines
}

/// What a rule for containers on the host's network would decide for somebody else.
#[derive(Default)]
pub(super) struct Strangers {
    /// Services of others on ports that the rule names: it would cut off the host's own sshd as readily as anything.
    pub(super) services: Vec<String>,
    /// What is most likely no service, or cannot be told.
    pub(super) remarks: Vec<String>,
}

/// Looks who listens on the ports that a rule names for containers on the host's network, besides those containers.
pub(super) fn strangers(inventory: &Inventory, rule: &Rule) -> Strangers {
    let mut found = Strangers::default();
    let by_all = rule.targets.iter().all(|target| *target == Target::All);
    let meant =
        |container: &&Container| container.mode == NetworkMode::Host && rule_selects(rule, container, inventory);
    let containers: Vec<&Container> = inventory.containers.iter().filter(meant).collect();
    if containers.is_empty() || by_all || named_count(&rule.ports) == 0 {
        return found;
    }
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let names = names.join(", ");
    let all = match listeners::read() {
        Ok(all) => all,
        Err(error) => {
            found.remarks.push(format!("whether others than {names} listen on these ports cannot be told: {error}"));
            return found;
        }
    };
    let ids: BTreeSet<&str> = containers.iter().flat_map(|container| lodgers(inventory, container)).collect();
    for listener in all.iter().filter(|listener| !is_loopback(listener) && !is_of(listener, &ids)) {
        let Some(range) = naming(&rule.ports, listener) else { continue };
        let text = format!("{} is not {names}'s: {} listens there", place(listener), holders(listener));
        // Within a range a UDP socket is most likely one that asks, not one that serves; answers to it pass.
        if listener.protocol == Protocol::Udp && range.count() > 1 {
            found.remarks.push(text);
        } else {
            found.services.push(text);
        }
    }
    found
}

/// Refuses a new rule that would decide for somebody else, unless its author said `--pending`; answers what is worth a
/// warning.
pub(super) fn check(inventory: &Inventory, rule: &Rule) -> Result<Vec<String>, Failure> {
    let Strangers { services, mut remarks } = strangers(inventory, rule);
    if rule.pending {
        remarks.extend(services);
        return Ok(remarks);
    }
    if services.is_empty() {
        return Ok(remarks);
    }
    Err(Failure::user(services.join("\n"))
        .hinted("Nothing was changed: the rule would decide who reaches that service")
        .hinted("Name other ports; if the port is to become the container's, or you mean it, add --pending"))
}

/// The range of a rule that holds a listener's port.
fn naming(ports: &Ports, listener: &Listener) -> Option<PortRange> {
    let mut ranges = ports.container.iter().chain(&ports.published).flat_map(PortSet::ranges);
    ranges.find(|range| range.contains(listener.protocol, listener.port)).copied()
}
