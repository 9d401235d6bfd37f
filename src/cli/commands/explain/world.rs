//! Everything that an answer is made from, read once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::caller::Caller;
use super::way::{Kind, Way};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::effective::{Host, Kernel, Link, Listener, Lookup, Passage, Segment, Start, held, inbound, inside};
use crate::host::interfaces::{HostInterfaces, links};
use crate::host::listeners;
use crate::host::membership::{self, Side};
use crate::host::proxies::{self, Proxy};
use crate::host::routes;
use crate::host::tools::Tools;
use crate::host::whole::Whole;
use crate::inventory::NetworkMode;
use crate::net::{Family, Protocol};
use crate::resolve::Interface;
use crate::ruleset::{Ask, Dump, SetDirection, is_own_set};

/// The kernel's sets: those that were read, and those that it is asked about one by one.
pub(super) struct Sets {
    state: Dump,
    /// Names of the sets whose members were read; `None`: all.
    read: Option<BTreeSet<String>>,
    tools: Tools,
    asked: RefCell<BTreeMap<(String, String), Option<bool>>>,
}

impl Lookup for Sets {
    fn holds(&self, name: &str, directions: &[SetDirection], segment: &Segment) -> Option<bool> {
        let set = self.state.sets.get(name)?;
        if self.read.as_ref().is_none_or(|read| is_own_set(name) || read.contains(name)) {
            return held(set, directions, segment);
        }
        // The kernel never looks into a set of the other family.
        let needs_family = set.shape.kind.name().starts_with("hash:");
        if needs_family && set.shape.family != segment.family() {
            return Some(false);
        }
        let link = |link: &Link| match link {
            Link::Named(name) => Some(name.clone()),
            Link::Absent | Link::Unknown => None,
        };
        let side = |address, port, interface: &Link| Side { address, port, interface: link(interface) };
        let source = side(segment.source, segment.source_port, &segment.in_link);
        let destination = side(segment.destination, segment.destination_port, &segment.out_link);
        let element = membership::element(&set.shape.kind, directions, segment.protocol, &source, &destination)?;
        let key = (name.to_owned(), element);
        *self
            .asked
            .borrow_mut()
            .entry(key)
            .or_insert_with_key(|(name, element)| membership::ask(&self.tools, name, element))
    }
}

/// The inside of a container on a network that leads past the host.
struct Inside {
    links: Vec<Interface>,
    whole: Whole,
    sets: Sets,
    host: Host,
}

impl Inside {
    /// The interface that has an address.
    fn link(&self, address: IpAddr) -> Option<&str> {
        let has = |link: &&Interface| match address {
            IpAddr::V4(_) => link.subnets.iter().any(|subnet| IpNet::V4(*subnet).contains(&address)),
            IpAddr::V6(v6) => link.v6.contains(&v6),
        };
        self.links.iter().find(has).map(|link| link.name.as_str())
    }
}

/// The host, its kernel and its sockets.
pub(super) struct World {
    pub(super) whole: Whole,
    pub(super) sets: Sets,
    pub(super) host: Host,
    interface: Option<String>,
    links: Vec<Interface>,
    proxies: Vec<Proxy>,
    listeners: Vec<listeners::Listener>,
    /// IDs of the containers on the host's network.
    on_the_host: Vec<String>,
    insides: BTreeMap<String, Inside>,
}

impl World {
    /// Reads it.
    pub(super) fn read(session: &mut Session, interface: Option<String>) -> Result<Self, Failure> {
        let state = session.state()?;
        let whole = session.whole()?;
        let sets = session.config().sets.values();
        let read = sets.flat_map(|set| Family::ALL.map(|family| set.kernel_name(family))).collect();
        let sets = Sets { state, read: Some(read), tools: Tools::from_env(), asked: RefCell::default() };
        let unreadable = |error: String| Failure::environment(error);
        let own = HostInterfaces::read().map_err(|error| unreadable(error.to_string()))?;
        let inventory = session.containers()?;
        let bridges = inventory.networks.iter().filter_map(|network| network.bridge.clone()).collect();
        let on_host = inventory.containers.iter().filter(|container| container.mode == NetworkMode::Host);
        if let Some(name) = interface.as_ref().filter(|name| !own.names.contains(*name)) {
            return Err(Failure::user(format!("this host has no interface {name}")).hinted("`ip link` lists them"));
        }
        Ok(Self {
            whole,
            sets,
            host: Host {
                addresses: own.addresses,
                routes: routes::read().map_err(|error| unreadable(format!("cannot read the routes: {error}")))?,
                asks_back: routes::asking_back(),
                forwards: routes::forwarded(),
                bridges,
                filters_bridges: routes::filtered_on_bridges(),
            },
            interface,
            links: links().map_err(|error| unreadable(error.to_string()))?,
            proxies: proxies::read(),
            listeners: listeners::read().map_err(|error| unreadable(error.to_string()))?,
            on_the_host: on_host.map(|container| container.id.clone()).collect(),
            insides: BTreeMap::new(),
        })
    }

    /// Sources that rules name and blocks that routes lead to, each from its first address to its last.
    pub(super) fn told_apart(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        let chains =
            self.whole.rulesets.values().flat_map(|ruleset| ruleset.tables.values().flat_map(BTreeMap::values));
        let conditions = chains.flat_map(|chain| &chain.rules).flat_map(|rule| &rule.conditions);
        let ends = |block: &IpNet| (block.network(), block.broadcast());
        let of_rules = conditions.filter_map(move |condition| match &condition.ask {
            Ask::Source(block) | Ask::OriginalSource(block) => Some(ends(block)),
            Ask::SourceRange(first, last) => Some((*first, *last)),
            _ => None,
        });
        of_rules.chain(self.host.routes.iter().map(move |route| ends(&route.block)))
    }

    /// Refuses callers that are no callers.
    pub(super) fn check(&self, callers: &[Caller]) -> Result<(), Failure> {
        for caller in callers {
            let address = caller.address;
            if self.host.is_local(&address) {
                return Err(Failure::user(format!("{address} is this host itself, whose own packets no rule judges")));
            }
            let hidden = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if hidden && self.interface.is_none() {
                return Err(Failure::user(format!("{address} means nothing without a link: add --interface NAME")));
            }
            if self.interface(address).is_none() {
                let text = format!("no route of this host leads to {address}, so nobody can tell where it comes in");
                return Err(Failure::user(text).hinted("Say it: --interface NAME"));
            }
        }
        Ok(())
    }

    /// Where packets of `from` come in: what was said, or else where the answers would go out.
    pub(super) fn interface(&self, from: IpAddr) -> Option<&str> {
        self.interface.as_deref().or_else(|| self.host.entrance(&from))
    }

    /// Whether `from` is on one of the engine's own bridges, where rules have no say.
    pub(super) fn is_inside(&self, from: IpAddr) -> bool {
        self.interface(from).is_some_and(|name| self.host.bridges.contains(name))
    }

    /// The host's addresses that people call: not those on the engine's bridges, nor the loopback ones; link-local ones of
    /// the interface that was named only.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let within = |address: &IpAddr| {
            let hidden = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if hidden {
                let named = self.links.iter().filter(|link| Some(&link.name) == self.interface.as_ref());
                return named.flat_map(|link| &link.v6).any(|own| IpAddr::V6(*own) == *address);
            }
            let on_bridge = self.host.device(address).is_some_and(|device| self.host.bridges.contains(device));
            !address.is_loopback() && !on_bridge
        };
        self.host.addresses.iter().copied().filter(within)
    }

    /// Reads the inside of containers that some of these ways lead to past the host.
    pub(super) fn enter(&mut self, session: &mut Session, ways: &[Way]) -> Result<(), Failure> {
        for way in ways.iter().filter(|way| way.kind == Kind::Wire) {
            if self.insides.contains_key(&way.owner) {
                continue;
            }
            let Some(container) = session.containers()?.container(&way.owner).cloned() else { continue };
            let Some((whole, state, links)) = session.whole_inside(&container)? else { continue };
            let sets = Sets { state, read: None, tools: Tools::from_env(), asked: RefCell::default() };
            let addresses = ways.iter().filter(|other| other.kind == Kind::Wire).map(|other| other.to.0).collect();
            let host = Host { addresses, ..Host::default() };
            self.insides.insert(way.owner.clone(), Inside { links, whole, sets, host });
        }
        Ok(())
    }

    /// Follows a packet on one way.
    pub(super) fn try_way(&self, way: &Way, source: IpAddr) -> Passage {
        let named = |name: &str| Link::Named(name.to_owned());
        let interface = self.interface(source).map_or(Link::Unknown, named);
        let mut start = Start { source, interface, protocol: way.port.0, to: way.to };
        if way.kind == Kind::Wire && self.is_inside(source) {
            let text = "comes from behind this host, whose own packets its macvlan and ipvlan networks do not take";
            return Passage::refused(text, way.to);
        }
        if let (Kind::Wire, Some(within)) = (way.kind, self.insides.get(&way.owner)) {
            start.interface = within.link(way.to.0).map_or(Link::Unknown, named);
            let nobody = |_: Protocol, _: IpAddr, _: u16| Listener::Container;
            let (rulesets, unread) = (&within.whole.rulesets, within.whole.unread.as_slice());
            let kernel = Kernel { rulesets, host: &within.host, sets: &within.sets, listeners: &nobody, unread };
            return inside(&kernel, &start);
        }
        let listeners = |protocol, address, port| self.listener(way, protocol, address, port);
        let (rulesets, unread) = (&self.whole.rulesets, self.whole.unread.as_slice());
        inbound(&Kernel { rulesets, host: &self.host, sets: &self.sets, listeners: &listeners, unread }, &start)
    }

    /// Who takes what comes to a port of the host. The more particular address decides, as with sockets.
    fn listener(&self, way: &Way, protocol: Protocol, address: IpAddr, port: u16) -> Listener {
        let fits = |own: IpAddr| own == address || own.is_unspecified() && Family::of(&own) == Family::of(&address);
        let proxies = self.proxies.iter().filter(|proxy| proxy.protocol == protocol && proxy.from.1 == port);
        let proxy = proxies.filter(|proxy| fits(proxy.from.0)).min_by_key(|proxy| proxy.from.0.is_unspecified());
        if let Some(proxy) = proxy {
            return Listener::Proxy { to: proxy.to.0, port: proxy.to.1 };
        }
        if protocol == Protocol::Sctp {
            return Listener::Unseen;
        }
        // A socket for all of IPv6 takes IPv4 too, unless its program says otherwise.
        let takes = |own: IpAddr| fits(own) || own.is_unspecified() && own.is_ipv6();
        let sockets = self.listeners.iter().filter(|own| own.protocol == protocol && own.port == port);
        let Some(socket) = sockets.filter(|own| takes(own.address)).min_by_key(|own| own.address.is_unspecified())
        else {
            return Listener::Nobody;
        };
        let of_way = |id: &String| way.kind == Kind::HostNetwork && (*id == way.owner || way.owner.is_empty());
        let mine = self.on_the_host.iter().filter(|id| of_way(id));
        if socket.processes.iter().any(|process| mine.clone().any(|id| process.is_of(id))) {
            return Listener::Container;
        }
        match socket.processes.first() {
            Some(process) => Listener::Other(crate::cli::text::printable(&process.name).into_owned()),
            None => Listener::Unseen,
        }
    }
}
