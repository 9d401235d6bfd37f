//! What `ls` says of a kernel that holds what the policy says, and nothing else: what the policy says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use docker_firewall::access::{Onlooker, Stranger, View, ways};
use docker_firewall::effective::{Host, Listener, Lookup, Memo, Route, Segment, held};
use docker_firewall::inventory::{Container, Inventory, NetworkMode};
use docker_firewall::net::Family;
use docker_firewall::ruleset::{Dump, SetDirection, WholeRuleset, parse_whole};
use proptest::prelude::*;

use crate::onlooker::Looker;
use crate::world::{self, World};
use crate::{apply, kernel};

struct Sets<'a>(&'a Dump);

impl Lookup for Sets<'_> {
    fn holds(&self, name: &str, directions: &[SetDirection], segment: &Segment) -> Option<bool> {
        held(self.0.sets.get(name)?, directions, segment)
    }
}

/// No two containers have one address, one port of the host, its network, or a swarm's.
fn without_quarrels(inventory: &mut Inventory) {
    inventory.ingress = None;
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    let mut hosts = 0;
    inventory.containers.retain(|container| {
        hosts += usize::from(container.mode == NetworkMode::Host);
        container.mode != NetworkMode::Host || hosts == 1
    });
    let on_host = inventory.containers.iter().any(|container| container.mode == NetworkMode::Host);
    for container in &mut inventory.containers {
        container.endpoints.retain(|endpoint| {
            let own: Vec<IpAddr> = Family::ALL.into_iter().filter_map(|family| endpoint.address(family)).collect();
            own.iter().all(|address| addresses.insert(*address))
        });
        container.bindings.retain(|own| {
            !on_host && own.host_port.is_some_and(|port| ports.insert((own.protocol, port, own.host_address.is_ipv4())))
        });
    }
}

/// What Docker writes for published ports.
fn published(inventory: &Inventory, family: Family) -> WholeRuleset {
    let mut text = "*nat\n:PREROUTING ACCEPT [0:0]\n".to_owned();
    for container in inventory.containers.iter().filter(|container| container.running) {
        let own = inventory.forwarded(container).find_map(|(endpoint, _)| endpoint.address(family));
        for binding in container.bindings.iter().filter(|own| Family::of(&own.host_address) == family) {
            let (Some(to), Some(port)) = (own, binding.host_port) else { continue };
            let at = if binding.host_address.is_unspecified() {
                String::new()
            } else {
                format!("-d {} ", binding.host_address)
            };
            let (protocol, inner) = (binding.protocol, binding.container_port);
            let to = std::net::SocketAddr::new(to, inner);
            let _ = writeln!(
                text,
                "-A PREROUTING {at}-m addrtype --dst-type LOCAL -p {protocol} -m {protocol} --dport {port} -j DNAT --to-destination {to}"
            );
        }
    }
    parse_whole(&(text + "COMMIT\n")).unwrap()
}

fn looker<'a>(world: &World, state: &Dump, sets: &'a Sets<'a>) -> Looker<'a> {
    let mut rulesets = BTreeMap::new();
    for family in Family::ALL {
        let mut ruleset = WholeRuleset::of_dump(state, family);
        ruleset.tables.extend(published(&world.inventory, family).tables);
        rulesets.insert(family, ruleset);
    }
    let route = |block: &str, device: &str| Route { block: block.parse().unwrap(), device: Some(device.to_owned()) };
    let mut routes = vec![
        route("0.0.0.0/0", "eth1"),
        route("::/0", "eth1"),
        route("203.0.113.0/24", "br-ext"),
        route("fd00:1::/64", "br-ext"),
    ];
    for network in &world.inventory.networks {
        let bridge = network.bridge.iter();
        routes.extend(bridge.flat_map(|name| network.subnets.iter().map(|block| route(&block.to_string(), name))));
    }
    let strangers = [(Family::V4, ["198.18.0.1", "203.0.113.254"]), (Family::V6, ["2001:2::1", "fd00:1::fe"])];
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut standing = BTreeMap::new();
    for (name, blocks) in &world.members {
        for block in blocks {
            standing.insert((name.clone(), Family::of(&block.addr())), block.addr());
        }
    }
    let called = [(Family::V4, "203.0.113.1"), (Family::V6, "fd00:1::1")];
    Looker {
        rulesets,
        host: Host {
            addresses: called.map(|(_, own)| address(own)).into(),
            routes,
            forwards: Family::ALL.into(),
            bridges: world.inventory.networks.iter().filter_map(|network| network.bridge.clone()).collect(),
            ..Host::default()
        },
        sets,
        strangers: strangers
            .map(|(family, own)| {
                let both = own.into_iter().zip(["eth1", "br-ext"]);
                let both = both.map(|(own, name)| Stranger { address: address(own), interface: name.to_owned() });
                (family, both.collect())
            })
            .into(),
        called: called.map(|(family, own)| (family, vec![address(own)])).into(),
        standing,
        listener: Listener::Container,
        unread: Vec::new(),
        memo: Memo::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_kernel_that_does_what_the_policy_says_is_listed_so(world in world::world()) {
        let mut world = world;
        without_quarrels(&mut world.inventory);
        let mut kernel = kernel(&world);
        apply(&mut kernel, &world).unwrap();
        let sets = Sets(&kernel.state);
        let looker = looker(&world, &kernel.state, &sets);
        let containers: Vec<&Container> = world.inventory.containers.iter().collect();
        let seen = |onlooker| {
            let view = View { policy: &world.policy, inventory: &world.inventory, onlooker, now: World::now() };
            ways(&view, &containers)
        };
        for way in seen(Some(&looker as &dyn Onlooker)) {
            prop_assert_eq!(&way.intended, &None, "{:#?}\n{:#?}", way, world.policy);
        }
    }
}
