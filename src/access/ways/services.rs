//! Ports of swarm services, which every node publishes and no container of this host has.

use std::collections::BTreeSet;

use super::View;
use crate::access::service_access;
use crate::access::way::{Exposure, Lead, Resident, Road, Way};
use crate::inventory::Service;
use crate::net::Family;
use crate::policy::DefaultAccess;

/// One way a published port, in the order of `services`.
pub fn service_ways(view: &View<'_>, services: &[&Service]) -> Vec<Way> {
    let mut ways = Vec::new();
    for service in services {
        let access = service_access(view.policy, view.inventory, service);
        let managed = access.guarded || !access.rules.is_empty();
        let blank = Way::to(Resident::service(service, view.inventory), managed);
        for port in &service.ports {
            let known = access.of(port, view.now);
            let target = port.target.map_or_else(|| "?".to_owned(), |target| target.to_string());
            let way = Way {
                // dockerd keeps the port for IPv6 too, and answers nothing there.
                published: format!("0.0.0.0:{} ingress", port.published),
                port: format!("{target}/{}", port.protocol),
                road: Road::Ingress,
                family: Some(Family::V4),
                ..blank.clone()
            };
            ways.push(way.open_to(known, Lead::Through, "", vec![(port.protocol, None, port.published)]));
        }
    }
    view.tried(&mut ways);
    ways
}

/// One way for each service with containers here whose published ports only a manager knows.
pub fn withheld_ways(view: &View<'_>, known: &[Service], meant: &dyn Fn(&Service) -> bool) -> Vec<Way> {
    let inventory = view.inventory;
    let closed = view.policy.default == DefaultAccess::Closed;
    let (Some(reason), Some(ingress)) = (inventory.services_withheld(), &inventory.ingress) else { return Vec::new() };
    let on_ingress = inventory.containers.iter().filter(|container| {
        container.running && container.endpoints.iter().any(|endpoint| endpoint.network == ingress.network)
    });
    let names: BTreeSet<&str> = on_ingress.filter_map(|container| container.swarm_service()).collect();
    let services = names
        .into_iter()
        .filter(|name| !known.iter().any(|service| service.name == *name))
        .map(|name| Service { name: name.to_owned(), ..Service::default() });
    services
        .filter(|service| meant(service))
        .map(|service| Way {
            published: "ingress, unknown".to_owned(),
            road: Road::Ingress,
            from: format!("{} ({reason})", if closed { "nobody" } else { "everyone" }),
            exposure: if closed { Exposure::Closed } else { Exposure::World },
            ..Way::to(Resident::service(&service, inventory), closed)
        })
        .collect()
}
