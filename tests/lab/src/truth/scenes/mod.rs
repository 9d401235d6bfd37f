//! The scenes: each a world and what is typed in it.

mod changes;
mod link;
mod rules;
mod ways;

pub(crate) use changes::CHANGES;
pub(crate) use link::{HOST_NETWORK, MACVLAN};
pub(crate) use rules::RULES;
pub(crate) use ways::WAYS;

use super::script::Phase;
use super::target::{BRIDGE, Network, Target};
use crate::Engine;

/// A world and a script.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Networks to be made, besides `bridge`.
    pub(crate) networks: &'static [Network],
    /// Who is tried to be reached. What needs a network that the engine has not got is left out.
    pub(crate) targets: &'static [Target],
    /// Containers that only try, each with its networks.
    pub(crate) callers: &'static [(&'static str, &'static [&'static str])],
    /// Over which targets sessions are held.
    pub(crate) held: &'static [&'static str],
    /// Every phase, in order. The first look, before anything is typed, is the baseline.
    pub(crate) script: &'static [Phase],
}

impl Scene {
    /// The network of that name.
    ///
    /// # Panics
    /// When a target names one that the scene has not got.
    pub(crate) fn network(&self, name: &str) -> &'static Network {
        let made = self.networks.iter().find(|network| network.name == name);
        made.or((name == BRIDGE.name).then_some(&BRIDGE)).expect("a network of the scene")
    }

    /// A network's name as the scene has it.
    pub(crate) fn network_name(&self, name: &str) -> Option<&'static str> {
        let made = self.networks.iter().map(|network| network.name);
        made.chain([BRIDGE.name]).find(|known| *known == name)
    }

    /// What an engine has of the networks.
    pub(crate) fn networks(&self, engine: Engine) -> impl Iterator<Item = &'static Network> {
        self.networks.iter().filter(move |network| network.since <= engine)
    }

    /// The targets that can be started on an engine.
    pub(crate) fn targets(&self, engine: Engine) -> impl Iterator<Item = &'static Target> {
        let has = move |name: &&str| self.network(name).since <= engine;
        self.targets.iter().filter(move |target| target.networks.iter().all(&has))
    }
}
