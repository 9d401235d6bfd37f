//! Containers' own addresses, where the engine leaves them to whoever is routed to the host.
//!
//! Engines up to 27 do with a FORWARD chain that accepts, all do with `iptables=false`, and newer ones on networks of the
//! mode nat-unprotected (moby `libnetwork/drivers/bridge`). Our rules hold there too.

use super::View;
use crate::access::way::{Exposure, Road, Way};
use crate::access::{ports_named, read_off, stranger_passes};
use crate::inventory::Container;
use crate::net::{Family, Protocol};
use crate::policy::Rule;
use crate::ruleset::{Dump, Path, Table, names};

/// A way for each range of ports of which the rules say the same, unless it is closed.
pub(super) fn ways(view: &View<'_>, container: &Container, blank: &Way) -> Vec<Way> {
    let (policy, inventory) = (view.policy, view.inventory);
    let (Some(kernel), Some(_)) = (view.kernel, &view.forwarded) else { return Vec::new() };
    let mut ranges: Vec<_> = ports_named(policy, inventory, container).into_iter().map(Some).collect();
    let rest = if ranges.is_empty() { "all" } else { "all others" };
    ranges.push(None);
    let mut ways = Vec::new();
    for (endpoint, network) in inventory.forwarded(container).filter(|(_, network)| !network.internal) {
        let Some(bridge) = &network.bridge else { continue };
        let addresses = Family::ALL.into_iter().filter_map(|family| Some((family, endpoint.address(family)?)));
        for (family, address) in addresses.filter(|(family, _)| is_left_open(kernel, *family, bridge)) {
            for range in &ranges {
                let speaks = |rule: &Rule| match (&rule.ports.container, range) {
                    (None, _) => rule.ports.published.is_none(),
                    (Some(own), Some(range)) => own.contains(range.protocol, range.first),
                    (Some(_), None) => false,
                };
                let known = read_off(policy, inventory, container, family, view.now, speaks);
                let (protocol, port) = range.map_or((Protocol::Tcp, 1), |range| (range.protocol, range.first));
                let passes = |state| stranger_passes(state, Path::Forward, (address, protocol, port), None);
                let way = Way {
                    published: address.to_string(),
                    port: range.map_or_else(|| rest.to_owned(), |range| range.to_string()),
                    road: Road::Direct,
                    family: Some(family),
                    ..blank.clone()
                };
                let way = way.open_to(&known, view.differing().map(passes));
                ways.push(Way { from: format!("{} (routed to it)", way.from), ..way });
            }
        }
    }
    ways.retain(|way| way.exposure != Exposure::Closed);
    ways
}

/// Whether nothing of Docker's stops a packet that is routed to an address behind `bridge`. What others' rules do is not
/// asked: more is said than is open, never less.
fn is_left_open(kernel: &Dump, family: Family, bridge: &str) -> bool {
    let accepts = kernel
        .chain(family, Table::Filter, names::FORWARD)
        .is_some_and(|chain| chain.policy.as_deref() == Some("ACCEPT"));
    let stop = format!("! -i {bridge} -o {bridge} -j DROP");
    let stopped = kernel
        .chain(family, Table::Filter, names::DOCKER)
        .is_some_and(|chain| chain.lines.iter().any(|line| line.text == stop));
    accepts && !stopped
}
