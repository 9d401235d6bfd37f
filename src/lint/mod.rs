//! Reads a policy against the world and reports what does not fit. Total, pure, and never decides anything.

mod finding;
mod shadow;

use std::collections::HashMap;

use shadow::Earlier;

use crate::inventory::{Container, Inventory, NetworkMode};
use crate::net::Protocol;
use crate::policy::{Policy, Rule, RuleSource, Target};
use crate::resolve::{Facts, NAMED_PORTS_MAX, contested, named_count, network_owner};
use crate::resolve::{rule_selects, rule_selects_service, selects, selects_service};

pub use finding::Finding;

/// Everything that does not fit, rule by rule.
pub fn findings(policy: &Policy, facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let named = Named::new(facts.inventory);
    let mut earlier = Earlier::default();
    for (index, rule) in policy.rules.iter().enumerate() {
        for target in &rule.targets {
            target_findings((index, rule), target, facts, &named, &mut found);
        }
        source_findings(index, rule, facts, &mut found);
        published_findings(index, rule, facts, &named, &mut found);
        if let Some(because) = earlier.shadows(rule, facts.now) {
            found.push(Finding::NeverMatches { rule: index, because });
        }
        earlier.add(rule);
    }
    let contested = contested(policy, facts.inventory).into_iter();
    found.extend(contested.map(|(ports, containers)| Finding::SharedPorts { ports: ports.to_string(), containers }));
    found
}

/// Containers by name, so that a rule that says one asks no other.
struct Named<'a> {
    inventory: &'a Inventory,
    by_name: HashMap<&'a str, Vec<&'a Container>>,
}

impl<'a> Named<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let mut by_name: HashMap<&str, Vec<&Container>> = HashMap::new();
        for container in &inventory.containers {
            by_name.entry(&container.name).or_default().push(container);
        }
        Self { inventory, by_name }
    }

    /// Those that `target` means.
    fn meant(&self, target: &Target) -> Vec<&'a Container> {
        let inventory = self.inventory;
        match target {
            Target::Container(name) => self.by_name.get(name.as_str()).cloned().unwrap_or_default(),
            _ => inventory.containers.iter().filter(|container| selects(target, container, inventory)).collect(),
        }
    }
}

fn target_findings(
    (rule, text): (usize, &Rule),
    target: &Target,
    facts: &Facts<'_>,
    named: &Named<'_>,
    found: &mut Vec<Finding>,
) {
    let inventory = facts.inventory;
    let meant = named.meant(target);
    // A network that exists without containers is a name that means something.
    let known = match target {
        Target::All => true,
        Target::Network(name) => inventory.networks.iter().any(|network| network.name == *name),
        // A worker cannot tell; see below.
        Target::SwarmService(_) if inventory.services_withheld().is_some() => true,
        _ => {
            !meant.is_empty() || inventory.services().iter().any(|service| selects_service(target, service, inventory))
        }
    };
    if !known {
        found.push(Finding::NoTarget { rule, target: target.clone(), candidates: candidates(target, facts) });
    }
    if let Some(reason) = inventory.services_withheld()
        && ingress_matters(target, &meant, inventory)
    {
        let named = text.ports.published.as_ref().map(ToString::to_string);
        found.push(Finding::ServicesUnknown { rule, target: target.clone(), reason: reason.to_owned(), named });
    }
    for container in meant {
        let name = || container.name.clone();
        found.extend(mode_finding((rule, text), target, container, facts));
        if let (Target::Container(_), Some(service)) = (target, container.swarm_service()) {
            found.push(Finding::TaskName { rule, container: name(), service: service.to_owned() });
        }
        let only = inventory.forwarded(container).next().is_none() && inventory.sandboxed(container).next().is_none();
        for endpoint in &container.endpoints {
            let Some(network) = inventory.network(&endpoint.network) else { continue };
            // From an overlay network only its own containers come, unless it is all that is said of the container.
            let aside = network.driver == "overlay" && (!only || !container.running);
            let covered = network.forwarded() || network.sandboxed() || aside;
            if !covered && !matches!(network.driver.as_str(), "host" | "null") {
                found.push(Finding::NotForwarded {
                    rule,
                    container: name(),
                    network: network.name.clone(),
                    driver: network.driver.clone(),
                    only,
                });
            }
        }
    }
}

/// What a rule can do for a container that has no network of its own.
fn mode_finding(
    (rule, text): (usize, &Rule),
    target: &Target,
    container: &Container,
    facts: &Facts<'_>,
) -> Option<Finding> {
    let name = container.name.clone();
    let named = matches!(target, Target::Container(_));
    match &container.mode {
        NetworkMode::Host => match named_count(&text.ports) {
            0 => Some(Finding::HostNetwork { rule, container: name, named }),
            _ if *target == Target::All => Some(Finding::HostNetwork { rule, container: name, named }),
            count if count > NAMED_PORTS_MAX => Some(Finding::TooManyPorts { rule, container: name, count, named }),
            _ => None,
        },
        NetworkMode::Container(other) => {
            let owner = network_owner(facts.inventory, container);
            // A broad target that means the owner too does what it says.
            let covered = owner.is_some_and(|owner| rule_selects(text, owner, facts.inventory));
            (named || !covered).then(|| Finding::SharesNetwork {
                rule,
                container: name,
                owner: owner.map_or_else(|| other.chars().take(12).collect(), |owner| owner.name.clone()),
                known: owner.is_some(),
                named,
            })
        }
        NetworkMode::Own | NetworkMode::None => None,
    }
}

/// Whether published ports of services that are not known here may be meant.
fn ingress_matters(target: &Target, meant: &[&Container], inventory: &Inventory) -> bool {
    let on_ingress = |container: &Container| {
        let network = inventory.ingress.as_ref().map(|ingress| &ingress.network);
        container.endpoints.iter().any(|endpoint| Some(&endpoint.network) == network)
    };
    match target {
        Target::Container(_) | Target::Service(..) => false,
        // Each container of a service with such ports is on the ingress network: those that are here tell.
        Target::SwarmService(_) => meant.is_empty() || meant.iter().any(|container| on_ingress(container)),
        Target::All | Target::Label(..) | Target::Network(_) => true,
    }
}

/// Names of the same kind as `target`.
fn candidates(target: &Target, facts: &Facts<'_>) -> Vec<String> {
    let inventory = facts.inventory;
    let mut names: Vec<String> = match target {
        Target::All => Vec::new(),
        Target::Container(_) => inventory.containers.iter().map(|container| container.name.clone()).collect(),
        Target::Service(..) => inventory.containers.iter().filter_map(Container::compose_service).collect(),
        Target::SwarmService(_) => {
            let tasks = inventory.containers.iter().filter_map(Container::swarm_service);
            let listed = inventory.services().iter().map(|service| service.name.as_str());
            tasks.chain(listed).map(|name| format!("service:{name}")).collect()
        }
        Target::Label(..) => inventory
            .containers
            .iter()
            .flat_map(|container| container.labels.iter().map(|(key, _)| key))
            .map(|key| format!("label:{key}"))
            .collect(),
        Target::Network(_) => inventory.networks.iter().map(|network| format!("network:{}", network.name)).collect(),
    };
    names.sort();
    names.dedup();
    names
}

fn source_findings(rule_index: usize, rule: &Rule, facts: &Facts<'_>, found: &mut Vec<Finding>) {
    for source in &rule.sources {
        match source {
            RuleSource::Set(name) if !facts.sets.contains(name.as_str()) => {
                found.push(Finding::NoSet { rule: rule_index, set: name.to_string() });
            }
            RuleSource::Ipset(name) if !facts.ipsets.contains_key(name) => {
                found.push(Finding::NoIpset { rule: rule_index, ipset: name.clone() });
            }
            _ => {}
        }
    }
}

/// Reports host ports that no target publishes; silent while a target is away, for then nobody can know.
fn published_findings(rule_index: usize, rule: &Rule, facts: &Facts<'_>, named: &Named<'_>, found: &mut Vec<Finding>) {
    let Some(wanted) = &rule.ports.published else { return };
    let inventory = facts.inventory;
    // On the host's network every port is the host's.
    let meant: Vec<&Container> = rule.targets.iter().flat_map(|target| named.meant(target)).collect();
    if meant.iter().any(|container| container.mode == NetworkMode::Host) {
        return;
    }
    if inventory.services_withheld().is_some()
        && rule.targets.iter().any(|target| ingress_matters(target, &[], inventory))
    {
        return;
    }
    let bindings = meant
        .iter()
        .flat_map(|container| &container.bindings)
        .filter_map(|binding| Some((binding.protocol, binding.host_port?)));
    let services = inventory
        .services()
        .iter()
        .filter(|service| rule_selects_service(rule, service, inventory))
        .flat_map(|service| &service.ports)
        .map(|port| (port.protocol, port.published));
    let known: Vec<(Protocol, u16)> = bindings.chain(services).collect();
    let missing: Vec<String> = wanted
        .ranges()
        .iter()
        .filter(|range| !known.iter().any(|&(protocol, port)| range.contains(protocol, port)))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        let mut published: Vec<String> = known.iter().map(|(protocol, port)| format!("{port}/{protocol}")).collect();
        published.sort();
        published.dedup();
        found.push(Finding::NotPublished { rule: rule_index, ports: missing.join(","), published });
    }
}
