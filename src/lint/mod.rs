//! Reads a policy against the world and reports what does not fit. Total, pure, and never decides anything.

mod finding;
mod shadow;

use crate::inventory::{Container, NetworkMode};
use crate::policy::{Policy, Rule, RuleSource, Target};
use crate::resolve::{Facts, network_owner, rule_selects, selects};

pub use finding::Finding;

/// Everything that does not fit, rule by rule.
pub fn findings(policy: &Policy, facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        for target in &rule.targets {
            target_findings(index, target, facts, &mut found);
        }
        source_findings(index, rule, facts, &mut found);
        published_findings(index, rule, facts, &mut found);
        if let Some(because) = shadow::shadowed_by(&policy.rules[..index], rule, facts.now) {
            found.push(Finding::NeverMatches { rule: index, because });
        }
    }
    found
}

fn target_findings(rule: usize, target: &Target, facts: &Facts<'_>, found: &mut Vec<Finding>) {
    let inventory = facts.inventory;
    let meant: Vec<&Container> =
        inventory.containers.iter().filter(|container| selects(target, container, inventory)).collect();
    // A network that exists without containers is a name that means something.
    let known = match target {
        Target::All => true,
        Target::Network(name) => inventory.networks.iter().any(|network| network.name == *name),
        _ => !meant.is_empty(),
    };
    if !known {
        found.push(Finding::NoTarget { rule, target: target.clone(), candidates: candidates(target, facts) });
    }
    for container in meant {
        let name = || container.name.clone();
        match &container.mode {
            // Broad targets pass over such containers in silence: '*' does not name them.
            NetworkMode::Host if *target != Target::All => found.push(Finding::HostNetwork { rule, container: name() }),
            NetworkMode::Container(other) if *target != Target::All => {
                let owner =
                    network_owner(inventory, container).map_or_else(|| other.clone(), |owner| owner.name.clone());
                found.push(Finding::SharesNetwork { rule, container: name(), owner });
            }
            _ => {}
        }
        let only = inventory.forwarded(container).next().is_none() && inventory.sandboxed(container).next().is_none();
        for endpoint in &container.endpoints {
            let Some(network) = inventory.network(&endpoint.network) else { continue };
            if !network.forwarded() && !network.sandboxed() && !matches!(network.driver.as_str(), "host" | "null") {
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

/// Names of the same kind as `target`.
fn candidates(target: &Target, facts: &Facts<'_>) -> Vec<String> {
    let inventory = facts.inventory;
    let mut names: Vec<String> = match target {
        Target::All => Vec::new(),
        Target::Container(_) => inventory.containers.iter().map(|container| container.name.clone()).collect(),
        Target::Service(..) => inventory.containers.iter().filter_map(Container::compose_service).collect(),
        Target::Label(..) => inventory
            .containers
            .iter()
            .flat_map(|container| container.labels.keys())
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
fn published_findings(rule_index: usize, rule: &Rule, facts: &Facts<'_>, found: &mut Vec<Finding>) {
    let Some(wanted) = &rule.ports.published else { return };
    let inventory = facts.inventory;
    let bindings: Vec<_> = inventory
        .containers
        .iter()
        .filter(|container| rule_selects(rule, container, inventory))
        .flat_map(|container| &container.bindings)
        .collect();
    let missing: Vec<String> = wanted
        .ranges()
        .iter()
        .filter(|range| {
            !bindings.iter().any(|binding| binding.host_port.is_some_and(|port| range.contains(binding.protocol, port)))
        })
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        let mut published: Vec<String> = bindings
            .iter()
            .filter_map(|binding| Some(format!("{}/{}", binding.host_port?, binding.protocol)))
            .collect();
        published.sort();
        published.dedup();
        found.push(Finding::NotPublished { rule: rule_index, ports: missing.join(","), published });
    }
}
