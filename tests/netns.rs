//! The real tools in a network namespace of their own, iptables-nft and iptables-legacy alike.
//!
//! Each test runs itself again under `unshare`, so nothing here touches the host's rules. As root everything must run;
//! without, the legacy tools cannot, and only they are left out.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "netns/sets.rs"]
mod sets;
mod strategies;
#[path = "netns/walk.rs"]
mod walk;
#[path = "netns/world.rs"]
mod world;

use std::fmt::Write as _;

use docker_firewall::host::flavour;
use docker_firewall::host::kernel::{HostKernel, Kernel as _, KernelError};
use docker_firewall::host::tools::Tools;
use docker_firewall::host::whole;
use docker_firewall::net::Family;
use docker_firewall::ruleset::{Rule, Table, render_rule};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use world::{inside, kernel, kinds, run, run_with};

/// Rules as the tools will hold them; iptables drops an interface pattern that matches all.
fn sample(count: usize) -> Vec<Rule> {
    let mut runner = TestRunner::deterministic();
    let strategy = strategies::rule();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn make_sets(family: Family) {
    let word = if family == Family::V4 { "inet" } else { "inet6" };
    let script: String = strategies::SET_NAMES.iter().fold(String::new(), |mut script, name| {
        let _ = writeln!(script, "create {name} hash:ip family {word}");
        script
    });
    run("ipset", &["destroy"]);
    run_with("ipset", &["restore"], &script);
}

#[test]
fn rules_are_saved_as_rendered() {
    inside("rules_are_saved_as_rendered", || {
        // nft sends a table in one message, whose size only root may raise: some 400 rules are too many for others.
        let rules = sample(if kinds().len() < 2 { 100 } else { 400 });
        let mut text = String::from("*filter\n:SAMPLE - [0:0]\n");
        for chain in strategies::CHAINS {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for rule in &rules {
            let _ = writeln!(text, "-A SAMPLE {}", render_rule(rule));
        }
        text.push_str("COMMIT\n");
        for (kind, family) in kinds().into_iter().flat_map(|kind| Family::ALL.map(|family| (kind, family))) {
            make_sets(family);
            let mut kernel = kernel(kind);
            kernel.restore_rules(family, &text).unwrap();
            let dump = kernel.observe(&|_| true).unwrap();
            let lines = &dump.chain(family, Table::Filter, "SAMPLE").unwrap().lines;
            assert_eq!(lines.len(), rules.len());
            for (line, rule) in lines.iter().zip(&rules) {
                assert_eq!(line.text, render_rule(rule), "{kind} {family}");
                assert_eq!(line.rule.as_ref(), Some(rule), "{kind} {family}");
            }
            // The sets are made anew for the other family, which nothing may hold then.
            kernel.restore_rules(family, "*filter\n:SAMPLE - [0:0]\nCOMMIT\n").unwrap();
        }
    });
}

const FILTER: &str = include_str!("fixtures/engines/28.5.2/iptables-save.txt");

#[test]
fn foreign_rules_survive_to_the_letter() {
    inside("foreign_rules_survive_to_the_letter", || {
        for kind in kinds() {
            let filter = FILTER.split("*filter\n").nth(1).unwrap().split("COMMIT\n").next().unwrap();
            let mut kernel = kernel(kind);
            kernel.restore_rules(Family::V4, &format!("*filter\n{filter}COMMIT\n")).unwrap();
            let odd = "*filter\n-A DOCKER-USER -m comment --comment \"it's \\\"odd\\\" \\\\ here\" -j LOG\nCOMMIT\n";
            kernel.restore_rules(Family::V4, odd).unwrap();
            let before = kernel.observe(&|_| true).unwrap();
            let ours = "*filter\n:DOCKER-FIREWALL - [0:0]\n-A DOCKER-FIREWALL -j RETURN\n-I DOCKER-USER 1 -m comment \
                        --comment docker-firewall -j DOCKER-FIREWALL\nCOMMIT\n*security\n:DOCKER-FIREWALL - [0:0]\n\
                        -I FORWARD 1 -j DOCKER-FIREWALL\nCOMMIT\n";
            kernel.restore_rules(Family::V4, ours).unwrap();
            let mut after = kernel.observe(&|_| true).unwrap();
            assert!(after.chain(Family::V4, Table::Security, "DOCKER-FIREWALL").is_some());
            for table in after.tables.values_mut() {
                table.chains.retain(|name, _| !name.starts_with("DOCKER-FIREWALL"));
                for chain in table.chains.values_mut() {
                    chain.lines.retain(|line| !line.text.ends_with("-j DOCKER-FIREWALL"));
                }
            }
            assert_eq!(after, before, "{kind}");
            // A second writing of the same rebuilds the chain instead of adding to it.
            kernel
                .restore_rules(Family::V4, "*filter\n:DOCKER-FIREWALL - [0:0]\n-A DOCKER-FIREWALL -j RETURN\nCOMMIT\n")
                .unwrap();
            let again = kernel.observe(&|_| true).unwrap();
            assert_eq!(again.chain(Family::V4, Table::Filter, "DOCKER-FIREWALL").unwrap().lines.len(), 1);
        }
    });
}

#[test]
fn a_failed_table_leaves_everything_and_names_its_line() {
    inside("a_failed_table_leaves_everything_and_names_its_line", || {
        for kind in kinds() {
            let mut kernel = kernel(kind);
            kernel.restore_rules(Family::V4, "*filter\n:A - [0:0]\n-A A -j DROP\nCOMMIT\n").unwrap();
            let before = kernel.observe(&|_| true).unwrap();
            for (text, number) in [
                ("*filter\n:A - [0:0]\n-A A -m set --match-set nosuch src -j DROP\nCOMMIT\n", 3),
                ("*filter\n:A - [0:0]\n-D FORWARD -j DROP\nCOMMIT\n", 3),
                ("*filter\n:A - [0:0]\n-A A --bogus\nCOMMIT\n", 3),
                ("*filter\n-X NOSUCH\nCOMMIT\n", 2),
            ] {
                let error = kernel.restore_rules(Family::V4, text).unwrap_err();
                let KernelError::Failed { line: Some((named, shown)), stderr, .. } = &error else {
                    panic!("{kind}: {error}")
                };
                assert_eq!((*named, Some(shown.as_str())), (number, text.lines().nth(number - 1)), "{kind}: {stderr}");
            }
            let missing = "*filter\n:A - [0:0]\n-A A -j NOSUCH\nCOMMIT\n";
            assert!(matches!(kernel.restore_rules(Family::V4, missing), Err(KernelError::Failed { .. })));
            assert_eq!(kernel.observe(&|_| true).unwrap(), before, "{kind}");
        }
    });
}

#[test]
fn the_flavour_is_where_docker_is() {
    inside("the_flavour_is_where_docker_is", || {
        let tools = Tools::from_env();
        let default = flavour::default_kind(&tools, "").unwrap();
        let docker = "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n";
        if kinds().len() < 2 {
            return;
        }
        let mut fresh = HostKernel::new(tools.clone());
        fresh.observe(&|_| true).unwrap();
        let found = fresh.capabilities().unwrap();
        assert_eq!(found.flavour.kind, default);
        assert_eq!(whole::other_kind(&fresh), None);
        assert!(Family::ALL.iter().all(|&family| Table::ALL.iter().all(|&table| found.has(family, table))));
        kernel(default.other()).restore_rules(Family::V4, docker).unwrap();
        let mut there = HostKernel::new(tools.clone());
        let dump = there.observe(&|_| true).unwrap();
        assert_eq!(there.capabilities().unwrap().flavour.kind, default.other());
        assert!(dump.chain(Family::V4, Table::Filter, "DOCKER-USER").is_some());
        kernel(default).restore_rules(Family::V4, docker).unwrap();
        let mut both = HostKernel::new(tools);
        both.observe(&|_| true).unwrap();
        assert_eq!(both.capabilities().unwrap().flavour.kind, default);
        let other = whole::other_kind(&both).unwrap();
        assert_eq!(other.name, default.other().to_string());
        assert_eq!(other.chains, [(Family::V4, "filter/FORWARD".to_owned(), 1)]);
    });
}

#[test]
fn an_untouched_kernel_has_both_tables() {
    inside("an_untouched_kernel_has_both_tables", || {
        for kind in kinds() {
            let dump = kernel(kind).observe(&|_| true).unwrap();
            for (family, table) in Family::ALL.into_iter().flat_map(|family| Table::ALL.map(|table| (family, table))) {
                let chain = dump.chain(family, table, "FORWARD").unwrap();
                assert_eq!(
                    (chain.policy.as_deref(), chain.lines.len()),
                    (Some("ACCEPT"), 0),
                    "{kind} {family} {table}"
                );
            }
        }
    });
}

#[test]
fn who_may_not_is_told_so() {
    inside("who_may_not_is_told_so", || {
        let setpriv = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "ipset", "list"];
        let said = Tools::from_env().run("setpriv", &setpriv, "").unwrap().unwrap();
        assert!(!said.success, "{said:?}");
        assert!(said.stderr.contains("Operation not permitted"), "{said:?}");
        let _ = run("ipset", &["list", "-terse"]);
    });
}
