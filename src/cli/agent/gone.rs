//! What events alone say about addresses that are free now.
//!
//! The engine answers nothing while it starts a container, which takes half a second at times. An address whose holder
//! anybody may reach would stay open for so long, and the container that starts may be the one that gets it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::cause::Cause;
use crate::docker::Event;
use crate::inventory::Inventory;

/// `known` without the addresses that were given back, if there are any: of containers that ended or left a network and of
/// which nothing later is told. It only takes away, so whoever is placed by it is where the engine put them.
pub(super) fn without(known: &Inventory, causes: &[(Instant, Cause)]) -> Option<Inventory> {
    // By container, from which network; `None` for all of them.
    let mut left: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (_, cause) in causes {
        let Cause::Event(Event { kind, action, container: Some(container), network, .. }) = cause else { continue };
        match (kind.as_str(), action.as_str()) {
            ("container", "die") => drop(left.insert(container, None)),
            ("network", "disconnect") => {
                left.entry(container).or_insert(network.as_deref());
            }
            ("container", "start") | ("network", "connect") => drop(left.remove(container.as_str())),
            _ => {}
        }
    }
    let mut inventory = known.clone();
    let mut changed = false;
    for container in &mut inventory.containers {
        let Some(network) = left.get(container.id.as_str()) else { continue };
        for endpoint in container.endpoints.iter_mut().filter(|one| network.is_none_or(|id| id == one.network)) {
            changed |= endpoint.v4.take().is_some();
            changed |= endpoint.v6.take().is_some();
        }
        if network.is_none() {
            changed |= std::mem::replace(&mut container.running, false);
        }
    }
    changed.then_some(inventory)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::inventory::{Container, Endpoint, NetworkMode};

    fn known() -> Inventory {
        let endpoint = |network: &str, last| Endpoint {
            network: network.to_owned(),
            v4: Some(Ipv4Addr::new(172, 17, 0, last)),
            v6: Some(Ipv4Addr::new(172, 17, 0, last).to_ipv6_mapped()),
        };
        let container = |id: &str, last| Container {
            id: id.to_owned(),
            name: id.to_owned(),
            labels: BTreeMap::new(),
            running: true,
            mode: NetworkMode::Own,
            endpoints: vec![endpoint("one", last), endpoint("two", last + 100)],
            bindings: Vec::new(),
            sandbox: None,
        };
        Inventory { containers: vec![container("a", 2), container("b", 3)], ..Inventory::default() }
    }

    fn said(kind: &str, action: &str, container: &str) -> (Instant, Cause) {
        let cause = Cause::Event(Event {
            kind: kind.to_owned(),
            action: action.to_owned(),
            about: String::new(),
            container: Some(container.to_owned()),
            network: (kind == "network").then(|| "two".to_owned()),
        });
        (Instant::now(), cause)
    }

    fn addresses(inventory: &Inventory) -> Vec<(bool, usize)> {
        let count = |endpoint: &Endpoint| usize::from(endpoint.v4.is_some()) + usize::from(endpoint.v6.is_some());
        inventory.containers.iter().map(|one| (one.running, one.endpoints.iter().map(count).sum())).collect()
    }

    #[test]
    fn who_ended_has_none() {
        let after = without(&known(), &[said("network", "disconnect", "a"), said("container", "die", "a")]).unwrap();
        assert_eq!(addresses(&after), [(false, 0), (true, 4)]);
        let either = without(&known(), &[said("container", "die", "b"), said("network", "disconnect", "b")]).unwrap();
        assert_eq!(addresses(&either), [(true, 4), (false, 0)]);
    }

    #[test]
    fn who_left_a_network_has_the_others() {
        let after = without(&known(), &[said("network", "disconnect", "a")]).unwrap();
        assert_eq!(addresses(&after), [(true, 2), (true, 4)]);
    }

    #[test]
    fn who_came_back_is_the_engines_to_say() {
        assert_eq!(without(&known(), &[said("container", "die", "a"), said("container", "start", "a")]), None);
        let back = [said("network", "disconnect", "a"), said("network", "connect", "a")];
        assert_eq!(without(&known(), &back), None);
        assert_eq!(without(&known(), &[said("container", "die", "c"), (Instant::now(), Cause::Tick)]), None);
    }
}
