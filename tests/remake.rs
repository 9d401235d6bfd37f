//! Sets whose options change while rules ask them: made anew behind the barrier, never wider, undone on failure.

#![allow(clippy::unwrap_used, reason = "tests")]

mod kernel;

use std::collections::{BTreeMap, BTreeSet};

use docker_firewall::compile::Ground;
use docker_firewall::host::kernel::Kernel;
use docker_firewall::inventory::{Container, Endpoint, Inventory, Labels, Network, NetworkMode};
use docker_firewall::net::{Family, Protocol};
use docker_firewall::plan::{Call, Phase, plan};
use docker_firewall::policy::{Document, SetFile};
use docker_firewall::reconcile::{self, Applied, ApplyError, Pass};
use docker_firewall::resolve::{Following, Proof};
use docker_firewall::ruleset::{ConnDirection, ConnState, Dump, Packet, Path, SetKind, Transport, through};
use jiff::Timestamp;

use kernel::MemoryKernel;

const POLICY: &str = "version = 1\n[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = \"friends\"\n";

fn inventory() -> Inventory {
    let endpoint = Endpoint { network: "n".to_owned(), v4: Some("172.17.0.2".parse().unwrap()), v6: None };
    Inventory {
        containers: vec![Container {
            id: "c".repeat(64),
            name: "web".to_owned(),
            labels: Labels::default(),
            running: true,
            mode: NetworkMode::Own,
            endpoints: vec![endpoint],
            bindings: Vec::new(),
            sandbox: None,
        }],
        networks: vec![Network {
            id: "n".to_owned(),
            name: "bridge".to_owned(),
            driver: "bridge".to_owned(),
            bridge: Some("docker0".to_owned()),
            subnets: vec!["172.17.0.0/16".parse().unwrap()],
            gateways: Vec::new(),
            internal: false,
            parent: None,
            mode: None,
        }],
        ..Inventory::default()
    }
}

fn sets(text: &str) -> BTreeMap<String, SetFile> {
    let name = "friends".parse().unwrap();
    BTreeMap::from([("friends".to_owned(), SetFile::parse(&name, text).unwrap())])
}

fn apply(
    kernel: &mut MemoryKernel,
    sets: &BTreeMap<String, SetFile>,
    last: &BTreeMap<String, SetFile>,
) -> Result<Applied, ApplyError> {
    let document = Document::parse(POLICY).unwrap();
    let inventory = inventory();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let earlier = [last];
    let pass = Pass {
        policy: document.policy(),
        sets,
        earlier_sets: &earlier,
        inventory: &inventory,
        following: Following::Nobody,
        mute: false,
        proof: Proof::No,
        now,
    };
    let users = pass.users();
    let before = reconcile::observe(kernel, &users).unwrap();
    reconcile::apply(kernel, &users, &before, &|state| pass.desired(state), &|| false)
}

fn passes(state: &Dump, source: &str) -> bool {
    let packet = Packet {
        path: Path::Forward,
        in_interface: "eth0".to_owned(),
        out_interface: "docker0".to_owned(),
        source: source.parse().unwrap(),
        destination: "172.17.0.2".parse().unwrap(),
        transport: Transport::Ports { protocol: Protocol::Tcp, source: 40_000, destination: 80, syn: true },
        state: ConnState::New,
        direction: Some(ConnDirection::Original),
        published: None,
    };
    !through(state, Family::V4, packet.path.chain(), &packet).outcome.is_drop()
}

fn open_kernel() -> MemoryKernel {
    let mut kernel = MemoryKernel::with_docker();
    for table in kernel.state.tables.values_mut() {
        table.chains.get_mut("FORWARD").unwrap().policy = Some("ACCEPT".to_owned());
    }
    kernel
}

/// The same state; a set that was made larger may stay so.
fn same(left: &Dump, right: &Dump) -> bool {
    let sized = |state: &Dump| {
        let mut state = state.clone();
        state.sets.values_mut().for_each(|set| set.shape.maxelem = 0);
        state
    };
    sized(left) == sized(right)
}

const NET: &str = "create friends hash:net family inet hashsize 1024 maxelem 65536\nadd friends 192.0.2.1\n";
const IP: &str = "create friends hash:ip family inet hashsize 1024 maxelem 65536\nadd friends 192.0.2.2\n";
const LARGER: &str = "create friends hash:net family inet hashsize 1024 maxelem 131072\nadd friends 192.0.2.2\n";

#[test]
fn a_set_changes_its_kind_or_size_under_a_rule() {
    for (after, kind) in [(IP, SetKind::Ip), (LARGER, SetKind::Net)] {
        let (first, second) = (sets(NET), sets(after));
        let mut kernel = open_kernel();
        apply(&mut kernel, &first, &BTreeMap::new()).unwrap();
        assert!(passes(&kernel.state, "192.0.2.1") && !passes(&kernel.state, "192.0.2.2"));
        kernel.on_step(|state| assert!(!passes(state, "192.0.2.9"), "a stranger got in between"));
        apply(&mut kernel, &second, &first).unwrap();
        assert!(!passes(&kernel.state, "192.0.2.1") && passes(&kernel.state, "192.0.2.2"));
        assert_eq!(kernel.state.sets["friends"].shape.kind, kind);
        assert_eq!(apply(&mut kernel, &second, &second).unwrap().calls, 0);
    }
}

#[test]
fn a_failure_in_between_is_undone_and_a_death_stays_closed() {
    for after in [IP, LARGER] {
        let (first, second) = (sets(NET), sets(after));
        let mut start = open_kernel();
        apply(&mut start, &first, &BTreeMap::new()).unwrap();
        let fork = || {
            let mut other = MemoryKernel::new();
            other.state = start.state.clone();
            other
        };
        let mut trial = fork();
        apply(&mut trial, &second, &first).unwrap();
        for step in 0..trial.steps() {
            let mut failing = fork();
            failing.fail_at(step);
            let error = apply(&mut failing, &second, &first).unwrap_err();
            assert!(error.to_string().contains("as it was before"), "{error}");
            assert!(same(&failing.state, &start.state), "step {step}");
            let mut dying = fork();
            dying.die_at(step);
            apply(&mut dying, &second, &first).unwrap_err();
            assert!(!passes(&dying.state, "192.0.2.9"), "step {step}");
            dying.revive();
            apply(&mut dying, &second, &first).unwrap();
            assert!(!passes(&dying.state, "192.0.2.1") && passes(&dying.state, "192.0.2.2"), "step {step}");
        }
    }
}

#[test]
fn members_added_by_hand_stay_and_removed_ones_go() {
    let first = sets("create friends hash:net family inet\nadd friends 192.0.2.1\nadd friends 192.0.2.2\n");
    let second = sets("create friends hash:net family inet\nadd friends 192.0.2.2\n");
    let mut kernel = open_kernel();
    apply(&mut kernel, &first, &BTreeMap::new()).unwrap();
    let by_hand = kernel.state.sets["friends"].members.iter().next().map(|(_, member)| member.clone()).unwrap();
    let entry = docker_firewall::ruleset::SetEntry::Net("192.0.2.7/32".parse().unwrap());
    kernel.state.sets.get_mut("friends").unwrap().members.insert(entry, by_hand);
    apply(&mut kernel, &second, &first).unwrap();
    assert!(passes(&kernel.state, "192.0.2.7"), "added by hand");
    assert!(!passes(&kernel.state, "192.0.2.1"), "removed from the file");
    // And the owner removes the whole set, which nothing asks any more.
    let users: BTreeSet<String> = ["friends", "friends-v6"].map(str::to_owned).into();
    let state = kernel.state.clone();
    let gone = docker_firewall::ruleset::Desired { gone: users.clone(), ..Default::default() };
    reconcile::apply(&mut kernel, &users, &state, &|_| gone.clone(), &|| false).unwrap();
    assert!(kernel.state.sets.is_empty());
}

#[test]
fn a_rule_slipped_into_our_chain_by_hand_is_drift() {
    let first = sets(NET);
    let mut kernel = open_kernel();
    apply(&mut kernel, &first, &BTreeMap::new()).unwrap();
    let clean = kernel.state.clone();
    let filter = kernel.state.tables.get_mut(&(Family::V4, docker_firewall::ruleset::Table::Filter)).unwrap();
    let slipped = docker_firewall::ruleset::Line {
        text: "-s 10.0.0.0/8 -j ACCEPT".to_owned(),
        rule: None,
        counts: docker_firewall::ruleset::Counts::default(),
    };
    filter.chains.get_mut("DOCKER-FIREWALL-TO").unwrap().lines.insert(0, slipped);
    apply(&mut kernel, &first, &first).unwrap();
    assert_eq!(kernel.state, clean);
    let ground = Ground::of(&kernel.state, Family::V4);
    assert!(ground.docker_user && ground.security);
}

/// Rules that ask about connections make the kernel track them from the moment they are loaded, before they are in force:
/// what it sees of an open session in between may be the container's packet.
#[test]
fn nothing_is_forwarded_between_the_beginning_of_tracking_and_the_rules() {
    let document = Document::parse(POLICY).unwrap();
    let (inventory, now) = (inventory(), Timestamp::from_second(1_800_000_000).unwrap());
    let sets = sets(NET);
    let pass = Pass {
        policy: document.policy(),
        sets: &sets,
        earlier_sets: &[],
        inventory: &inventory,
        following: Following::Nobody,
        mute: false,
        proof: Proof::Wanted,
        now,
    };
    let mut kernel = open_kernel();
    let mut state = reconcile::observe(&mut kernel, &pass.users()).unwrap();
    state.tracked.insert(Family::V4);
    let steps = |state: &Dump| plan(state, &pass.desired(state)).steps;
    let barriers = |state: &Dump| steps(state).iter().filter(|step| step.phase == Phase::Barrier).count();
    assert_eq!(barriers(&state), 1, "somebody's rules had IPv4 tracked before");
    state.tracked.clear();
    assert_eq!(barriers(&state), 2);
    let mut closed = false;
    for step in steps(&state) {
        match &step.call {
            Call::Sets(text) => kernel.restore_sets(text).unwrap(),
            Call::Rules(family, text) => {
                if *family == Family::V4 && text.contains("conntrack") {
                    closed = true;
                    assert!(!passes(&kernel.state, "192.0.2.1"), "still open before:\n{text}");
                }
                // What docker-proxy answers is let through by the barrier, and not judged: no proof goes with it.
                assert!(text.contains("conntrack") || !text.contains("MARK"), "{text}");
                kernel.restore_rules(*family, text).unwrap();
            }
        }
    }
    assert!(closed && passes(&kernel.state, "192.0.2.1"), "never ruled");
}
