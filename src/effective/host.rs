//! The host around the rules: its addresses, its routes, who listens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::net::Family;

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it leads to.
    pub block: IpNet,
    /// Over this interface; `None`: nowhere (`ip route add blackhole`, `unreachable`, `prohibit`).
    pub device: Option<String>,
}

/// What is known of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Its own addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// The main routing table; the longest block that fits decides. Empty: not known.
    pub routes: Vec<Route>,
    /// Interfaces that ask whether an IPv4 packet's source is routed back (`rp_filter`), and whether that has to be through
    /// them.
    pub asks_back: BTreeMap<String, bool>,
    /// Families that it forwards.
    pub forwards: BTreeSet<Family>,
    /// Its bridges, as far as the engine made them.
    pub bridges: BTreeSet<String>,
    /// Families of which packets within a bridge meet iptables too (`br_netfilter`).
    pub filters_bridges: BTreeSet<Family>,
}

/// Who takes what comes to a port of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listener {
    /// docker-proxy, which calls a container.
    Proxy {
        /// The container's address.
        to: IpAddr,
        /// Its port.
        port: u16,
    },
    /// The container itself, on the host's network.
    Container,
    /// Somebody else, named.
    Other(String),
    /// Nobody.
    Nobody,
    /// A socket whose process cannot be seen.
    Unseen,
}

impl Host {
    /// Whether a packet to `address` ends here.
    pub fn is_local(&self, address: &IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(address)
    }

    /// The interface that leads to `address`.
    pub fn device(&self, address: &IpAddr) -> Option<&str> {
        self.route(address)?.device.as_deref()
    }

    /// Where packets from `address` are likely to come in: the way to it, were it not barred by a route that leads nowhere.
    pub fn entrance(&self, address: &IpAddr) -> Option<&str> {
        longest(self.routes.iter().filter(|route| route.device.is_some()), address)?.device.as_deref()
    }

    fn route(&self, address: &IpAddr) -> Option<&Route> {
        longest(self.routes.iter(), address)
    }

    /// The address that the host calls `address` from, where both are in one subnet.
    pub fn source_for(&self, address: &IpAddr) -> Option<IpAddr> {
        let block = self.route(address)?.block;
        self.addresses.iter().copied().find(|own| block.contains(own))
    }

    /// Whether the routing code throws a packet away for where it comes from.
    pub(super) fn disbelieves(&self, source: &IpAddr, interface: &str) -> bool {
        let back = self.device(source);
        match self.asks_back.get(interface) {
            Some(strict) if source.is_ipv4() => back.is_none() || *strict && back != Some(interface),
            _ => false,
        }
    }

    /// As `-m addrtype` calls it.
    pub(super) fn kind_of(&self, address: &IpAddr) -> &'static str {
        match address {
            _ if self.is_local(address) => "LOCAL",
            IpAddr::V4(v4) if v4.is_broadcast() => "BROADCAST",
            _ if address.is_multicast() => "MULTICAST",
            _ => "UNICAST",
        }
    }
}

/// The longest route that fits; the first of several equal ones is the one that the kernel lists first, of the lowest metric.
fn longest<'a>(routes: impl DoubleEndedIterator<Item = &'a Route>, address: &IpAddr) -> Option<&'a Route> {
    routes.filter(|route| route.block.contains(address)).rev().max_by_key(|route| route.block.prefix_len())
}
