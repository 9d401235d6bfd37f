//! Ways that leave out the host's FORWARD chain: the host's own network, and networks that lead right to a container.

use super::View;
use crate::access::way::{Exposure, Lead, Road, Way};
use crate::access::{Ruled, named_access, ports};
use crate::inventory::Container;
use crate::net::Family;
use crate::resolve::named_ports;

/// A container's addresses on networks whose packets come right to it, past the host.
pub(super) fn past_the_host(view: &View<'_>, container: &Container, ruled: &Ruled<'_>, blank: &Way) -> Vec<Way> {
    let named = ports::named(ruled, &[]);
    let rest = if named.is_empty() { "all" } else { "all others" };
    let mut ways = Vec::new();
    for (endpoint, network) in view.inventory.sandboxed(container) {
        for own in Family::ALL.into_iter().filter_map(|family| endpoint.address(family)) {
            let family = Family::of(&own);
            for range in named.iter().copied().map(Some).chain([None]) {
                let access = ruled.reading(family, view.now, |rule| {
                    let here = rule.interface.is_none() || rule.interface == network.parent;
                    here && ports::speaks(rule, range)
                });
                let (protocol, port) = ports::tried(&named, range);
                let way = Way {
                    published: format!("{} {} {own}", network.driver, network.name),
                    port: range.map_or_else(|| rest.to_owned(), |range| range.to_string()),
                    road: Road::Driver(network.driver.clone()),
                    family: Some(family),
                    ..blank.clone()
                };
                ways.push(way.open_to(access, Lead::Wire, &container.id, vec![(protocol, Some(own), port)]));
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
            // What the kernel lacks of a range, it lacks as a whole.
            let ends = [ports.range.first, ports.range.last];
            let to = ends.into_iter().map(|end| (ports.range.protocol, None, end)).collect();
            let way = Way {
                published: format!("host {host}:{number}"),
                port: port.clone(),
                road: Road::Host,
                family: Some(family),
                managed: true,
                ..blank.clone()
            };
            ways.push(way.open_to(known, Lead::Host, &container.id, to));
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
