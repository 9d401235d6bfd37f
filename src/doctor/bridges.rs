//! Bridges: whether what stays within one meets iptables, and who besides containers is on one.

use super::facts::Calls;
use super::{Check, Evidence};
use crate::access::is_guarded;
use crate::inventory::Network;
use crate::policy::shell_word;

/// Ports that lead elsewhere than to containers let packets in that no rule judges as strangers'.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Check> {
    let Evidence { inventory, policy, filters, .. } = *evidence;
    let bridges = &filters.bridges;
    let Some(ports) = &bridges.ports else {
        return vec![
            Check::unknown("bridge-nf", "nobody could tell what else is a port of the engine's bridges")
                .fixed_by("install iproute2; ip link show then lists them"),
        ];
    };
    let mut checks = Vec::new();
    for port in ports {
        let is_it = |network: &&Network| network.bridge.as_deref() == Some(&port.bridge);
        let Some(network) = inventory.networks.iter().find(is_it) else { continue };
        let on_it = |container: &&crate::inventory::Container| {
            container.endpoints.iter().any(|endpoint| endpoint.network == network.id)
        };
        let guarded = inventory
            .containers
            .iter()
            .filter(on_it)
            .find(|container| container.running && is_guarded(policy, inventory, container));
        let (name, bridge) = (&port.name, &port.bridge);
        let way = if bridges.calls.v4 == Some(true) {
            "with an address of the bridge's subnet is taken for a container, which rules let pass"
        } else {
            "stays within the bridge, where no rule looks (bridge netfilter is off)"
        };
        let what = format!("the interface {name} is a port of {bridge}: what comes in by it {way}");
        let check = match guarded {
            Some(container) => Check::not_safe("bridge-nf", format!("{what}, and reaches {}", container.name)),
            None => Check::warning("bridge-nf", format!("{what}; no guarded container is there")),
        };
        checks.push(check.fixed_by(format!("ip link set {} nomaster", shell_word(name))));
    }
    if checks.is_empty() {
        checks.push(Check::good("bridge-nf", calls(bridges.calls)));
    }
    checks
}

/// What the switches mean here.
fn calls(Calls { v4, v6 }: Calls) -> String {
    let word = |on: Option<bool>| if on == Some(true) { "on" } else { "off" };
    let consequence = match (v4.unwrap_or_default(), v6.unwrap_or_default()) {
        (false, false) => {
            "what containers of one network say to one another meets no rule, which ours leave alone anyway"
        }
        _ => "what containers of one network say to one another meets rules too, and ours let it pass",
    };
    format!("bridge netfilter is {} for IPv4 and {} for IPv6: {consequence}", word(v4), word(v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_the_switches_mean() {
        let said = calls(Calls { v4: Some(true), v6: None });
        assert!(said.starts_with("bridge netfilter is on for IPv4 and off for IPv6") && said.contains("let it pass"));
        assert!(calls(Calls { v4: Some(false), v6: Some(false) }).contains("meets no rule"));
    }
}
