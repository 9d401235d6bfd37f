//! The kernel and the host around it, read once, and packets that are followed through them: what `explain`, `doctor`
//! and `ls` ask.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::failure::Failure;
use super::session::Session;
use crate::access::Lead;
use crate::effective::{Effort, Host, Kernel, Link, Listener, Lookup, Passage, Segment, Start, held, inbound, inside};
use crate::host::interfaces::{HostInterfaces, links};
use crate::host::listeners;
use crate::host::membership::{KernelSets, Side};
use crate::host::proxies::{self, Proxy};
use crate::host::routes;
use crate::host::whole::Whole;
use crate::inventory::NetworkMode;
use crate::net::{Family, Protocol};
use crate::resolve::Interface;
use crate::ruleset::{Ask, Dump, SetDirection};

/// The kernel's sets, asked one by one.
impl Lookup for KernelSets {
    fn holds(&self, name: &str, directions: &[SetDirection], segment: &Segment) -> Option<bool> {
        fn link(link: &Link) -> Option<&str> {
            match link {
                Link::Named(name) => Some(name),
                Link::Absent | Link::Unknown => None,
            }
        }
        let side = |address, port, interface| Side { address, port, interface: link(interface) };
        let source = side(segment.source, segment.source_port, &segment.in_link);
        let destination = side(segment.destination, segment.destination_port, &segment.out_link);
        KernelSets::holds(self, name, directions, segment.protocol, (source, destination))
    }
}

/// Sets of a container's own network namespace, whose members were read.
struct Copies(Dump);

impl Lookup for Copies {
    fn holds(&self, name: &str, directions: &[SetDirection], segment: &Segment) -> Option<bool> {
        held(self.0.sets.get(name)?, directions, segment)
    }
}

/// Where somebody calls, and whose that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// How it leads there.
    pub(super) lead: Lead,
    /// Full ID of the container whose network it is; nothing where that is nobody's.
    pub(super) owner: &'a str,
    pub(super) protocol: Protocol,
    pub(super) to: (IpAddr, u16),
    /// Whether it is taken for granted that the container waits there.
    pub(super) heard: bool,
}

/// The inside of a container on a network that leads past the host.
struct Inside {
    links: Vec<Interface>,
    whole: Whole,
    sets: Copies,
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
    pub(super) sets: KernelSets,
    pub(super) host: Host,
    /// The interface that was named.
    pub(super) named: Option<String>,
    links: Vec<Interface>,
    proxies: OnceCell<Vec<Proxy>>,
    listeners: OnceCell<Vec<listeners::Listener>>,
    /// IDs of the containers on the host's network.
    on_the_host: Vec<String>,
    insides: BTreeMap<String, Inside>,
}

impl World {
    /// Reads what is around the rules.
    pub(super) fn read(session: &Session, whole: Whole, interface: Option<String>) -> Result<Self, Failure> {
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
            sets: KernelSets::open()
                .map_err(|error| unreadable(format!("cannot ask for the kernel's sets: {error}")))?,
            host: Host {
                addresses: own.addresses,
                routes: routes::read().map_err(|error| unreadable(format!("cannot read the routes: {error}")))?,
                asks_back: routes::asking_back(),
                forwards: routes::forwarded(),
                bridges,
                filters_bridges: routes::filtered_on_bridges(),
            },
            named: interface,
            links: links().map_err(|error| unreadable(error.to_string()))?,
            proxies: OnceCell::new(),
            listeners: OnceCell::new(),
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

    /// Where packets of `from` come in: what was said, or else where the answers would go out.
    pub(super) fn interface(&self, from: IpAddr) -> Option<&str> {
        self.named.as_deref().or_else(|| self.host.entrance(&from))
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
                let named = self.links.iter().filter(|link| Some(&link.name) == self.named.as_ref());
                return named.flat_map(|link| &link.v6).any(|own| IpAddr::V6(*own) == *address);
            }
            let on_bridge = self.host.device(address).is_some_and(|device| self.host.bridges.contains(device));
            !address.is_loopback() && !on_bridge
        };
        self.host.addresses.iter().copied().filter(within)
    }

    /// Reads the inside of a container that some ways lead to past the host, at these addresses.
    pub(super) fn enter(&mut self, session: &mut Session, owner: &str, own: &[IpAddr]) -> Result<(), Failure> {
        if self.insides.contains_key(owner) {
            return Ok(());
        }
        let Some(container) = session.containers()?.container(owner).cloned() else { return Ok(()) };
        let Some((whole, state, links)) = session.whole_inside(&container)? else { return Ok(()) };
        let host = Host { addresses: own.iter().copied().collect(), ..Host::default() };
        self.insides.insert(owner.to_owned(), Inside { links, whole, sets: Copies(state), host });
        Ok(())
    }

    /// Whether the inside of a container was read.
    pub(super) fn has_entered(&self, owner: &str) -> bool {
        self.insides.contains_key(owner)
    }

    /// Follows the packet of a call.
    pub(super) fn follow(&self, call: &Call<'_>, source: IpAddr, effort: Effort<'_>) -> Passage {
        let named = |name: &str| Link::Named(name.to_owned());
        let interface = self.interface(source).map_or(Link::Unknown, named);
        let mut start = Start { source, interface, protocol: call.protocol, to: call.to };
        if call.lead == Lead::Wire && self.is_inside(source) {
            let text = "comes from behind this host, whose own packets its macvlan and ipvlan networks do not take";
            return Passage::refused(text, call.to);
        }
        if let (Lead::Wire, Some(within)) = (call.lead, self.insides.get(call.owner)) {
            start.interface = within.link(call.to.0).map_or(Link::Unknown, named);
            let nobody = |_: Protocol, _: IpAddr, _: u16| Listener::Container;
            let (rulesets, unread) = (&within.whole.rulesets, within.whole.unread.as_slice());
            let kernel =
                Kernel { rulesets, host: &within.host, sets: &within.sets, listeners: &nobody, unread, effort };
            return inside(&kernel, &start);
        }
        let listeners = |protocol, address, port| {
            if call.heard { Listener::Container } else { self.listener(call, protocol, address, port) }
        };
        let (rulesets, unread) = (&self.whole.rulesets, self.whole.unread.as_slice());
        inbound(&Kernel { rulesets, host: &self.host, sets: &self.sets, listeners: &listeners, unread, effort }, &start)
    }

    /// Who takes what comes to a port of the host. The more particular address decides, as with sockets.
    fn listener(&self, call: &Call<'_>, protocol: Protocol, address: IpAddr, port: u16) -> Listener {
        let fits = |own: IpAddr| own == address || own.is_unspecified() && Family::of(&own) == Family::of(&address);
        let proxies = self
            .proxies
            .get_or_init(proxies::read)
            .iter()
            .filter(|proxy| proxy.protocol == protocol && proxy.from.1 == port);
        let proxy = proxies.filter(|proxy| fits(proxy.from.0)).min_by_key(|proxy| proxy.from.0.is_unspecified());
        if let Some(proxy) = proxy {
            return Listener::Proxy { to: proxy.to.0, port: proxy.to.1 };
        }
        if protocol == Protocol::Sctp {
            return Listener::Unseen;
        }
        // A socket for all of IPv6 takes IPv4 too, unless its program says otherwise.
        let takes = |own: IpAddr| fits(own) || own.is_unspecified() && own.is_ipv6();
        let Some(listeners) = self.listening() else { return Listener::Unseen };
        let sockets = listeners.iter().filter(|own| own.protocol == protocol && own.port == port);
        let Some(socket) = sockets.filter(|own| takes(own.address)).min_by_key(|own| own.address.is_unspecified())
        else {
            return Listener::Nobody;
        };
        let of_way = |id: &String| call.lead == Lead::Host && (*id == call.owner || call.owner.is_empty());
        let mine = self.on_the_host.iter().filter(|id| of_way(id));
        if socket.processes.iter().any(|process| mine.clone().any(|id| process.is_of(id))) {
            return Listener::Container;
        }
        match socket.processes.first() {
            Some(process) => Listener::Other(super::text::printable(&process.name).into_owned()),
            None => Listener::Unseen,
        }
    }

    /// Sockets of the host; looking for the processes behind them takes a while, and most packets need none.
    fn listening(&self) -> Option<&[listeners::Listener]> {
        if self.listeners.get().is_none() {
            let _ = self.listeners.set(listeners::read().ok()?);
        }
        self.listeners.get().map(Vec::as_slice)
    }
}
