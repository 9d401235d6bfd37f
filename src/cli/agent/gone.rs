//! Addresses that were given back, by what the engine's events say.
//!
//! An event of a container that ended or left a network comes before the engine's list knows of it, by half a second where
//! the engine has much to do; and while it starts a container it answers nothing at all. Whoever believed that list would
//! hold an address open for a holder that is gone, and the container that starts may be the one that gets it. So what
//! events say of departures counts until the list says it too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::cause::Cause;
use crate::docker::Event;
use crate::inventory::{Container, Inventory};

/// After this the list is believed again: the event of the container's next start may have been lost.
const BELIEVED: Duration = Duration::from_secs(10);

/// What a container gave back.
#[derive(Debug, Default)]
struct Left {
    /// It ended.
    ended: bool,
    /// The networks that it left.
    networks: BTreeSet<String>,
    /// When that was heard of last.
    at: Option<Instant>,
}

/// Containers of which events said that they gave addresses back, and the list has not said so yet; by full ID.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<String, Left>);

impl Gone {
    /// Hears what happened, in its order.
    pub(super) fn hear(&mut self, causes: &[(Instant, Cause)]) {
        for (at, cause) in causes {
            let Cause::Event(Event { kind, action, container: Some(container), network, .. }) = cause else { continue };
            match (kind.as_str(), action.as_str(), network) {
                ("container", "die", _) | ("network", "disconnect", None) => self.of(container, *at).ended = true,
                ("network", "disconnect", Some(network)) => {
                    self.of(container, *at).networks.insert(network.clone());
                }
                // Its new places on networks are told before: until then it may be the old ones that the list has.
                ("container", "start", _) => drop(self.0.remove(container)),
                ("network", "connect", Some(network)) => {
                    if let Some(left) = self.0.get_mut(container) {
                        left.networks.remove(network);
                    }
                }
                _ => {}
            }
        }
        self.0.retain(|_, left| left.at.is_some_and(|at| at.elapsed() < BELIEVED));
    }

    fn of(&mut self, container: &str, at: Instant) -> &mut Left {
        let left = self.0.entry(container.to_owned()).or_default();
        left.at = left.at.max(Some(at));
        left
    }

    /// Forgets everything: an engine that was lost is another one, or knows by now.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Takes the addresses that were given back out of `inventory`; answers whether there were any. It only takes away, so
    /// whoever keeps one is where the engine put them.
    pub(super) fn take_from(&self, inventory: &mut Inventory) -> bool {
        let mut taken = false;
        for container in &mut inventory.containers {
            let Some(left) = self.0.get(&container.id) else { continue };
            let gone = |network: &String| left.ended || left.networks.contains(network);
            for endpoint in container.endpoints.iter_mut().filter(|endpoint| gone(&endpoint.network)) {
                taken |= endpoint.v4.take().is_some();
                taken |= endpoint.v6.take().is_some();
            }
            if left.ended {
                taken |= std::mem::replace(&mut container.running, false);
            }
        }
        taken
    }

    /// What is left of `known` without them; `None` where none of it was given back.
    pub(super) fn left_of(&self, known: &Inventory) -> Option<Inventory> {
        // Most causes tell of nobody who left, and then a copy is not worth its time.
        let is_named = |container: &Container| self.0.contains_key(&container.id);
        let mut left = known.containers.iter().any(is_named).then(|| known.clone())?;
        self.take_from(&mut left).then_some(left)
    }

    /// The same for what the engine says at this moment: what it says of a departure itself is settled.
    pub(super) fn correct(&mut self, listed: &mut Inventory) {
        self.0.retain(|id, left| {
            let Some(container) = listed.containers.iter().find(|container| container.id == *id) else { return false };
            left.ended &= container.running;
            left.networks.retain(|network| has_address(container, network));
            left.ended || !left.networks.is_empty()
        });
        self.take_from(listed);
    }
}

fn has_address(container: &Container, network: &str) -> bool {
    let on = |endpoint: &&crate::inventory::Endpoint| endpoint.network == network;
    container.endpoints.iter().filter(on).any(|endpoint| endpoint.v4.is_some() || endpoint.v6.is_some())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::inventory::{Container, Endpoint, Labels, NetworkMode};

    fn known() -> Inventory {
        let endpoint = |network: &str, last| Endpoint {
            network: network.to_owned(),
            v4: Some(Ipv4Addr::new(172, 17, 0, last)),
            v6: Some(Ipv4Addr::new(172, 17, 0, last).to_ipv6_mapped()),
        };
        let container = |id: &str, last| Container {
            id: id.to_owned(),
            name: id.to_owned(),
            labels: Labels::default(),
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

    /// What is left of `known` after these events; `None` where nothing is taken away.
    fn without(causes: &[(Instant, Cause)]) -> Option<Inventory> {
        let mut gone = Gone::default();
        gone.hear(causes);
        let mut inventory = known();
        gone.take_from(&mut inventory).then_some(inventory)
    }

    #[test]
    fn who_ended_has_none() {
        let after = without(&[said("network", "disconnect", "a"), said("container", "die", "a")]).unwrap();
        assert_eq!(addresses(&after), [(false, 0), (true, 4)]);
        let either = without(&[said("container", "die", "b"), said("network", "disconnect", "b")]).unwrap();
        assert_eq!(addresses(&either), [(true, 4), (false, 0)]);
    }

    #[test]
    fn who_left_a_network_has_the_others() {
        let after = without(&[said("network", "disconnect", "a")]).unwrap();
        assert_eq!(addresses(&after), [(true, 2), (true, 4)]);
    }

    #[test]
    fn who_came_back_is_the_engines_to_say() {
        assert_eq!(without(&[said("container", "die", "a"), said("container", "start", "a")]), None);
        assert_eq!(without(&[said("network", "disconnect", "a"), said("network", "connect", "a")]), None);
        assert_eq!(without(&[said("container", "die", "c"), (Instant::now(), Cause::Tick)]), None);
    }

    #[test]
    fn a_list_that_is_late_is_not_believed() {
        let mut gone = Gone::default();
        gone.hear(&[said("container", "die", "a"), said("network", "disconnect", "b")]);
        // However often it is asked.
        for _ in 0..2 {
            let mut late = known();
            gone.correct(&mut late);
            assert_eq!(addresses(&late), [(false, 0), (true, 2)]);
        }
        // Once it has said so itself, what it says afterwards holds.
        let mut settled = known();
        settled.containers[0].running = false;
        settled.containers.remove(1);
        gone.correct(&mut settled);
        let mut later = known();
        gone.correct(&mut later);
        assert_eq!(later, known());
    }

    #[test]
    fn a_place_on_a_network_is_not_a_start_yet() {
        let mut gone = Gone::default();
        gone.hear(&[
            said("container", "die", "a"),
            said("network", "disconnect", "a"),
            said("network", "connect", "a"),
        ]);
        let mut listed = known();
        gone.correct(&mut listed);
        assert_eq!(addresses(&listed), [(false, 0), (true, 4)]);
        gone.hear(&[said("container", "start", "a")]);
        let mut listed = known();
        gone.correct(&mut listed);
        assert_eq!(listed, known());
    }

    #[test]
    fn after_a_while_the_list_is_believed() {
        let mut gone = Gone::default();
        let (_, cause) = said("container", "die", "a");
        if let Some(long_ago) = Instant::now().checked_sub(2 * BELIEVED) {
            gone.hear(&[(long_ago, cause)]);
            assert!(!gone.take_from(&mut known()));
        }
    }
}
