//! Containers' own addresses, where the engine leaves them to whoever is routed to the host.
//!
//! Engines up to 27 do with a FORWARD chain that accepts, and with any for ports that are published; all do with
//! `iptables=false`, and newer ones on networks of the mode nat-unprotected (moby `libnetwork/drivers/bridge`). Our rules
//! hold there too. Only a look at the kernel tells.

use super::View;
use crate::access::way::{Exposure, Lead, Road, Way};
use crate::access::{Ruled, ports};
use crate::inventory::Container;
use crate::net::{Family, PortRange};

/// A way for each range of ports of which the rules say the same, unless it is closed.
pub(super) fn ways(view: &View<'_>, container: &Container, ruled: &Ruled<'_>, blank: &Way) -> Vec<Way> {
    // Where Docker writes nftables of its own, iptables say nothing of what it forwards.
    let nftables = view.inventory.engine.firewall_backend.as_deref().is_some_and(|name| name.starts_with("nftables"));
    if view.onlooker.is_none() || nftables {
        return Vec::new();
    }
    let single = |port, protocol| PortRange { protocol, first: port, last: port };
    let published: Vec<_> = container.bindings.iter().map(|own| single(own.container_port, own.protocol)).collect();
    let named = ports::named(ruled, &published);
    let rest = if named.is_empty() { "all" } else { "all others" };
    let mut ways = Vec::new();
    for (endpoint, _) in view.inventory.forwarded(container).filter(|(_, network)| network.bridge.is_some()) {
        for address in Family::ALL.into_iter().filter_map(|family| endpoint.address(family)) {
            let family = Family::of(&address);
            let mut here = Vec::new();
            for range in named.iter().copied().map(Some).chain([None]) {
                let access = ruled.reading(family, view.now, |rule| ports::speaks(rule, range));
                let (protocol, port) = ports::tried(&named, range);
                let way = Way {
                    published: address.to_string(),
                    port: range.map_or_else(|| rest.to_owned(), |range| range.to_string()),
                    road: Road::Direct,
                    family: Some(family),
                    ..blank.clone()
                };
                here.push(way.open_to(access, Lead::Through, &container.id, vec![(protocol, Some(address), port)]));
            }
            view.tried(&mut here);
            ways.extend(joined(here, rest));
        }
    }
    ways.retain(|way| way.exposure != Exposure::Closed);
    for way in &mut ways {
        // What Docker keeps closed at the container's own address, no rule of ours opens: that is no difference.
        way.from.push_str(" (routed to it)");
    }
    ways
}

/// Ports that only a binding cut out, and of which the same is true as of all others, are not worth a line.
fn joined(ways: Vec<Way>, rest: &str) -> Vec<Way> {
    let Some(last) = ways.last().cloned() else { return ways };
    let same = |way: &Way| {
        (&way.from, way.exposure, &way.rules, &way.intended) == (&last.from, last.exposure, &last.rules, &last.intended)
    };
    let mut kept: Vec<Way> = ways.into_iter().filter(|way| way.port == rest || !same(way)).collect();
    if let [only] = kept.as_mut_slice() {
        "all".clone_into(&mut only.port);
    }
    kept
}
