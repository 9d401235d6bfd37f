//! `doctor`, check by check: each is seen to pass, is provoked, and passes again once the way out that it prints was
//! taken.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;
#[path = "doctor/host.rs"]
mod host;
#[path = "doctor/kernel.rs"]
mod kernel;
#[path = "doctor/sets.rs"]
mod sets;
#[path = "doctor/ways.rs"]
mod ways;

use desk::{Desk, Result};

on_both_ends!(all_of_it, "doctor");

/// What has to be well on a host like this. Nobody follows yet, which is a warning.
const WELL: [&str; 20] = [
    "engine",
    "namespace",
    "engine-rules",
    "flavour",
    "modules",
    "bridge-nf",
    "in-force",
    "backstop",
    "hook",
    "ways-in",
    "proxy-v6",
    "unsaved",
    "room",
    "rules",
    "reach",
    "agent",
    "boot-record",
    "firewalls",
    "disk",
    "services",
];

fn all_of_it(desk: &Desk) -> Result {
    kernel::without_modules(desk)?;
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.lab.docker(&["network", "create", "four"])?.require("network create")?;
    desk.lab.run("old", &["-p", "8070:80", "--network", "four"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done("allow web old --from 203.0.113.10,fd00:1::10")?;
    let well = desk.done("doctor")?;
    for check in WELL {
        match check {
            "agent" => assert!(line(&well, "warning", check).is_some(), "{check}: {well}"),
            "services" => assert!(!well.contains(check), "{check}: {well}"),
            _ => assert!(line(&well, "ok", check).is_some(), "{check}: {well}"),
        }
    }
    let provocations: [fn(&Desk) -> Result; 25] = [
        kernel::an_accept_above,
        kernel::a_line_that_is_gone,
        kernel::one_line_of_two,
        kernel::past_the_first_line,
        kernel::what_cannot_be_read,
        kernel::the_other_kind,
        kernel::a_port_of_the_bridge,
        kernel::packets_within_a_bridge,
        kernel::the_proxy,
        kernel::the_host_network,
        kernel::no_security_table,
        ways::a_driver_that_nobody_knows,
        kernel::no_tool,
        sets::unsaved,
        sets::nearly_full,
        sets::a_rule_for_nothing,
        host::other_firewalls,
        host::firewalld,
        host::no_record_for_the_boot,
        host::a_full_disk,
        host::a_clock_set_back,
        host::another_engine,
        host::a_namespace_that_nobody_tells,
        host::without_root,
        host::a_broken_policy,
    ];
    for provoke in provocations {
        provoke(desk)?;
        assert_eq!(desk.done("doctor")?, well);
    }
    host::an_engine_without_rules(desk)?;
    host::the_agent(desk)
}

/// What a check says, without its name.
fn line<'a>(said: &'a str, health: &str, check: &str) -> Option<&'a str> {
    said.lines().find_map(|line| {
        let rest = line.strip_prefix(health)?.trim_start().strip_prefix(check)?;
        rest.starts_with(' ').then(|| rest.trim_start())
    })
}

/// Asserts how a check ends now, what it says, and which way out it prints; exits with 1 if something is not safe.
fn ends(desk: &Desk, health: &str, check: &str, says: &str, fix: &str) -> Result {
    let output = desk.run("doctor")?;
    let said = &output.stdout;
    let unsafe_ones = said.lines().filter(|line| line.starts_with("UNSAFE")).count();
    assert_eq!(output.code, i32::from(unsafe_ones > 0), "{output:?}");
    let all: Vec<&str> = said.lines().collect();
    let found = all.iter().enumerate().any(|(at, text)| {
        let next = all.get(at + 1).filter(|next| next.starts_with(' ')).map_or("", |next| next.trim());
        line(text, health, check).is_some_and(|text| text.contains(says)) && next.contains(fix)
    });
    assert!(found, "no {health} {check} with {says:?} and the way out {fix:?}:\n{said}");
    Ok(())
}
