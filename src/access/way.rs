//! Ways into a container, each with who can come in by it: the rows of `ls`, of its page and of `graph`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Access, Who};
use crate::effective::Answer;
use crate::inventory::{Container, Inventory, Labels, Service};
use crate::net::{Family, Protocol};
use crate::resolve::Owner;
use crate::tally::Traffic;

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

/// What a packet on the way goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// The host's chains, to whatever they lead to: a published port, a container's own address.
    Through,
    /// The host's chains, to a port of the host that a container on its network has.
    Host,
    /// The chains of the container's own network namespace.
    Wire,
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
    pub labels: Labels,
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
    /// Who comes in, in words: by the kernel, where it was asked.
    pub from: String,
    /// What the policy says, where the kernel does otherwise or nobody can tell.
    pub intended: Option<String>,
    /// What decides otherwise, or leaves it open.
    pub because: String,
    /// How far it is open.
    pub exposure: Exposure,
    /// Numbers of the rules that speak of it, from 1.
    pub rules: Vec<usize>,
    /// Whether rules or the default decide here.
    pub managed: bool,
    /// What to try to see who comes in; `None` where there is nothing to try.
    pub calls: Option<Calls>,
    /// Who was sent over it in thought, and what became of them; nothing unless their steps were asked for.
    pub tried: Vec<Tried>,
    /// What the kernel counted on it; `None` where rules have no say, and where nobody asked.
    pub traffic: Option<Traffic>,
}

/// One caller whose way was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What rules call him.
    pub name: String,
    /// The address that stood for it.
    pub address: IpAddr,
    /// Where he called.
    pub to: SocketAddr,
    /// Whether he got through.
    pub answer: Answer,
    /// What decided, in words.
    pub because: String,
    /// The way as far as it went, a line a step.
    pub steps: Vec<String>,
}

/// Where packets are sent that take a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// What they go through.
    pub lead: Lead,
    /// Full ID of the container whose network it is; empty of what no single container has.
    pub owner: String,
    /// Each; without an address, to every one that the host has of the family.
    pub to: Vec<(Protocol, Option<IpAddr>, u16)>,
    /// What the policy says of them.
    pub access: Access,
}

impl Way {
    /// A way that is closed until something else is said of it.
    pub(crate) fn to(resident: Resident, managed: bool) -> Self {
        Self {
            to: resident,
            published: String::new(),
            port: String::new(),
            road: Road::Nothing,
            family: None,
            from: "nobody".to_owned(),
            intended: None,
            because: String::new(),
            exposure: Exposure::Closed,
            rules: Vec::new(),
            managed,
            calls: None,
            tried: Vec::new(),
            traffic: None,
        }
    }

    /// The same with what the policy says of it, to be tried by these calls.
    pub(super) fn open_to(
        self,
        access: Access,
        lead: Lead,
        owner: &str,
        to: Vec<(Protocol, Option<IpAddr>, u16)>,
    ) -> Self {
        let (from, exposure, rules) = (access.to_string(), Exposure::from(&access), access.rules.clone());
        // What is bound to a loopback address nobody outside can call.
        let called = access.who != Who::HostOnly;
        let calls = called.then(|| Calls { lead, owner: owner.to_owned(), to, access });
        Self { from, exposure, rules, calls, ..self }
    }

    /// Who comes in, in one cell: with what the policy says, where that is something else.
    pub fn told(&self) -> String {
        match &self.intended {
            Some(intended) => format!("{} (policy: {intended})", self.from),
            None => self.from.clone(),
        }
    }
}
