//! A host with any number of containers, as plain data and as the rules that Docker itself would have there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use docker_firewall::inventory::{Binding, Container, Endpoint, Engine, Inventory, Labels, Network, NetworkMode};
use docker_firewall::net::{Family, Protocol};
use docker_firewall::policy::{Document, Policy, SetFile, SetName};
use docker_firewall::reconcile::Pass;
use docker_firewall::resolve::{Following, Proof};
use docker_firewall::ruleset::{Chain, Desired, Dump, Line, TableDump};
use jiff::Timestamp;

use crate::Result;

/// The containers' bridge, named after the network's ID as Docker does.
pub(crate) const BRIDGE: &str = "br-ffffffffffff";
/// The host's address on it.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
/// The containers' subnet.
pub(crate) const SUBNET: &str = "10.64.0.0/14";
/// The same of IPv6, for the parts that have it.
pub(crate) const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
/// As above.
pub(crate) const SUBNET_V6: &str = "fd00:64::/64";
/// The user's set of friends.
pub(crate) const FRIENDS: &str = "friends";

/// The address of container `number`.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap_or(u32::MAX / 2);
    Ipv4Addr::from(u32::from(GATEWAY) + 1 + number)
}

/// Its IPv6 address.
pub(crate) fn address_v6(number: usize) -> Ipv6Addr {
    let number = u128::try_from(number).unwrap_or(u128::MAX / 2);
    Ipv6Addr::from(u128::from(GATEWAY_V6) + 1 + number)
}

/// `count` running containers on one bridge, each with port 80 published.
pub(crate) fn inventory(count: usize) -> Result<Inventory> {
    let network = Network {
        id: "ff".repeat(32),
        name: "shop".to_owned(),
        driver: "bridge".to_owned(),
        bridge: Some(BRIDGE.to_owned()),
        subnets: vec![SUBNET.parse()?],
        gateways: vec![GATEWAY.into()],
        internal: false,
        parent: None,
        mode: None,
    };
    let mut containers: Vec<Container> = (0..count).map(|number| container(number, &network.id)).collect();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Inventory { engine: Engine::default(), containers, networks: vec![network], ingress: None })
}

fn container(number: usize, network: &str) -> Container {
    let port = u16::try_from(number % 40_000).unwrap_or(0) + 20_000;
    Container {
        id: crate::engine::id(number),
        name: format!("c{number}"),
        labels: Labels::default(),
        running: true,
        mode: NetworkMode::Own,
        endpoints: vec![Endpoint { network: network.to_owned(), v4: Some(address(number)), v6: None }],
        bindings: vec![Binding {
            protocol: Protocol::Tcp,
            container_port: 80,
            host_address: Ipv4Addr::UNSPECIFIED.into(),
            host_port: Some(port),
        }],
        sandbox: None,
    }
}

/// A policy file of `count` rules, one a container, with a hundred different sources among them.
pub(crate) fn rules(count: usize) -> String {
    let mut text = "version = 1\n".to_owned();
    for number in 0..count {
        let source = number % 100;
        let _ = write!(text, "[[rule]]\nverdict=\"allow\"\ntarget=[\"c{number}\"]\nfrom=[\"198.51.{source}.0/24\"]\n");
    }
    text
}

/// One rule for all containers: friends only.
pub(crate) fn friends_only() -> Result<Policy> {
    let text = format!("version = 1\n[[rule]]\nverdict=\"allow\"\ntarget=[\"*\"]\nfrom=[\"{FRIENDS}\"]\n");
    Ok(Document::parse(&text)?.policy().clone())
}

/// `count` addresses, the first of which is `first`; the others are nobody's.
pub(crate) fn addresses(first: Ipv4Addr, count: usize) -> impl Iterator<Item = Ipv4Addr> {
    let start = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    std::iter::once(first).chain((start..).map(Ipv4Addr::from)).take(count)
}

/// The text of a set of those addresses, as an administrator keeps it.
pub(crate) fn set_text(name: &str, first: Ipv4Addr, count: usize) -> String {
    let mut text = format!("create {name} hash:ip family inet hashsize 1024 maxelem 2097152\n");
    for address in addresses(first, count) {
        let _ = writeln!(text, "add {name} {address}");
    }
    text
}

/// That set, read.
pub(crate) fn set_file(first: Ipv4Addr, count: usize) -> Result<SetFile> {
    let name: SetName = FRIENDS.parse()?;
    Ok(SetFile::parse(&name, &set_text(FRIENDS, first, count))?)
}

/// What a pass works from, kept together.
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) sets: BTreeMap<String, SetFile>,
    pub(crate) inventory: Inventory,
}

impl World {
    pub(crate) fn pass(&self) -> Pass<'_> {
        Pass {
            policy: &self.policy,
            sets: &self.sets,
            earlier_sets: &[],
            inventory: &self.inventory,
            following: Following::Nobody,
            mute: false,
            proof: Proof::No,
            now: Timestamp::UNIX_EPOCH,
        }
    }
}

/// Docker's own rules for that bridge, after what 28.5 writes, with one rule for all published ports. What follows
/// stands on these, and so does the baseline.
pub(crate) const DOCKERS_RULES: &str = "*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.64.0.0/14 ! -o br-ffffffffffff -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i br-ffffffffffff -j ACCEPT
-A DOCKER-CT -o br-ffffffffffff -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-BRIDGE -o br-ffffffffffff -j DOCKER
-A DOCKER -d 10.64.0.0/14 ! -i br-ffffffffffff -o br-ffffffffffff -j ACCEPT
-A DOCKER ! -i br-ffffffffffff -o br-ffffffffffff -j DROP
COMMIT
";

/// A kernel in which `desired` is in force.
pub(crate) fn holding(desired: &Desired) -> Dump {
    let mut dump = empty();
    for (key, table) in &desired.tables {
        let chains = &mut dump.tables.entry(*key).or_default().chains;
        for (name, lines) in &table.chains {
            chains.insert(name.clone(), Chain { policy: None, lines: lines.clone() });
        }
        for hook in &table.hooks {
            let chain = chains.entry(hook.chain.clone()).or_default();
            chain.lines.splice(0..0, hook.lines.iter().cloned());
        }
    }
    dump.sets = desired.sets.iter().map(|(name, set)| (name.clone(), set.set().clone())).collect();
    dump
}

/// A kernel with Docker's chains and nothing of ours.
pub(crate) fn empty() -> Dump {
    use docker_firewall::ruleset::Table;
    let mut dump = Dump::default();
    for family in Family::ALL {
        for table in Table::ALL {
            let mut part = TableDump::default();
            for name in ["FORWARD", "INPUT", "OUTPUT"] {
                part.chains.insert(name.to_owned(), Chain { policy: Some("ACCEPT".to_owned()), lines: Vec::new() });
            }
            if table == Table::Filter {
                part.chains.insert("DOCKER-USER".to_owned(), Chain::default());
                let jump = docker_firewall::ruleset::parse_rule("-j DOCKER-USER");
                let line = Line {
                    text: "-j DOCKER-USER".to_owned(),
                    rule: jump,
                    counts: docker_firewall::ruleset::Counts::default(),
                };
                part.chains.entry("FORWARD".to_owned()).or_default().lines.push(line);
            }
            dump.tables.insert((family, table), part);
        }
    }
    dump
}
