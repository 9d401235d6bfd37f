//! The rows of swarm services: ports that every node publishes, which no container of this host has.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Row, spoken};
use crate::access::{service_access, strangers_pass_ingress};
use crate::cli::text::natural_order;
use crate::inventory::{Inventory, Service};
use crate::policy::{DefaultAccess, Policy, Target};
use crate::resolve::selects_service;
use crate::ruleset::Dump;

/// One row a published port. `differing` is the kernel's state when it does not hold what the policy says.
pub(super) fn rows(
    policy: &Policy,
    inventory: &Inventory,
    services: &[Service],
    now: Timestamp,
    differing: Option<&Dump>,
) -> Vec<Row> {
    let mut services: Vec<&Service> = services.iter().collect();
    services.sort_by(|a, b| natural_order(&a.name, &b.name));
    let mut rows = Vec::new();
    for service in services {
        let access = service_access(policy, inventory, service);
        for port in &service.ports {
            let known = access.of(port, now);
            let open = differing.map(|state| strangers_pass_ingress(state, inventory, port));
            let target = port.target.map_or_else(|| "?".to_owned(), |target| target.to_string());
            rows.push(Row {
                container: format!("service:{}", service.name),
                // dockerd keeps the port for IPv6 too, and answers nothing there.
                published: format!("0.0.0.0:{} ingress", port.published),
                port: format!("{target}/{}", port.protocol),
                access: spoken(&known, open),
                rules: known.rules,
                managed: access.guarded || !access.rules.is_empty(),
            });
        }
    }
    rows
}

/// One row for each service with containers here whose published ports only a manager knows.
pub(super) fn unknown(
    policy: &Policy,
    inventory: &Inventory,
    known: &[Service],
    meant: &dyn Fn(&Service) -> bool,
) -> Vec<Row> {
    let closed = policy.default == DefaultAccess::Closed;
    let (Some(reason), Some(ingress)) = (inventory.services_withheld(), &inventory.ingress) else { return Vec::new() };
    let on_ingress = inventory.containers.iter().filter(|container| {
        container.running && container.endpoints.iter().any(|endpoint| endpoint.network == ingress.network)
    });
    let names: BTreeSet<&str> = on_ingress.filter_map(|container| container.swarm_service()).collect();
    names
        .into_iter()
        .filter(|name| !known.iter().any(|service| service.name == *name))
        .filter(|name| meant(&Service { name: (*name).to_owned(), ..Service::default() }))
        .map(|name| Row {
            container: format!("service:{name}"),
            published: "ingress, unknown".to_owned(),
            port: String::new(),
            access: format!("{} ({reason})", if closed { "nobody" } else { "everyone" }),
            rules: Vec::new(),
            managed: closed,
        })
        .collect()
}

/// Whether any of `targets` means the service; none of them means all.
pub(super) fn is_meant(targets: &[Target], service: &Service, inventory: &Inventory) -> bool {
    targets.is_empty() || targets.iter().any(|target| selects_service(target, service, inventory))
}
