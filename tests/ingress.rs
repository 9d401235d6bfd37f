//! Ports that a swarm publishes, on a node that does not know the services: what rules name, and what is remembered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod kernel;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use docker_firewall::compile::{Ground, compile};
use docker_firewall::inventory::{
    Container, Endpoint, Ingress, Inventory, Network, NetworkMode, SWARM_SERVICE, Services,
};
use docker_firewall::net::{Family, Protocol, parse_ports};
use docker_firewall::policy::{Policy, Ports, Rule, RuleSource, Verdict};
use docker_firewall::reconcile;
use docker_firewall::resolve::{Facts, Following, IngressMemory, IngressOwner, IngressPort, Proof, Resolved, resolve};
use docker_firewall::ruleset::{ConnDirection, ConnState, Dump, Outcome, Packet, Path, Transport, through};
use proptest::prelude::*;

use kernel::MemoryKernel;
use world::World;

const SANDBOX: &str = "172.18.0.2";

fn worker(addresses: &[&str]) -> Inventory {
    Inventory {
        ingress: Some(Ingress {
            network: "ingress-id".to_owned(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            services: Services::Withheld("this node is a worker of its swarm".to_owned()),
        }),
        ..Inventory::default()
    }
}

fn rule(verdict: Verdict, target: &str, port: Option<&str>, published: Option<&str>) -> Rule {
    let set = |text: &str| parse_ports(text).unwrap();
    Rule {
        verdict,
        targets: vec![target.parse().unwrap()],
        ports: Ports { container: port.map(set), published: published.map(set) },
        sources: vec![RuleSource::Any],
        interface: None,
        expires: None,
        comment: None,
        pending: false,
        log: false,
        line: None,
    }
}

fn allow(target: &str, published: Option<&str>) -> Rule {
    rule(Verdict::Allow, target, None, published)
}

fn memory(entries: &[(&str, u16, &str)]) -> IngressMemory {
    let owner = |text: &str| IngressOwner::parse(text).unwrap();
    entries
        .iter()
        .map(|(address, port, text)| ((address.parse().unwrap(), Protocol::Tcp, *port), owner(text)))
        .collect()
}

fn resolved(rules: &[Rule], inventory: &Inventory, ingress: &IngressMemory) -> Resolved {
    let policy = Policy { rules: rules.to_vec(), ..Policy::default() };
    let (sets, ipsets, remembered) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    resolve(
        &policy,
        &Facts {
            inventory,
            sets: &sets,
            ipsets: &ipsets,
            remembered: &remembered,
            ingress,
            following: Following::Nobody,
            now: World::now(),
        },
    )
}

/// `172.18.0.2:8080 service:web 80 rules [0] guarded`.
fn told(resolved: &Resolved) -> Vec<String> {
    let one = |port: &IngressPort| {
        let guarded = if port.guarded { "guarded" } else { "open" };
        format!("{}:{} {} rules {:?} {guarded}", port.address, port.port, port.owner, port.rules)
    };
    resolved.ingress.iter().map(one).collect()
}

#[test]
fn a_worker_guards_what_rules_name() {
    let here = worker(&[SANDBOX]);
    let none = IngressMemory::new();
    assert!(told(&resolved(&[allow("service:web", None)], &here, &none)).is_empty());
    assert!(told(&resolved(&[allow("*", Some("8080"))], &here, &none)).is_empty());
    let rules = [
        allow("service:web", Some("8080-8081")),
        rule(Verdict::Deny, "service:web", Some("80"), None),
        rule(Verdict::Allow, "service:web", Some("80"), None),
    ];
    // The port inside is unknown: a deny of it might mean this one, an allow does not.
    assert_eq!(
        told(&resolved(&rules, &here, &none)),
        ["172.18.0.2:8080 service:web rules [0, 1] guarded", "172.18.0.2:8081 service:web rules [0, 1] guarded"]
    );
    // Outside of swarms nothing is published so.
    assert!(told(&resolved(&rules, &Inventory::default(), &none)).is_empty());
}

#[test]
fn one_port_of_two_services_is_nobodys() {
    let rules = [allow("service:web", Some("8080")), allow("service:api", Some("8080"))];
    let found = resolved(&rules, &worker(&[SANDBOX]), &IngressMemory::new());
    assert_eq!(told(&found), ["172.18.0.2:8080 service:web rules [] guarded"]);
    // What was known once is not forgotten over it.
    let past = memory(&[(SANDBOX, 8080, "service:api 80")]);
    let found = resolved(&rules, &worker(&[SANDBOX]), &past);
    assert_eq!(told(&found), ["172.18.0.2:8080 service:api 80 rules [] guarded"]);
}

#[test]
fn what_was_known_is_kept() {
    let past = memory(&[(SANDBOX, 8080, "service:web 80"), (SANDBOX, 8443, "service:web 443")]);
    let rules = [rule(Verdict::Allow, "service:web", Some("80"), None)];
    let expected =
        ["172.18.0.2:8080 service:web 80 rules [0] guarded", "172.18.0.2:8443 service:web 443 rules [] guarded"];
    assert_eq!(told(&resolved(&rules, &worker(&[SANDBOX]), &past)), expected);
    // The place of the ingress network moved, or is away for the moment.
    let moved = resolved(&rules, &worker(&["172.18.0.9"]), &past);
    assert_eq!(told(&moved), expected.map(|line| line.replace(SANDBOX, "172.18.0.9")));
    assert_eq!(told(&resolved(&rules, &worker(&[]), &past)), expected);
    assert_eq!(told(&resolved(&rules, &Inventory::default(), &past)), expected);
    // Rules that are gone take it along, and other services are none of theirs.
    assert!(told(&resolved(&[allow("service:api", None)], &worker(&[SANDBOX]), &past)).is_empty());
}

fn container(name: &str, address: &str, labels: &[(&str, &str)]) -> (Container, Network) {
    let network = Network {
        id: "gw".to_owned(),
        name: "docker_gwbridge".to_owned(),
        driver: "bridge".to_owned(),
        bridge: Some("docker_gwbridge".to_owned()),
        subnets: vec!["172.18.0.0/16".parse().unwrap()],
        gateways: Vec::new(),
        internal: false,
        parent: None,
        mode: None,
    };
    let container = Container {
        id: format!("{:064x}", 7),
        name: name.to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        running: true,
        mode: NetworkMode::Own,
        endpoints: vec![Endpoint { network: "gw".to_owned(), v4: address.parse().ok(), v6: None }],
        bindings: Vec::new(),
        sandbox: None,
    };
    (container, network)
}

#[test]
fn a_container_at_the_old_place_is_not_taken_for_it() {
    let past = memory(&[(SANDBOX, 8080, "service:web 80")]);
    let (other, network) = container("other", SANDBOX, &[]);
    let here = Inventory { containers: vec![other], networks: vec![network], ..worker(&[]) };
    assert!(told(&resolved(&[allow("service:web", None)], &here, &past)).is_empty());
    // If both are said to be there, nobody comes in.
    let clash = Inventory { ingress: worker(&[SANDBOX]).ingress, ..here };
    let found = resolved(&[allow("service:web", None)], &clash, &past);
    assert!(found.ingress.is_empty());
    assert_eq!((found.places.len(), found.places[0].guarded, found.places[0].rules.len()), (1, true, 0));
}

/// Labels of a service are known by its containers here; without any nobody can say whom the rules mean.
#[test]
fn a_label_that_cannot_be_seen_closes() {
    let past = memory(&[(SANDBOX, 8080, "service:web 80")]);
    let rules = [allow("label:tier=front", None)];
    assert_eq!(
        told(&resolved(&rules, &worker(&[SANDBOX]), &past)),
        ["172.18.0.2:8080 service:web 80 rules [] guarded"]
    );
    // A deny may mean it, whatever else lets everybody in.
    let both = [rule(Verdict::Deny, "label:tier=front", None, None), allow("*", None), allow("label:tier=front", None)];
    assert_eq!(
        told(&resolved(&both, &worker(&[SANDBOX]), &past)),
        ["172.18.0.2:8080 service:web 80 rules [0, 1] guarded"]
    );
    let (task, network) = container("web.1.x", "172.18.0.5", &[(SWARM_SERVICE, "web"), ("tier", "front")]);
    let here = Inventory { containers: vec![task], networks: vec![network], ..worker(&[SANDBOX]) };
    assert_eq!(told(&resolved(&rules, &here, &past)), ["172.18.0.2:8080 service:web 80 rules [0] guarded"]);
}

#[test]
fn comments_are_read_as_they_are_written() {
    for target in [None, Some(80)] {
        let owner = IngressOwner { service: "shop_web".to_owned(), target };
        assert_eq!(IngressOwner::parse(&owner.to_string()), Some(owner));
    }
    for text in ["web 0123456789ab", "service 0123456789ab", "swarm ingress", "service:web eighty"] {
        assert_eq!(IngressOwner::parse(text), None, "{text}");
    }
}

fn dropped(state: &Dump, packet: &Packet) -> bool {
    through(state, Family::of(&packet.source), packet.path.chain(), packet).outcome == Outcome::Drop
}

/// A kernel as Docker leaves it, that lets pass what our rules do.
fn kernel() -> MemoryKernel {
    let mut kernel = MemoryKernel::with_docker();
    for table in kernel.state.tables.values_mut() {
        table.chains.get_mut("FORWARD").unwrap().policy = Some("ACCEPT".to_owned());
    }
    kernel
}

/// Whether the packet is to or from a port that no service publishes: nothing leads there, whatever rules say of it.
fn is_nobodys(inventory: &Inventory, packet: &Packet) -> bool {
    let Some(ingress) = &inventory.ingress else { return false };
    let Transport::Ports { protocol, source, destination, .. } = packet.transport else { return false };
    let published = |port: u16| {
        let mut ports = inventory.services().iter().flat_map(|service| &service.ports);
        ports.any(|known| known.protocol == protocol && known.published == port)
    };
    let at = |address: &IpAddr| ingress.addresses.contains(address);
    (at(&packet.destination) && !published(destination)) || (at(&packet.source) && !published(source))
}

/// Everybody at every published port.
fn knocks(inventory: &Inventory) -> Vec<Packet> {
    let addresses = inventory.ingress.iter().flat_map(|ingress| &ingress.addresses);
    let ports: Vec<_> = inventory.services().iter().flat_map(|service| &service.ports).collect();
    let mut packets = Vec::new();
    for &destination in addresses {
        let peers = world::PEERS.iter().map(|peer| peer.parse::<IpAddr>().unwrap());
        for source in peers.filter(|peer| peer.is_ipv4() == destination.is_ipv4()) {
            for port in &ports {
                for in_interface in world::INTERFACES {
                    packets.push(Packet {
                        path: Path::Forward,
                        in_interface: in_interface.to_owned(),
                        out_interface: "br-gw".to_owned(),
                        source,
                        destination,
                        transport: Transport::Ports {
                            protocol: port.protocol,
                            source: 40_000,
                            destination: port.published,
                            syn: port.protocol == Protocol::Tcp,
                        },
                        state: ConnState::New,
                        direction: Some(ConnDirection::Original),
                        published: Some(port.published),
                    });
                }
            }
        }
    }
    packets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A manager that becomes a worker lets nobody in whom it kept out, at no step of the next apply.
    #[test]
    fn a_demotion_is_never_wider(
        world in world::world(),
        packets in prop::collection::vec(world::packet(), 60),
    ) {
        let mut world = world;
        // The rules ask no sets, which nobody fills here.
        for rule in &mut world.policy.rules {
            rule.sources.retain(|source| matches!(source, RuleSource::Any | RuleSource::Literal { .. }));
            if rule.sources.is_empty() {
                rule.sources.push(RuleSource::Any);
            }
        }
        let knocks = knocks(&world.inventory);
        let packets: Vec<Packet> =
            packets.into_iter().chain(knocks).filter(|packet| !is_nobodys(&world.inventory, packet)).collect();
        let mut kernel = kernel();
        let users = BTreeSet::new();
        let put = |kernel: &mut MemoryKernel, world: &World| {
            let before = reconcile::observe(kernel, &users).unwrap();
            let (sets, earlier) = (BTreeMap::new(), []);
            let pass = reconcile::Pass {
                policy: &world.policy,
                sets: &sets,
                earlier_sets: &earlier,
                inventory: &world.inventory,
                following: Following::Nobody,
                mute: false,
                proof: Proof::No,
                now: World::now(),
            };
            let desired = |state: &Dump| compile(&pass.resolved(state), |family| Ground::of(state, family));
            reconcile::apply(kernel, &users, &before, &desired, &|| false).unwrap().calls
        };
        put(&mut kernel, &world);
        let before: Vec<bool> = packets.iter().map(|packet| dropped(&kernel.state, packet)).collect();
        let mut demoted = world.clone();
        if let Some(ingress) = &mut demoted.inventory.ingress {
            ingress.services = Services::Withheld("demoted".to_owned());
        }
        let wider: Rc<RefCell<Vec<String>>> = Rc::default();
        let (found, seen) = (Rc::clone(&wider), packets.clone());
        kernel.on_step(move |state: &Dump| {
            for (packet, kept_out) in seen.iter().zip(&before) {
                if *kept_out && !dropped(state, packet) {
                    found.borrow_mut().push(format!("{packet:?}"));
                }
            }
        });
        put(&mut kernel, &demoted);
        // What it remembers now is what it remembered then.
        prop_assert_eq!(put(&mut kernel, &demoted), 0);
        prop_assert!(wider.borrow().is_empty(), "wider: {:#?}", wider.borrow());
    }
}
