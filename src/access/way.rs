//! Ways into a container, each with who can come in by it: the rows of `ls`, of its page and of `graph`.

use std::collections::BTreeMap;
use std::fmt;

use super::{Access, Who};
use crate::inventory::{Container, Inventory, Service};
use crate::net::Family;
use crate::resolve::Owner;

/// How far a way is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exposure {
    /// Nobody outside of the host comes in.
    Closed,
    /// Somebody does, not everybody.
    Restricted,
    /// Everybody whose packets arrive.
    World,
}

impl Exposure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::World, Self::Restricted, Self::Closed];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Restricted => "restricted",
            Self::World => "world",
        }
    }
}

impl From<&Access> for Exposure {
    fn from(access: &Access) -> Self {
        match access.who {
            Who::Everyone => Self::World,
            Who::Sources(_) => Self::Restricted,
            Who::Nobody | Who::HostOnly => Self::Closed,
        }
    }
}

/// By what a packet gets there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Road {
    /// The kernel rewrites a port of the host.
    Dnat,
    /// docker-proxy answers on a port of the host.
    Proxy,
    /// The container's own address, routed by the host.
    Direct,
    /// The host's own network.
    Host,
    /// Another network driver, past the host's chains.
    Driver(String),
    /// A swarm's ingress.
    Ingress,
    /// Another container's network.
    Shared,
    /// None.
    Nothing,
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dnat => "dnat",
            Self::Proxy => "proxy",
            Self::Direct => "direct",
            Self::Host => "host",
            Self::Driver(name) => name,
            Self::Ingress => "ingress",
            Self::Shared => "shared",
            Self::Nothing => "",
        })
    }
}

/// Whom the way leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// The container's name, `service:NAME`, or the target that nobody is yet.
    pub name: String,
    /// 12 digits; nothing of services and of what is yet to come.
    pub id: String,
    /// `running`, `stopped`, `pending`; of a swarm's services `service`.
    pub state: &'static str,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of its networks.
    pub networks: Vec<String>,
}

impl Resident {
    /// A container.
    pub fn container(container: &Container, inventory: &Inventory) -> Self {
        let names = container.endpoints.iter().filter_map(|endpoint| inventory.network(&endpoint.network));
        Self {
            name: container.name.clone(),
            id: Owner::of(container).id,
            state: if container.running { "running" } else { "stopped" },
            labels: container.labels.clone(),
            networks: names.map(|network| network.name.clone()).collect(),
        }
    }

    /// A service of a swarm.
    pub fn service(service: &Service, inventory: &Inventory) -> Self {
        let names = service.networks.iter().filter_map(|id| inventory.network(id));
        Self {
            name: format!("service:{}", service.name),
            id: String::new(),
            state: "service",
            labels: service.labels.clone(),
            networks: names.map(|network| network.name.clone()).collect(),
        }
    }
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Whom it leads to.
    pub to: Resident,
    /// Where the packet is sent: host address and port, or the container's own address.
    pub published: String,
    /// The container's port, such as `80/tcp`.
    pub port: String,
    /// How it gets there.
    pub road: Road,
    /// Over which family, where it is one.
    pub family: Option<Family>,
    /// Who comes in, in words.
    pub from: String,
    /// How far it is open.
    pub exposure: Exposure,
    /// Numbers of the rules that speak of it, from 1.
    pub rules: Vec<usize>,
    /// Whether rules or the default decide here.
    pub managed: bool,
}

impl Way {
    /// A way that is closed until something else is said of it.
    pub(super) fn to(resident: Resident, managed: bool) -> Self {
        Self {
            to: resident,
            published: String::new(),
            port: String::new(),
            road: Road::Nothing,
            family: None,
            from: "nobody".to_owned(),
            exposure: Exposure::Closed,
            rules: Vec::new(),
            managed,
        }
    }

    /// The same with what is known of its access. `open` is what the kernel does to strangers when it does not hold what
    /// the policy says: never is less said than what is open.
    pub(super) fn open_to(self, access: &Access, open: Option<bool>) -> Self {
        let (from, exposure) = match (&access.who, open) {
            (Who::HostOnly, _) | (_, None) => (access.to_string(), Exposure::from(access)),
            (_, Some(true)) => ("everyone".to_owned(), Exposure::World),
            (_, Some(false)) => (format!("unknown (the policy says: {access})"), Exposure::Restricted),
        };
        Self { from, exposure, rules: access.rules.clone(), ..self }
    }
}
