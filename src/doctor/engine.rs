//! The engine: which it is, whether its packets pass through here, and what rules it writes itself.

use super::facts::{Filters, Setting, Settings};
use super::{Check, Evidence};
use crate::inventory::{Engine, Inventory};
use crate::net::Family;
use crate::ruleset::{Table, names};

/// Which engine it is, and whether its packets pass through here. One that lives elsewhere has been refused before.
pub(super) fn of(engine: &Engine) -> Vec<Check> {
    let about = format!("Docker {} (API {}), on this host", engine.version, engine.api);
    let namespace = match engine.shares_namespace {
        Some(true) => Check::good("namespace", "the engine's socket is held in this network namespace"),
        _ => Check::unknown(
            "namespace",
            "who holds the engine's socket cannot be seen, so that only its bridges show that it is in this network \
             namespace",
        )
        .fixed_by("docker network inspect bridge, and ip link: the bridge has to be there"),
    };
    vec![Check::good("engine", about), namespace]
}

/// Whether the engine writes rules, without which more arrives at containers than was published, and by other ways.
pub(super) fn rules(evidence: &Evidence<'_>) -> Check {
    let Evidence { inventory, state, filters, .. } = *evidence;
    if inventory.engine.firewall_backend.as_deref().is_some_and(|backend| backend.starts_with("nftables")) {
        return Check::good(
            "engine-rules",
            "the engine writes nftables rules of its own, beside which ours drop what they drop",
        );
    }
    let told = filters.settings.clone().unwrap_or_default();
    let off = |setting: &Option<Setting>| setting.clone().filter(|setting| !setting.on);
    if let Some(setting) = off(&told.iptables) {
        return Check::warning(
            "engine-rules",
            format!(
                "iptables=false in {}: Docker closes nothing, published ports are reached by docker-proxy alone, and \
                 containers see the bridge's address in place of their callers'; guarded ones are judged all the same",
                setting.place
            ),
        )
        .fixed_by(take_out("iptables", &setting));
    }
    let chain = |family| state.chain(family, Table::Filter, names::DOCKER).is_some();
    if !chain(Family::V4) {
        return Check::warning(
            "engine-rules",
            "Docker's chain DOCKER is gone: somebody flushed it, and published ports may be out of reach",
        )
        .fixed_by("systemctl restart docker");
    }
    let Some(setting) = off(&told.ip6tables).or_else(|| by_default(&told, inventory)) else {
        return Check::good("engine-rules", "the engine writes its rules, IPv4 and IPv6");
    };
    match addressed(inventory) {
        Some(name) => Check::warning(
            "engine-rules",
            format!(
                "ip6tables is off ({}): {name} has an IPv6 address that Docker closes to nobody, on all its ports; \
                 guarded containers are judged all the same",
                setting.place
            ),
        )
        .fixed_by(if setting.place == UNSET {
            "put \"ip6tables\": true, \"experimental\": true into /etc/docker/daemon.json, then systemctl restart docker"
                .to_owned()
        } else {
            take_out("ip6tables", &setting)
        }),
        None => Check::good(
            "engine-rules",
            format!("the engine writes its IPv4 rules; IPv6 comes by docker-proxy, for ip6tables is off ({})", setting.place),
        ),
    }
}

/// The place of a switch that nobody set.
const UNSET: &str = "this engine's default";

/// Engines before 27 write no IPv6 rules unless told to.
fn by_default(told: &Settings, inventory: &Inventory) -> Option<Setting> {
    let major = inventory.engine.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let off = told.ip6tables.is_none() && major.is_some_and(|major| major < 27);
    off.then(|| Setting { on: false, place: UNSET.to_owned() })
}

fn take_out(switch: &str, setting: &Setting) -> String {
    format!("take {switch}=false out of {}, then systemctl restart docker", setting.place)
}

/// A running container with an IPv6 address that the host forwards to.
fn addressed(inventory: &Inventory) -> Option<&str> {
    let mut running = inventory.containers.iter().filter(|container| container.running);
    let has = |container: &&crate::inventory::Container| {
        inventory.forwarded(container).any(|(endpoint, _)| endpoint.v6.is_some())
    };
    running.find(has).map(|container| container.name.as_str())
}

/// Which kind of iptables holds Docker's rules, and whether the other one holds any.
pub(super) fn flavour(filters: &Filters) -> Check {
    let (kind, reason) = &filters.flavour;
    let Some(other) = &filters.other else { return Check::good("flavour", format!("{kind}: {reason}")) };
    let place = |(family, chain, rules): &(Family, String, usize)| {
        format!("{family} {chain} ({})", super::count(*rules, "rule", "rules"))
    };
    let places: Vec<String> = other.chains.iter().map(place).collect();
    Check::warning(
        "flavour",
        format!(
            "packets meet the rules of both kinds of iptables: {kind} has Docker's and ours, {} has {}",
            other.name,
            places.join(", ")
        ),
    )
    .fixed_by(format!(
        "{0}-save shows the latter (IPv6: {1}-save); write what you need with {kind}, then {0} -D it, or reboot if nobody \
         does",
        other.name,
        other.name.replacen("iptables", "ip6tables", 1)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::super::facts::OtherKind;
    use super::*;

    #[test]
    fn rules_of_the_other_kind_are_named_with_their_place() {
        let mut filters = Filters { flavour: ("iptables-nft".into(), "because".into()), ..Filters::default() };
        assert_eq!(flavour(&filters).health, Health::Good);
        let chains = vec![(Family::V4, "filter/INPUT".to_owned(), 1)];
        filters.other = Some(OtherKind { name: "iptables-legacy".into(), chains });
        let check = flavour(&filters);
        assert_eq!(check.health, Health::Warning);
        assert!(check.text.ends_with("iptables-legacy has IPv4 filter/INPUT (1 rule)"), "{}", check.text);
    }
}
