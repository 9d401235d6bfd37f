//! Who lives where, and which rule has which ID: what a packet's addresses mean at this moment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::header::Content;
use super::{Attempt, Told};
use crate::inventory::{Binding, Inventory, NetworkMode};
use crate::net::{Family, Protocol};
use crate::policy::{Policy, RuleSource, SetName};
use crate::resolve::{HostPort, host_ports, network_owner};
use crate::ruleset::LogPath;

/// Sets that are asked for one address; those that rules name come first.
const SETS_MAX: usize = 100;

/// Taken whenever something changed.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Containers by address.
    containers: BTreeMap<IpAddr, Occupant>,
    /// Ports of the host.
    ports: Vec<(HostPort, Occupant, bool)>,
    /// Swarm services by the address and the published port where they are reached.
    services: BTreeMap<(IpAddr, Protocol, u16), (String, Option<u16>)>,
    /// Rules by ID: number and text.
    rules: BTreeMap<String, (usize, String)>,
    /// Sets: as people call them, and as the kernel does in both families.
    sets: Vec<(String, [String; 2])>,
}

#[derive(Clone, Debug, Default)]
struct Occupant {
    name: String,
    bindings: Vec<Binding>,
}

impl Census {
    /// Of the world as a pass saw it. `sets` are all of ours.
    pub fn of<'a>(policy: &Policy, inventory: &Inventory, sets: impl Iterator<Item = &'a SetName>) -> Self {
        let mut census = Self::default();
        for container in inventory.containers.iter().filter(|container| container.running) {
            for (endpoint, _) in inventory.forwarded(container) {
                for address in Family::ALL.into_iter().filter_map(|family| endpoint.address(family)) {
                    census.containers.insert(address, occupant(container.name.clone(), &container.bindings));
                }
            }
        }
        for port in host_ports(policy, inventory) {
            let container = inventory.containers.iter().find(|one| one.id.starts_with(&port.owner.id));
            let on_host = container
                .is_some_and(|one| network_owner(inventory, one).is_some_and(|owner| owner.mode == NetworkMode::Host));
            let bindings = container.map(|one| &*one.bindings).unwrap_or_default();
            let occupant = occupant(port.owner.name.clone(), bindings);
            census.ports.push((port, occupant, on_host));
        }
        for service in inventory.services() {
            for address in inventory.ingress.iter().flat_map(|ingress| &ingress.addresses) {
                for port in &service.ports {
                    let place = (*address, port.protocol, port.published);
                    census.services.insert(place, (format!("service:{}", service.name), port.target));
                }
            }
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            census.rules.entry(rule.id()).or_insert_with(|| (index + 1, rule.to_string()));
        }
        let named = policy.rules.iter().flat_map(|rule| &rule.sources).filter_map(|source| match source {
            RuleSource::Set(name) => Some(own(name)),
            RuleSource::Ipset(name) => Some((format!("ipset:{name}"), [name.clone(), name.clone()])),
            _ => None,
        });
        for set in named.chain(sets.map(own)) {
            if census.sets.len() < SETS_MAX && !census.sets.contains(&set) {
                census.sets.push(set);
            }
        }
        census
    }

    /// The sets that may hold an address: as people call them, and as the kernel does.
    pub fn sets(&self, family: Family) -> impl Iterator<Item = (&str, &str)> {
        let half = usize::from(family == Family::V6);
        self.sets.iter().map(move |(shown, kernel)| (shown.as_str(), kernel[half].as_str()))
    }

    /// The entry of a packet.
    pub fn attempt(&self, told: &Told, time: String, sets: &[&str]) -> Attempt {
        let header = &told.header;
        let ports = match header.content {
            Content::Ports { protocol, source, destination, .. } => Some((protocol, source, destination)),
            Content::Icmp { .. } | Content::Other(_) => None,
        };
        let mut attempt = Attempt {
            time,
            source: header.source.to_string(),
            source_port: ports.map(|(_, source, _)| source.to_string()).unwrap_or_default(),
            sets: sets.join(","),
            interface: told.interface.clone(),
            address: header.destination.to_string(),
            port: ports.map(|(_, _, port)| port.to_string()).unwrap_or_default(),
            protocol: header.content.protocol(header.source.is_ipv6()),
            path: told.prefix.path.name().to_owned(),
            table: if told.prefix.backstop { "security" } else { "filter" }.to_owned(),
            ..Attempt::default()
        };
        self.place(
            &mut attempt,
            told.prefix.path,
            header.destination,
            ports.map(|(protocol, _, port)| (protocol, port)),
        );
        match &told.prefix.rule {
            None => "no rule allows it".clone_into(&mut attempt.rule_text),
            Some(id) => {
                attempt.rule_id.clone_from(id);
                match self.rules.get(id) {
                    Some((number, text)) => {
                        attempt.rule = number.to_string();
                        attempt.rule_text.clone_from(text);
                    }
                    // It was removed in this moment.
                    None => attempt.rule_text = format!("rule {id}"),
                }
            }
        }
        attempt
    }

    /// Whom it was meant for.
    fn place(&self, attempt: &mut Attempt, path: LogPath, to: IpAddr, port: Option<(Protocol, u16)>) {
        if path == LogPath::Host {
            let Some((protocol, number)) = port else { return };
            let holds = |port: &&(HostPort, Occupant, bool)| {
                (port.0.protocol, port.0.port) == (protocol, number) && port.0.block.contains(&to)
            };
            // One address of the host decides alone there.
            let place = self.ports.iter().filter(holds).max_by_key(|(port, ..)| port.block.prefix_len());
            let Some((_, occupant, on_host)) = place else { return };
            attempt.container.clone_from(&occupant.name);
            if !on_host {
                "proxy".clone_into(&mut attempt.path);
                attempt.published = number.to_string();
                let is_it = |binding: &&Binding| (binding.protocol, binding.host_port) == (protocol, Some(number));
                let inner = occupant.bindings.iter().find(is_it).map(|binding| binding.container_port.to_string());
                attempt.port = inner.unwrap_or_default();
            }
            return;
        }
        if let Some((name, target)) = port.and_then(|(protocol, port)| self.services.get(&(to, protocol, port))) {
            attempt.container.clone_from(name);
            "ingress".clone_into(&mut attempt.path);
            attempt.published =
                std::mem::replace(&mut attempt.port, target.map(|port| port.to_string()).unwrap_or_default());
            return;
        }
        let Some(occupant) = self.containers.get(&to) else { return };
        attempt.container.clone_from(&occupant.name);
        if let Some((protocol, port)) = port.filter(|_| path == LogPath::Dnat) {
            let is_it = |binding: &&Binding| (binding.protocol, binding.container_port) == (protocol, port);
            let mut published: Vec<u16> =
                occupant.bindings.iter().filter(is_it).filter_map(|binding| binding.host_port).collect();
            published.sort_unstable();
            published.dedup();
            // Of several nobody can tell which one it was.
            if let [one] = published[..] {
                attempt.published = one.to_string();
            }
        }
    }
}

fn occupant(name: String, bindings: &[Binding]) -> Occupant {
    Occupant { name, bindings: bindings.to_vec() }
}

fn own(name: &SetName) -> (String, [String; 2]) {
    (name.to_string(), Family::ALL.map(|family| name.kernel_name(family)))
}
