//! The memory kernel itself: what it refuses, and that it fails where it is told to.

#![allow(clippy::unwrap_used)]

mod kernel;

use std::cell::RefCell;
use std::rc::Rc;

use docker_firewall::host::kernel::Kernel;
use docker_firewall::net::Family;
use docker_firewall::ruleset::{Table, names};
use kernel::MemoryKernel;

fn texts(kernel: &MemoryKernel, chain: &str) -> Vec<String> {
    let chain = kernel.state.chain(Family::V4, Table::Filter, chain).unwrap();
    chain.lines.iter().map(|line| line.text.clone()).collect()
}

#[test]
fn a_table_changes_whole_or_not_at_all() {
    let mut kernel = MemoryKernel::with_docker();
    let before = kernel.state.clone();
    for bad in [
        "*filter\n:X - [0:0]\n-A X -j NOSUCH\nCOMMIT\n",
        "*filter\n:X - [0:0]\n-A X -m set --match-set nosuch src -j DROP\nCOMMIT\n",
        "*filter\n:X - [0:0]\n-A X -j X\nCOMMIT\n",
        "*filter\n:X - [0:0]\n-D FORWARD -j X\nCOMMIT\n",
        "*filter\n:X - [0:0]\n-I X 2 -j DROP\nCOMMIT\n",
        "*filter\n-X DOCKER-USER\nCOMMIT\n",
        "*filter\n-X NOSUCH\nCOMMIT\n",
        "*filter\n-X FORWARD\nCOMMIT\n",
        "*filter\n-A NOSUCH -j DROP\nCOMMIT\n",
        "*filter\n:X - [0:0]\n",
        "*nat\nCOMMIT\n",
        "-A FORWARD -j DROP\n",
    ] {
        assert!(kernel.restore_rules(Family::V4, bad).is_err(), "{bad}");
        assert_eq!(kernel.state, before, "{bad}");
    }
}

#[test]
fn rules_come_and_go() {
    let mut kernel = MemoryKernel::with_docker();
    let text = "*filter\n:DOCKER-FIREWALL - [0:0]\n-A DOCKER-FIREWALL -j RETURN\n-I DOCKER-USER -m comment --comment \
                \"docker-firewall\" -j DOCKER-FIREWALL\n-A DOCKER-USER -s 10.0.0.0/8 -j LOG --log-prefix \"a b\"\nCOMMIT\n";
    kernel.restore_rules(Family::V4, text).unwrap();
    assert_eq!(
        texts(&kernel, names::DOCKER_USER),
        ["-m comment --comment docker-firewall -j DOCKER-FIREWALL", "-s 10.0.0.0/8 -j LOG --log-prefix \"a b\""]
    );
    // Declaring a chain of one's own empties it, declaring a built-in one does not.
    kernel.restore_rules(Family::V4, "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-FIREWALL - [0:0]\nCOMMIT\n").unwrap();
    assert_eq!(texts(&kernel, names::FORWARD).len(), 2);
    assert!(texts(&kernel, names::MAIN).is_empty());
    let off =
        "*filter\n-D DOCKER-USER -m comment --comment docker-firewall -j DOCKER-FIREWALL\n-X DOCKER-FIREWALL\nCOMMIT\n";
    kernel.restore_rules(Family::V4, off).unwrap();
    assert!(kernel.state.chain(Family::V4, Table::Filter, names::MAIN).is_none());
    assert!(kernel.restore_rules(Family::V4, off).is_err());
}

#[test]
fn sets_change_line_by_line() {
    let mut kernel = MemoryKernel::new();
    let text =
        "create a hash:net timeout 0 comment\nadd a 10.0.0.1/8 comment \"x y\"\nadd a 10.0.0.0/8\nadd a 11.0.0.0/8\n";
    let error = kernel.restore_sets(text).unwrap_err().to_string();
    assert!(error.contains("line 3: add a 10.0.0.0/8"), "{error}");
    assert_eq!(kernel.state.sets["a"].members.len(), 1, "what came before the error stays");
    for bad in [
        "create a hash:net\n",
        "create a hash:net -exist\n",
        "add nosuch 1.1.1.1\n",
        "add a fd00::/8\n",
        "add a 0.0.0.0/0\n",
        "add a zzz\n",
        "del a 9.9.9.9\n",
        "swap a nosuch\n",
        "destroy nosuch\n",
        "bogus a\n",
        "rename a a\n",
        "create one hash:ip maxelem 1\nadd one 1.1.1.1\nadd one 1.1.1.2\n",
        "create i hash:ip\nswap a i\n",
        "create six hash:net family inet6\nswap a six\n",
        "add i 1.1.1.1 timeout 5\n",
        "add i 1.1.1.1 comment x\n",
    ] {
        assert!(kernel.restore_sets(bad).is_err(), "{bad}");
    }
    kernel
        .restore_sets("create b hash:net\nadd b 1.0.0.0/8\nswap a b\ndel a 9.9.9.9 -exist\nadd -exist a 1.0.0.0/8\n")
        .unwrap();
    assert_eq!(kernel.state.sets["a"].members.len(), 1);
    let rules = "*filter\n-A FORWARD -m set --match-set a src -j DROP\nCOMMIT\n";
    kernel.restore_rules(Family::V4, rules).unwrap();
    assert!(kernel.restore_rules(Family::V6, rules).is_err(), "the set is of the other family");
    assert!(kernel.restore_sets("destroy a\n").is_err(), "a rule refers to it");
    assert!(kernel.restore_sets("rename a c\n").is_err(), "a rule refers to it");
    kernel.restore_sets("destroy b\nflush\n").unwrap();
    assert!(kernel.state.sets["a"].members.is_empty());
}

#[test]
fn steps_are_seen_and_can_fail() {
    let sets = "create a hash:ip\nadd a 1.1.1.1\n";
    let rules = "*filter\n-A FORWARD -j DROP\nCOMMIT\n*security\n-A FORWARD -j DROP\nCOMMIT\n";
    let run = |kernel: &mut MemoryKernel| -> Vec<bool> {
        vec![kernel.restore_sets(sets).is_ok(), kernel.restore_rules(Family::V4, rules).is_ok()]
    };
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut kernel = MemoryKernel::new();
    let log = Rc::clone(&seen);
    kernel.on_step(move |dump| log.borrow_mut().push(dump.clone()));
    assert_eq!(run(&mut kernel), [true, true]);
    assert_eq!((kernel.steps(), seen.borrow().len()), (4, 4));

    let mut failing = MemoryKernel::new();
    failing.fail_at(1);
    assert_eq!(run(&mut failing), [false, true]);
    let mut dying = MemoryKernel::new();
    dying.die_at(3);
    assert_eq!(run(&mut dying), [true, false]);
    assert!(dying.state.chain(Family::V4, Table::Security, names::FORWARD).unwrap().lines.is_empty());
    assert!(dying.observe(&|_| true).is_err());
    dying.revive();
    assert_eq!(dying.observe(&|_| false).unwrap().sets["a"].members.len(), 0);
}
