//! Ways into containers: those that no rule here closes, docker-proxy's, and those of a swarm.

use super::{Check, Evidence};
use crate::access::{beyond_reach, is_guarded, rules_of, unforwarded};
use crate::inventory::{Container, NetworkMode};
use crate::net::Family;
use crate::policy::shell_word;
use crate::resolve::named_ports;
use crate::ruleset::{Action, Table, is_own_chain};

/// Ways into containers that rules speak of and that no rule here closes.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Check> {
    let Evidence { policy, inventory, .. } = *evidence;
    let mut checks = Vec::new();
    let running = inventory.containers.iter().filter(|container| container.running);
    for container in running {
        let spoken_of = is_guarded(policy, inventory, container) || !rules_of(policy, inventory, container).is_empty();
        if !spoken_of || matches!(container.mode, NetworkMode::Container(_)) {
            continue;
        }
        let name = &container.name;
        if container.mode == NetworkMode::Host && !named_ports(policy, inventory, container).is_empty() {
            let what =
                format!("{name} is on the host's network: its ports that rules name are judged, all others are not");
            checks.push(Check::warning("ways-in", what).fixed_by(format!(
                "{} allow {} --from SOURCE --port PORT, for each of them that strangers shall not reach",
                evidence.host.program,
                shell_word(name)
            )));
            continue;
        }
        if let Some(place) = beyond_reach(inventory, container) {
            checks.push(
                Check::not_safe("ways-in", format!("{name} is on {place}, where no rule made here reaches")).fixed_by(
                    format!("give {name} a bridge network and publish its ports, or guard it where its packets pass"),
                ),
            );
            continue;
        }
        for network in unforwarded(inventory, container) {
            let (driver, net) = (&network.driver, &network.name);
            checks.push(
                Check::not_safe(
                    "ways-in",
                    format!("{name} has an address on the {driver} network {net}, which is not guarded"),
                )
                .fixed_by(format!(
                    "docker network disconnect {} {}, or guard it where its packets pass",
                    shell_word(net),
                    shell_word(name)
                )),
            );
        }
    }
    if checks.is_empty() {
        checks.push(Check::good("ways-in", "every way into the containers that rules speak of is guarded"));
    }
    checks
}

/// What a swarm publishes on this node, and whether it can be judged here.
pub(super) fn swarm(evidence: &Evidence<'_>) -> Vec<Check> {
    let Some(ingress) = &evidence.inventory.ingress else { return Vec::new() };
    let mut checks = Vec::new();
    if let Some(reason) = evidence.inventory.services_withheld() {
        let text = format!(
            "{reason}: published ports of services are guarded only if a rule names them, or if this node knew them before"
        );
        checks.push(
            Check::warning("swarm", text)
                .fixed_by(format!("{} allow service:NAME --published PORT ...", evidence.host.program)),
        );
    }
    let judged = ingress.addresses.iter().filter(|address| !evidence.desired.tables.is_empty() && address.is_ipv4());
    if judged.count() > 0 && !evidence.state.tables.contains_key(&(Family::V4, Table::Security)) {
        let text = "dockerd puts its DOCKER-INGRESS above DOCKER-USER when a service comes, and there is no backstop";
        let fix = format!("{} apply --hook forward, after each new service", evidence.host.program);
        checks.push(Check::not_safe("swarm", text).fixed_by(fix));
    }
    if checks.is_empty() {
        checks.push(Check::good("swarm", "published ports of services are judged where they arrive"));
    }
    checks
}

/// docker-proxy calls containers that have no IPv6 address for who comes over IPv6: judged where it listens, or nowhere.
pub(super) fn proxy(evidence: &Evidence<'_>) -> Check {
    let Evidence { policy, inventory, state, filters, .. } = *evidence;
    let six = filters.proxies.iter().filter(|proxy| proxy.from.0.is_ipv6() && proxy.to.0.is_ipv4());
    let whose = |address: std::net::IpAddr| {
        let has = |container: &&Container| {
            container.running
                && container.endpoints.iter().any(|endpoint| endpoint.address(Family::V4) == Some(address))
        };
        inventory.containers.iter().find(has)
    };
    let ways: Vec<(String, &Container)> = six
        .filter_map(|proxy| {
            let container = whose(proxy.to.0).filter(|container| is_guarded(policy, inventory, container))?;
            let (address, port) = proxy.from;
            Some((
                format!("[{address}]:{port} leads to {} {}/{}", container.name, proxy.to.1, proxy.protocol),
                container,
            ))
        })
        .collect();
    let Some((way, _)) = ways.first() else {
        return Check::good("proxy-v6", "no guarded container is reached over IPv6 by docker-proxy alone");
    };
    let calls = |table| {
        let lines = state.chain(Family::V6, table, "INPUT").map(|chain| chain.lines.as_slice()).unwrap_or_default();
        lines.iter().filter_map(|line| line.rule.as_ref()).any(|rule| match &rule.action {
            Action::Jump(chain) | Action::Goto(chain) => is_own_chain(chain),
            _ => false,
        })
    };
    if [Table::Filter, Table::Security].into_iter().any(calls) {
        return Check::good(
            "proxy-v6",
            format!("IPv6 callers come by docker-proxy ({way}), and are judged at INPUT, where it listens"),
        );
    }
    let text = format!("INPUT does not call our chains, so docker-proxy takes what any IPv6 caller sends ({way})");
    Check::not_safe("proxy-v6", text).fixed_by(format!("{} apply", evidence.host.program))
}
