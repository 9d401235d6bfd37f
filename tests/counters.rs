//! Counters: whose they are, that they survive what is written anew, and the text in which they are told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod kernel;
#[path = "counters/text.rs"]
mod text;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use docker_firewall::compile::{Ground, compile, origins};
use docker_firewall::net::Family;
use docker_firewall::policy::Verdict;
use docker_firewall::reconcile;
use docker_firewall::ruleset::{
    CountedMember, Counts, Desired, Dump, IpSet, Line, Match, Members, SetKind, SetShape, Table,
};
use docker_firewall::tally::{Subject, Tally};
use proptest::prelude::*;

use kernel::MemoryKernel;
use world::World;

fn desired(world: &World, state: &Dump) -> Desired {
    compile(&world.resolved(), |family| Ground::of(state, family))
}

/// A kernel as Docker leaves it, with the sets of others that rules may name.
fn kernel() -> MemoryKernel {
    let mut kernel = MemoryKernel::with_docker();
    for (name, family) in [
        ("friends", Family::V4),
        ("friends-v6", Family::V6),
        ("foes", Family::V4),
        ("foes-v6", Family::V6),
        ("crowd", Family::V4),
    ] {
        let shape = SetShape {
            kind: SetKind::Net,
            family,
            hashsize: 1024,
            maxelem: 65536,
            timeout: Some(0),
            comment: true,
            counters: false,
        };
        kernel.state.sets.insert(name.to_owned(), IpSet { shape, members: Members::new() });
    }
    kernel
}

fn apply(kernel: &mut MemoryKernel, world: &World) -> Result<reconcile::Applied, reconcile::ApplyError> {
    let none = BTreeSet::new();
    let before = reconcile::observe(kernel, &none).unwrap();
    reconcile::apply(kernel, &none, &before, &|state| desired(world, state), &|| false)
}

fn lines(state: &mut Dump) -> Vec<((Family, Table, String), &mut Line)> {
    let mut all = Vec::new();
    for (&(family, table), dump) in &mut state.tables {
        for (name, chain) in &mut dump.chains {
            for line in &mut chain.lines {
                all.push(((family, table, format!("{name} {}", line.text)), line));
            }
        }
    }
    all
}

/// Counts every rule with a number of its own.
fn count(state: &mut Dump) {
    for (index, (_, line)) in lines(state).into_iter().enumerate() {
        line.counts = Counts { packets: index as u64 + 1, bytes: 60 * (index as u64 + 1) };
    }
}

fn counted(state: &mut Dump) -> BTreeMap<(Family, Table, String), Vec<Counts>> {
    let mut all: BTreeMap<_, Vec<Counts>> = BTreeMap::new();
    for (place, line) in lines(state) {
        all.entry(place).or_default().push(line.counts);
    }
    all
}

fn asked(line: &Line) -> Option<&str> {
    let rule = line.rule.as_ref()?;
    rule.matches.iter().find_map(|condition| match condition {
        Match::Set { name, .. } if name[4..].starts_with("allow-") || name[4..].starts_with("deny-") => {
            Some(name.as_str())
        }
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every kernel rule that comes of rules knows which, by the policy alone.
    #[test]
    fn the_policy_tells_whose_a_kernel_rule_is(world in world::world()) {
        let mut kernel = kernel();
        apply(&mut kernel, &world).unwrap();
        let ipsets = BTreeMap::from([("crowd".to_owned(), Family::V4)]);
        let origins = origins(&world.policy, &ipsets);
        let ingress = !world.resolved().ingress.is_empty();
        let sets: BTreeSet<String> =
            lines(&mut kernel.state).into_iter().filter_map(|(_, line)| asked(line).map(str::to_owned)).collect();
        for set in sets {
            let verdict = if set[4..].starts_with("allow-") { Verdict::Allow } else { Verdict::Deny };
            match origins.get(&set) {
                Some(rules) => prop_assert!(rules.iter().all(|&index| world.policy.rules[index].verdict == verdict)),
                // What closes an ingress port is no rule's.
                None => prop_assert!(ingress && verdict == Verdict::Deny, "{set} is nobody's: {:#?}", world.policy),
            }
        }
    }

    /// A rule that stays goes on counting where it was, whatever is written around it.
    #[test]
    fn counters_survive_what_is_written_anew(one in world::world(), other in world::world()) {
        let mut kernel = kernel();
        apply(&mut kernel, &one).unwrap();
        count(&mut kernel.state);
        let before = counted(&mut kernel.state);
        apply(&mut kernel, &other).unwrap();
        for (place, counts) in counted(&mut kernel.state) {
            for (was, is) in before.get(&place).into_iter().flatten().zip(counts) {
                prop_assert!(*was == is || !place.2.starts_with("DOCKER-FIREWALL"), "{place:?}");
            }
        }
    }

    /// Neither do they begin anew when a change is undone.
    #[test]
    fn counters_survive_what_is_undone(one in world::world(), other in world::world(), steps in 0..12_usize) {
        let mut kernel = kernel();
        apply(&mut kernel, &one).unwrap();
        count(&mut kernel.state);
        let before = counted(&mut kernel.state);
        kernel.fail_at(kernel.steps() + steps);
        let failed = apply(&mut kernel, &other).is_err();
        kernel.revive();
        if failed {
            for (place, counts) in counted(&mut kernel.state).into_iter().filter(|(place, _)| place.2.starts_with("DOCKER-FIREWALL")) {
                prop_assert_eq!(before.get(&place), Some(&counts), "{:?}", place);
            }
        }
    }
}

/// What is allowed is counted where the last word is said, what is denied wherever, and what nobody allowed by container.
#[test]
fn a_packet_is_counted_once() {
    let save = |packets: u64| {
        format!(
            "*filter\n:DOCKER-FIREWALL-TO - [0:0]\n:DOCKER-FIREWALL-BACK - [0:0]\n\
             [{packets}:600] -A DOCKER-FIREWALL-TO -m set --match-set df4-allow-48d420b24c dst -j RETURN\n\
             [2:120] -A DOCKER-FIREWALL-TO -m set --match-set df4-deny-e40e29d63a dst -j DROP\n\
             [5:300] -A DOCKER-FIREWALL-TO -m set --match-set df4-deny-e40e29d63a dst -m conntrack --ctstate DNAT \
             -j NFLOG --nflog-prefix docker-firewall-dnat-1918610c --nflog-group 5733 --nflog-size 128\n\
             [7:420] -A DOCKER-FIREWALL-TO -m set --match-set df4-guarded dst -j DROP\n\
             [1:60] -A DOCKER-FIREWALL-BACK -m set --match-set df4-deny-e40e29d63a src -j DROP\nCOMMIT\n"
        )
    };
    let tables = docker_firewall::ruleset::parse_iptables_save(Family::V4, &save(10)).unwrap();
    let mut dump = Dump { tables, ..Dump::default() };
    let second = save(9).replace("*filter", "*security").replace("[2:120]", "[1:60]");
    dump.tables.extend(docker_firewall::ruleset::parse_iptables_save(Family::V4, &second).unwrap());
    let member = |set: &str, entry: &str, comment: Option<&str>, packets: u64| CountedMember {
        set: set.to_owned(),
        entry: entry.to_owned(),
        comment: comment.map(str::to_owned),
        nomatch: false,
        counts: Counts { packets, bytes: packets * 60 },
    };
    let members = [
        member("df4-guarded", "172.17.0.2", Some("web 0123456789ab"), 7),
        member("df4-guarded", "172.18.0.2", Some("web 0123456789ab"), 3),
        member("df4-guarded", "172.17.0.0/16", None, 1),
        member("df4-allow-48d420b24c", "172.17.0.2", Some("web 0123456789ab"), 0),
    ];
    let origins = BTreeMap::new();
    let tally = Tally::of(&docker_firewall::policy::Policy::default(), &origins, &dump, &members);
    let sum = |is: &dyn Fn(&Subject) -> bool| -> u64 {
        tally.samples.iter().filter(|sample| is(&sample.subject)).map(|sample| sample.counts.packets).sum()
    };
    let of = |verdict| move |subject: &Subject| matches!(subject, Subject::Rules(group) if group.verdict == verdict);
    assert_eq!(sum(&of(Verdict::Allow)), 9);
    assert_eq!(sum(&of(Verdict::Deny)), 2 + 1 + 1 + 1);
    assert_eq!(sum(&|subject| *subject == Subject::Closed("web".to_owned())), 10);
    assert_eq!(sum(&|subject| *subject == Subject::Closed(String::new())), 1);
    assert_eq!(sum(&|subject| *subject == Subject::Backstop), 1 + 7 + 1);
    assert_eq!(tally.containers[&Vec::new()], BTreeSet::from(["web".to_owned()]));
}
