//! What a policy says that the world does not bear out.

use std::net::IpAddr;

use crate::policy::Target;

/// Something a rule says that the world does not bear out. `rule` is an index into the policy's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// No container, service, label or network is meant.
    NoTarget {
        /// Which rule.
        rule: usize,
        /// The target.
        target: Target,
        /// Names of the same kind that exist.
        candidates: Vec<String>,
    },
    /// Our sets have none of that name.
    NoSet {
        /// Which rule.
        rule: usize,
        /// The set.
        set: String,
    },
    /// The kernel has no ipset of that name.
    NoIpset {
        /// Which rule.
        rule: usize,
        /// The kernel name.
        ipset: String,
    },
    /// The container has no address of its own: another one's rules decide.
    SharesNetwork {
        /// Which rule.
        rule: usize,
        /// The container named.
        container: String,
        /// Whose network it uses; an ID where there is no such container any more.
        owner: String,
        /// Whether there is one.
        known: bool,
        /// The target is its name.
        named: bool,
    },
    /// The container lives on the host's network, and the rule names no port.
    HostNetwork {
        /// Which rule.
        rule: usize,
        /// The container.
        container: String,
        /// The target is its name.
        named: bool,
    },
    /// The rule names more ports of a container on the host's network than are guarded one by one.
    TooManyPorts {
        /// Which rule.
        rule: usize,
        /// The container.
        container: String,
        /// How many.
        count: u32,
        /// The target is its name.
        named: bool,
    },
    /// Rules of several containers on the host's network judge the same ports differently; these are closed, for nobody
    /// can say whose they are.
    SharedPorts {
        /// The ports.
        ports: String,
        /// The containers.
        containers: Vec<String>,
    },
    /// The container has an address whose packets cross no chain that rules are put into (ipvlan's mode l3s, overlay,
    /// drivers of others).
    NotForwarded {
        /// Which rule.
        rule: usize,
        /// The container.
        container: String,
        /// The network.
        network: String,
        /// Its driver.
        driver: String,
        /// It has no other address, so that no rule can guard it.
        only: bool,
    },
    /// Which ports of swarm services the target means is not known here: they stay open unless rules name them.
    ServicesUnknown {
        /// Which rule.
        rule: usize,
        /// The target.
        target: Target,
        /// Why.
        reason: String,
        /// The published ports that the rule names, which are taken on trust for a service that it names.
        named: Option<String>,
    },
    /// The container is a task of a swarm service, whose name no other task will have.
    TaskName {
        /// Which rule.
        rule: usize,
        /// The container.
        container: String,
        /// The service.
        service: String,
    },
    /// No target publishes such a port.
    NotPublished {
        /// Which rule.
        rule: usize,
        /// What was asked for.
        ports: String,
        /// What the targets do publish.
        published: Vec<String>,
    },
    /// Two containers claim one address; it is closed, for nobody can say whose rules hold.
    SharedAddress {
        /// The address.
        address: IpAddr,
        /// Both names.
        containers: Vec<String>,
    },
    /// An earlier rule always decides first.
    NeverMatches {
        /// Which rule.
        rule: usize,
        /// The earlier one.
        because: usize,
    },
}

impl Finding {
    /// The index of the rule it is about, if it is about one.
    pub fn rule(&self) -> Option<usize> {
        match self {
            Self::NoTarget { rule, .. }
            | Self::NoSet { rule, .. }
            | Self::NoIpset { rule, .. }
            | Self::SharesNetwork { rule, .. }
            | Self::HostNetwork { rule, .. }
            | Self::TooManyPorts { rule, .. }
            | Self::NotForwarded { rule, .. }
            | Self::ServicesUnknown { rule, .. }
            | Self::TaskName { rule, .. }
            | Self::NotPublished { rule, .. }
            | Self::NeverMatches { rule, .. } => Some(*rule),
            Self::SharedAddress { .. } | Self::SharedPorts { .. } => None,
        }
    }
}
