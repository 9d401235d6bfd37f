//! Ways that leave out the host's FORWARD chain: the host's own network, and networks that lead right to a container.

use super::View;
use crate::access::way::{Exposure, Road, Way};
use crate::access::{access_inside, host_ports_pass, named_access, ports_named, strangers_enter};
use crate::inventory::Container;
use crate::net::Family;
use crate::resolve::named_ports;

/// A container's addresses on networks whose packets come right to it, past the host.
pub(super) fn past_the_host(view: &View<'_>, container: &Container, blank: &Way) -> Vec<Way> {
    let (policy, inventory) = (view.policy, view.inventory);
    let inside = view.inside.get(container.id.as_str());
    let mut ports: Vec<_> = ports_named(policy, inventory, container).into_iter().map(Some).collect();
    let rest = if ports.is_empty() { "all" } else { "all others" };
    ports.push(None);
    let mut ways = Vec::new();
    for (endpoint, network) in inventory.sandboxed(container) {
        for own in Family::ALL.into_iter().filter_map(|family| endpoint.address(family)) {
            let family = Family::of(&own);
            for range in &ports {
                let known = access_inside(policy, inventory, container, (network, family), *range, view.now);
                let first = range.map(|range| (range.protocol, range.first));
                let open = || inside.is_none_or(|state| strangers_enter(state, own, first));
                let way = Way {
                    published: format!("{} {} {own}", network.driver, network.name),
                    port: range.map_or_else(|| rest.to_owned(), |range| range.to_string()),
                    road: Road::Driver(network.driver.clone()),
                    family: Some(family),
                    ..blank.clone()
                };
                ways.push(way.open_to(&known, view.differs.then(open)));
            }
        }
    }
    ways
}

/// A container on the host's network: the ports that rules name, and what is true of all others.
pub(super) fn host_network(view: &View<'_>, container: &Container, blank: &Way) -> Vec<Way> {
    let named = named_ports(view.policy, view.inventory, container);
    let mut ways = Vec::new();
    for ports in &named {
        let port = ports.range.to_string();
        let number = port.split('/').next().unwrap_or_default();
        for (family, host) in [(Family::V4, "0.0.0.0"), (Family::V6, "[::]")] {
            let known = named_access(view.policy, ports, family, view.now);
            let open = view.differing().map(|state| host_ports_pass(state, family, ports.range));
            let way = Way {
                published: format!("host {host}:{number}"),
                port: port.clone(),
                road: Road::Host,
                family: Some(family),
                managed: true,
                ..blank.clone()
            };
            ways.push(way.open_to(&known, open));
        }
    }
    ways.push(Way {
        published: "host network".to_owned(),
        port: if named.is_empty() { String::new() } else { "all others".to_owned() },
        road: Road::Host,
        from: "everyone (not guarded)".to_owned(),
        exposure: Exposure::World,
        rules: Vec::new(),
        managed: false,
        ..blank.clone()
    });
    ways
}
