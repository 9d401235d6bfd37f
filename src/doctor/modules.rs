//! The parts of the kernel that rules and sets need.

use std::collections::BTreeSet;

use super::facts::{Module, Modules, Presence};
use super::{Check, Evidence};
use crate::ruleset::is_own_set;

const NO_RULE: &str = "no rule can be written";

/// What rules need of the kernel, whichever kind of iptables writes them.
pub const NEEDED: [Module; 9] = [
    Module { name: "ip_set", option: "IP_SET", cost: NO_RULE },
    Module { name: "ip_set_hash_ip", option: "IP_SET_HASH_IP", cost: "there are no sets of single addresses" },
    Module { name: "ip_set_hash_net", option: "IP_SET_HASH_NET", cost: NO_RULE },
    Module {
        name: "ip_set_hash_netiface",
        option: "IP_SET_HASH_NETIFACE",
        cost: "containers cannot be told from strangers, so no rule can be written",
    },
    Module {
        name: "ip_set_hash_netport",
        option: "IP_SET_HASH_NETPORT",
        cost: "docker-proxy's ports cannot be guarded",
    },
    Module { name: "ip_set_hash_ipport", option: "IP_SET_HASH_IPPORT", cost: "rules cannot name ports" },
    Module {
        name: "ip_set_hash_ipportnet",
        option: "IP_SET_HASH_IPPORTNET",
        cost: "rules cannot name ports and blocks together",
    },
    Module { name: "xt_set", option: "NETFILTER_XT_SET", cost: NO_RULE },
    Module { name: "xt_conntrack", option: "NETFILTER_XT_MATCH_CONNTRACK", cost: NO_RULE },
];

/// Whether they are there. What the kernel holds already proves itself.
pub(super) fn check(modules: &Modules, evidence: Option<&Evidence<'_>>) -> Check {
    let proven = evidence.map(proven).unwrap_or_default();
    let those = |wanted: Presence| -> Vec<&Module> {
        let is = |module: &&Module| modules.presence.get(module.name) == Some(&wanted) && !proven.contains(module.name);
        NEEDED.iter().filter(is).collect()
    };
    let missing = those(Presence::Missing);
    if !missing.is_empty() {
        let costs: Vec<String> = missing.iter().map(|module| format!("{} ({})", module.name, module.cost)).collect();
        let text = format!("this kernel, {}, lacks {}", modules.release, costs.join(", "));
        // Where no rule is wanted, nobody counts on one.
        let wanted = evidence.is_none_or(|evidence| !evidence.desired.tables.is_empty());
        let check = if wanted { Check::not_safe("modules", text) } else { Check::warning("modules", text) };
        return check.fixed_by(if modules.directory {
            format!(
                "install the rest of the kernel's modules (Ubuntu: apt install linux-modules-extra-{0}; Fedora: dnf install \
                 kernel-modules-extra-{0}), then modprobe {1}",
                modules.release, missing[0].name
            )
        } else {
            format!(
                "reboot, for the modules of the running kernel are not in /lib/modules/{} any more; then modprobe {}",
                modules.release, missing[0].name
            )
        });
    }
    let untold = those(Presence::Untold);
    if untold.is_empty() {
        return Check::good("modules", "the kernel has the kinds of sets and matches that rules need");
    }
    let names: Vec<&str> = untold.iter().map(|module| module.name).collect();
    let text = format!("neither the kernel nor /lib/modules/{} tells of {}", modules.release, names.join(", "));
    Check::unknown("modules", text).fixed_by(format!("modprobe --dry-run --verbose {}", names.join(" ")))
}

/// The modules without which the kernel would not hold what it holds.
fn proven(evidence: &Evidence<'_>) -> BTreeSet<String> {
    let state = evidence.state;
    let mut proven: BTreeSet<String> = state
        .sets
        .iter()
        .filter(|(name, _)| is_own_set(name))
        .map(|(_, set)| format!("ip_{}", set.shape.kind.name().replacen("hash:", "set_hash_", 1).replace(',', "")))
        .collect();
    // A set of any kind.
    if !state.sets.is_empty() {
        proven.insert("ip_set".to_owned());
    }
    let chains = state.tables.values().flat_map(|table| table.chains.values());
    for line in chains.flat_map(|chain| &chain.lines) {
        for (word, module) in [("-m set ", "xt_set"), ("-m conntrack ", "xt_conntrack")] {
            if line.text.contains(word) {
                proven.insert(module.to_owned());
            }
        }
    }
    proven
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    fn with(presence: Presence) -> Modules {
        let mut modules = Modules { release: "6.1.0".into(), directory: true, ..Modules::default() };
        modules.presence = NEEDED.iter().map(|module| (module.name, Presence::Loadable)).collect();
        modules.presence.insert("ip_set_hash_netiface", presence);
        modules
    }

    #[test]
    fn what_is_missing_is_named_with_its_cost_and_its_way_back() {
        for (presence, health) in [
            (Presence::Here, Health::Good),
            (Presence::Loadable, Health::Good),
            (Presence::Untold, Health::Unknown),
            (Presence::Missing, Health::Unsafe),
        ] {
            assert_eq!(check(&with(presence), None).health, health, "{presence:?}");
        }
        let mut missing = with(Presence::Missing);
        let said = check(&missing, None);
        assert!(said.text.contains("ip_set_hash_netiface (containers cannot be told"), "{}", said.text);
        assert!(said.fix.unwrap().ends_with("then modprobe ip_set_hash_netiface"));
        missing.directory = false;
        assert!(check(&missing, None).fix.unwrap().starts_with("reboot"));
    }
}
