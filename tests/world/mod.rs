//! Arbitrary small worlds: an inventory, sets, a policy and packets, drawn so that they often meet.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use docker_firewall::inventory::{
    Binding, Container, Endpoint, Ingress, Inventory, Network, NetworkMode, Service, ServicePort, Services,
};
use docker_firewall::net::{Family, PortRange, PortSet, Protocol};
use docker_firewall::policy::{DefaultAccess, Hook, Policy, Ports, Rule, RuleSource, Target, Unseen, Verdict};
use docker_firewall::resolve::{self, Facts, Following, Resolved};
use docker_firewall::ruleset::{ConnDirection, ConnState, Packet, Path, Transport};
use ipnet::IpNet;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const NOW: i64 = 1_800_000_000;

/// A policy and all that it is read against.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) inventory: Inventory,
    /// Members of `friends`, `foes` and `ipset:crowd`.
    pub(crate) members: BTreeMap<String, Vec<IpNet>>,
    /// Whether an agent follows the containers.
    pub(crate) followed: bool,
}

impl World {
    pub(crate) fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    pub(crate) fn resolved(&self) -> Resolved {
        let sets: BTreeSet<String> = self.members.keys().filter(|name| !name.starts_with("ipset:")).cloned().collect();
        let ipsets = BTreeMap::from([("crowd".to_owned(), Family::V4)]);
        let facts = Facts {
            inventory: &self.inventory,
            sets: &sets,
            ipsets: &ipsets,
            remembered: &BTreeMap::new(),
            ingress: &BTreeMap::new(),
            following: if self.followed { Following::Agent } else { Following::Nobody },
            now: Self::now(),
        };
        resolve::resolve(&self.policy, &facts)
    }
}

const CONTAINERS: [&str; 4] = ["web", "web2", "api", "db"];
pub(crate) const PEERS: [&str; 8] = [
    "203.0.113.10",
    "203.0.113.66",
    "198.51.100.7",
    "10.9.8.7",
    "fd00:1::10",
    "fd00:1::66",
    "2001:db8::7",
    "192.0.2.99",
];
pub(crate) const INTERFACES: [&str; 2] = ["br-ext", "eth1"];
pub(crate) const PORTS: [u16; 6] = [22, 80, 81, 443, 5000, 8080];

pub(crate) fn networks() -> Vec<Network> {
    let network = |name: &str, driver: &str, bridge: Option<&str>, subnets: [&str; 2]| Network {
        id: format!("{name}-id"),
        name: name.to_owned(),
        driver: driver.to_owned(),
        bridge: bridge.map(str::to_owned),
        subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
        gateways: Vec::new(),
        internal: false,
        // One of INTERFACES, so that rules for it and for others are drawn.
        parent: (driver == "macvlan").then(|| INTERFACES[0].to_owned()),
        mode: None,
    };
    vec![
        network("front", "bridge", Some("br-a"), ["172.30.0.0/24", "fd00:a::/64"]),
        network("back", "bridge", Some("br-b"), ["172.31.0.0/24", "fd00:b::/64"]),
        network("lan", "macvlan", None, ["192.0.2.0/24", "fd00:c::/64"]),
        network("docker_gwbridge", "bridge", Some("br-gw"), ["172.18.0.0/16", "fd00:d::/64"]),
    ]
}

/// Where a swarm's published ports arrive, all of them.
const INGRESS: [&str; 2] = ["172.18.0.2", "fd00:d::2"];

/// Two services and the same ports between them, one known to the swarm by its published number alone.
fn services() -> impl Strategy<Value = Option<Ingress>> {
    let port = |published, protocol, target| ServicePort { published, protocol, target };
    let ports = [
        port(8080, Protocol::Tcp, Some(80)),
        port(5000, Protocol::Udp, Some(443)),
        port(443, Protocol::Tcp, Some(443)),
        port(81, Protocol::Tcp, Some(8080)),
    ];
    let service = |name: &str, labelled: bool, attached: bool| {
        let labels = labelled.then(|| ("tier".to_owned(), "front".to_owned()));
        Service {
            name: name.to_owned(),
            labels: labels.into_iter().collect(),
            networks: attached.then(|| "back-id".to_owned()).into_iter().collect(),
            ports: Vec::new(),
        }
    };
    // Each port is the first one's, the second one's, or nobody's.
    let whose = prop::collection::vec(0usize..3, ports.len());
    (prop::bool::weighted(0.7), whose, any::<[bool; 4]>()).prop_map(move |(swarm, whose, [a, b, c, d])| {
        let mut services = [service("blog", a, b), service("shop", c, d)];
        for (port, owner) in ports.iter().zip(whose) {
            if let Some(service) = services.get_mut(owner) {
                service.ports.push(*port);
            }
        }
        swarm.then(|| Ingress {
            network: "ingress-id".to_owned(),
            addresses: INGRESS.iter().map(|address| address.parse().unwrap()).collect(),
            services: Services::Known(services.into()),
        })
    })
}

fn endpoint(network: usize, host: u16) -> Endpoint {
    let (v4, v6) = match network {
        0 => ("172.30.0.", "fd00:a::"),
        1 => ("172.31.0.", "fd00:b::"),
        _ => ("192.0.2.", "fd00:c::"),
    };
    Endpoint {
        network: ["front-id", "back-id", "lan-id"][network].to_owned(),
        v4: Some(format!("{v4}{host}").parse().unwrap()),
        v6: Some(format!("{v6}{host}").parse().unwrap()),
    }
}

/// Ports of the host: the first two containers fight for 8080, as a stopped one and its successor do, and the last one
/// has it at one address.
fn bindings(index: usize) -> Vec<Binding> {
    let binding = |protocol, container_port, host: &str, port| Binding {
        protocol,
        container_port,
        host_address: host.parse().unwrap(),
        host_port: port,
    };
    match index {
        0 => vec![
            binding(Protocol::Tcp, 80, "0.0.0.0", Some(8080)),
            binding(Protocol::Tcp, 80, "::", Some(8080)),
            binding(Protocol::Tcp, 443, "203.0.113.1", Some(443)),
        ],
        1 => vec![binding(Protocol::Tcp, 81, "::", Some(8080)), binding(Protocol::Tcp, 80, "127.0.0.1", Some(22))],
        2 => vec![
            binding(Protocol::Udp, 5000, "0.0.0.0", Some(5000)),
            binding(Protocol::Udp, 5000, "fd00:1::1", Some(5000)),
        ],
        _ => vec![
            binding(Protocol::Tcp, 80, "0.0.0.0", None),
            binding(Protocol::Tcp, 80, "203.0.113.1", Some(8080)),
            binding(Protocol::Tcp, 81, "fd00:1::1", Some(443)),
        ],
    }
}

fn container(index: usize) -> impl Strategy<Value = Container> {
    let weighted = prop::bool::weighted;
    (any::<[bool; 3]>(), weighted(0.9), weighted(0.5), weighted(0.05), weighted(0.2)).prop_map(
        move |(on, running, labelled, clash, on_host)| {
            let mut labels = BTreeMap::new();
            if labelled {
                labels.insert("tier".to_owned(), if index.is_multiple_of(2) { "front" } else { "back" }.to_owned());
                labels.insert("com.docker.compose.project".to_owned(), "shop".to_owned());
                labels.insert("com.docker.compose.service".to_owned(), CONTAINERS[index].to_owned());
            }
            // Now and then two containers claim one address.
            let host = if clash { 2 } else { u16::try_from(index).unwrap() + 2 };
            Container {
                id: format!("{index:064x}"),
                name: CONTAINERS[index].to_owned(),
                labels: labels.into(),
                running,
                mode: if on_host { NetworkMode::Host } else { NetworkMode::Own },
                endpoints: (0..3)
                    .filter(|&network| on[network] && !on_host)
                    .map(|network| endpoint(network, host))
                    .collect(),
                // What a container on the host's network asked to be published stays on record, and means nothing.
                bindings: bindings(index),
                sandbox: None,
            }
        },
    )
}

pub(crate) fn inventory() -> impl Strategy<Value = Inventory> {
    let containers = (container(0), container(1), container(2), container(3));
    (containers, services()).prop_map(|((a, b, c, d), ingress)| Inventory {
        containers: vec![a, b, c, d],
        networks: networks(),
        ingress,
        ..Inventory::default()
    })
}

fn block() -> impl Strategy<Value = IpNet> {
    (select(&PEERS), select(vec![8u8, 16, 24, 32, 64, 128, 0])).prop_map(|(peer, prefix)| {
        let address: IpAddr = peer.parse().unwrap();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, prefix.min(bits)).unwrap().trunc()
    })
}

fn ports() -> impl Strategy<Value = Option<PortSet>> {
    let range = (select(&Protocol::ALL), select(&PORTS), prop_oneof![Just(0u16), Just(1), Just(33)])
        .prop_map(|(protocol, first, more)| PortRange { protocol, first, last: first + more });
    prop::collection::vec(range, 0..3).prop_map(PortSet::new)
}

fn published() -> impl Strategy<Value = (Protocol, u16)> {
    prop_oneof![3 => Just((Protocol::Tcp, 8080)), 1 => Just((Protocol::Udp, 5000)), 1 => Just((Protocol::Tcp, 81))]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        4 => select(&CONTAINERS).prop_map(|name| Target::Container(name.to_owned())),
        1 => Just(Target::All),
        1 => Just(Target::Label("tier".to_owned(), Some("front".to_owned()))),
        1 => Just(Target::Label("tier".to_owned(), None)),
        1 => Just(Target::Service("shop".to_owned(), "api".to_owned())),
        1 => Just(Target::Network("back".to_owned())),
        1 => Just(Target::Container("absent".to_owned())),
        2 => select(vec!["shop", "blog", "absent"]).prop_map(|name| Target::SwarmService(name.to_owned())),
    ]
}

fn source() -> impl Strategy<Value = RuleSource> {
    prop_oneof![
        1 => Just(RuleSource::Any),
        2 => Just(RuleSource::Set("friends".parse().unwrap())),
        2 => Just(RuleSource::Set("foes".parse().unwrap())),
        1 => Just(RuleSource::Ipset("crowd".to_owned())),
        3 => block().prop_map(|block| RuleSource::Literal { text: block.to_string(), blocks: vec![block] }),
    ]
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    (
        prop::bool::weighted(0.6),
        prop::collection::vec(target(), 1..3),
        (ports(), prop::option::weighted(0.2, published())),
        prop::collection::vec(source(), 1..3),
        prop::option::weighted(0.2, select(&INTERFACES)),
        prop::option::weighted(0.2, prop_oneof![Just(-5i64), Just(3600), Just(7200)]),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(allow, targets, (container, published), sources, interface, expires, log)| Rule {
            verdict: if allow { Verdict::Allow } else { Verdict::Deny },
            targets,
            ports: Ports {
                container,
                published: published.and_then(|(protocol, port)| PortSet::new([PortRange::single(protocol, port)])),
            },
            sources,
            interface: interface.map(str::to_owned),
            expires: expires.map(|seconds| Timestamp::from_second(NOW + seconds).unwrap()),
            comment: None,
            pending: false,
            log: !allow && log,
            line: None,
        })
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let weighted = prop::bool::weighted;
    let rules = prop::collection::vec(rule(), 0..7);
    (weighted(0.15), weighted(0.2), weighted(0.3), rules).prop_map(|(closed, lax, log, rules)| Policy {
        default: if closed { DefaultAccess::Closed } else { DefaultAccess::Open },
        unseen: if lax { Unseen::Open } else { Unseen::Closed },
        hook: Hook::DockerUser,
        log,
        rules,
    })
}

pub(crate) fn members() -> impl Strategy<Value = BTreeMap<String, Vec<IpNet>>> {
    let blocks = || prop::collection::vec(block(), 0..4);
    (blocks(), blocks(), blocks()).prop_map(|(friends, foes, crowd)| {
        let v4 = crowd.into_iter().filter(|block| block.addr().is_ipv4()).collect();
        BTreeMap::from([("friends".to_owned(), friends), ("foes".to_owned(), foes), ("ipset:crowd".to_owned(), v4)])
    })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    (policy(), inventory(), members(), any::<bool>()).prop_map(|(policy, inventory, members, followed)| World {
        policy,
        inventory,
        members,
        followed,
    })
}

fn address(family_v4: bool) -> impl Strategy<Value = (IpAddr, &'static str)> {
    let inside = (0usize..2, 2u16..8).prop_map(move |(network, host)| {
        let endpoint = endpoint(network, host);
        let address = if family_v4 { IpAddr::V4(endpoint.v4.unwrap()) } else { IpAddr::V6(endpoint.v6.unwrap()) };
        (address, ["br-a", "br-b"][network])
    });
    let peers: Vec<IpAddr> =
        PEERS.iter().map(|peer| peer.parse().unwrap()).filter(|peer: &IpAddr| peer.is_ipv4() == family_v4).collect();
    let outside = (select(peers), select(&INTERFACES));
    // What means something on one link only: a container's bridge and elsewhere.
    let link = if family_v4 { ["224.0.0.1", "224.0.0.251"] } else { ["fe80::7", "ff02::1:ff00:2"] };
    let link = (select(link.map(|group| group.parse().unwrap()).to_vec()), select(vec!["br-a", "br-b", "br-ext"]));
    let ingress = Just((INGRESS[usize::from(!family_v4)].parse().unwrap(), "br-gw"));
    prop_oneof![4 => inside, 2 => ingress, 4 => outside, 1 => link]
}

/// A packet to or from a container or the host, with every state that netfilter can give it.
pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let state = prop_oneof![
        3 => Just((ConnState::New, Some(ConnDirection::Original))),
        2 => Just((ConnState::Established, Some(ConnDirection::Original))),
        2 => Just((ConnState::Established, Some(ConnDirection::Reply))),
        1 => Just((ConnState::Related, Some(ConnDirection::Original))),
        1 => Just((ConnState::Related, Some(ConnDirection::Reply))),
        1 => Just((ConnState::Invalid, None)),
        1 => Just((ConnState::Untracked, None)),
    ];
    let transport = (prop::bool::weighted(0.9), select(&Protocol::ALL), select(&PORTS), select(&PORTS), any::<bool>())
        .prop_map(|(ports, protocol, source, destination, syn)| {
            if ports {
                Transport::Ports { protocol, source, destination, syn: syn && protocol == Protocol::Tcp }
            } else {
                Transport::Other
            }
        });
    let path = prop_oneof![2 => Just(Path::Forward), 1 => Just(Path::Input), 1 => Just(Path::Output)];
    let host = select(vec!["203.0.113.1", "10.1.1.1"]);
    (any::<bool>(), path, host)
        .prop_flat_map(move |(v4, path, host)| {
            let host: IpAddr = if v4 { host.parse().unwrap() } else { "fd00:1::1".parse().unwrap() };
            let ends = (address(v4), address(v4));
            (
                Just((path, host)),
                ends,
                transport.clone(),
                state.clone(),
                prop::bool::weighted(0.4),
                prop::bool::weighted(0.1),
            )
        })
        .prop_map(|((path, host), (from, to), transport, (state, direction), dnat, loopback)| {
            let ported = matches!(transport, Transport::Ports { .. });
            let ((mut source, mut in_interface), (mut destination, mut out_interface)) = (from, to);
            match path {
                Path::Forward => {}
                Path::Input => {
                    (destination, out_interface) = (host, "");
                    in_interface = if loopback { "lo" } else { in_interface };
                }
                Path::Output => {
                    (source, in_interface) = (host, "");
                    out_interface = if loopback { "lo" } else { out_interface };
                }
            }
            Packet {
                path,
                in_interface: in_interface.to_owned(),
                out_interface: out_interface.to_owned(),
                source,
                destination,
                transport,
                state,
                direction,
                published: (path == Path::Forward && dnat && ported && direction.is_some()).then_some(8080),
            }
        })
}
