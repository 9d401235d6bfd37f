//! Figures for Prometheus and its kin: plain facts become families of metrics, and those become text.
//!
//! How many series there are: two for each group of rules, way and verdict, one for each rule, two for each guarded
//! container, one for each set of users, and some fifty of the agent. Never one for each client.

mod histogram;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::{Policy, Verdict};
use crate::ruleset::Counts;
use crate::tally::{RuleGroup, Subject};

pub use histogram::Histogram;
pub use text::{Kind, Labels, Metric, Notation, Point, render};

/// What the figures are made of.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of this program.
    pub version: String,
    /// What the kernel counted; `None` when it could not be read.
    pub kernel: Option<KernelFacts>,
    /// What the agent did; `None` when none runs.
    pub agent: Option<Activity>,
}

/// What the kernel counted.
#[derive(Clone, Debug, Default)]
pub struct KernelFacts {
    /// The rules that are in force.
    pub policy: Policy,
    /// Sums, as `tally` makes them.
    pub sums: BTreeMap<Subject, Counts>,
    /// The containers that rules speak of, by the rules' IDs.
    pub containers: BTreeMap<Vec<String>, BTreeSet<String>>,
    /// How many entries sets have, by name.
    pub sets: BTreeMap<String, u64>,
}

/// What the agent did since it began.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// When it began, in seconds since 1970.
    pub started: f64,
    /// Whether the engine answered last.
    pub connected: bool,
    /// Whether the last pass failed, or what was last in force stands in for files that cannot be used.
    pub failing: bool,
    /// How long passes took that read everything, in seconds.
    pub full: Histogram,
    /// The same of those that followed containers alone.
    pub quick: Histogram,
    /// The same of those that failed.
    pub failed: Histogram,
    /// Seconds from the moment at which an event was heard of to the rules being in force.
    pub reactions: Histogram,
    /// Passes in which the kernel was not as it was left, and was mended.
    pub repairs: u64,
}

/// The families, in the order in which they are printed.
pub fn metrics(facts: &Facts) -> Vec<Metric> {
    let mut all = vec![Metric::info(
        "docker_firewall_build",
        "The version of docker-firewall.",
        [vec![("version", facts.version.clone())]],
    )];
    let read = u64::from(facts.kernel.is_some());
    all.push(Metric::gauge(
        "docker_firewall_kernel_read",
        "Whether the kernel's counters could be read.",
        [(vec![], read)],
    ));
    if let Some(kernel) = &facts.kernel {
        all.extend(of_kernel(kernel));
    }
    let running = u64::from(facts.agent.is_some());
    all.push(Metric::gauge("docker_firewall_agent_running", "Whether an agent runs.", [(vec![], running)]));
    if let Some(agent) = &facts.agent {
        all.extend(of_agent(agent));
    }
    all
}

fn of_kernel(kernel: &KernelFacts) -> Vec<Metric> {
    let mut rules: Vec<(Labels, Counts)> = Vec::new();
    let mut closed = Vec::new();
    let mut backstop = Counts::default();
    for (subject, counts) in &kernel.sums {
        match subject {
            Subject::Rules(group) => rules.push((labels_of(group, kernel), *counts)),
            Subject::Closed(name) => closed.push((vec![("container", name.clone())], *counts)),
            Subject::Backstop => backstop = *counts,
        }
    }
    // Rules may say the same, and are one then.
    let mut infos = BTreeMap::new();
    for (index, rule) in kernel.policy.rules.iter().enumerate() {
        let labels = vec![
            ("rule", rule.id()),
            ("number", (index + 1).to_string()),
            ("verdict", rule.verdict.name().to_owned()),
            ("text", rule.to_string()),
        ];
        infos.entry(rule.id()).or_insert(labels);
    }
    let sets = kernel.sets.iter().map(|(name, entries)| (vec![("set", name.clone())], *entries));
    let mut all = vec![
        Metric::info("docker_firewall_rule", "The rules in force, by their IDs.", infos.into_values()),
        Metric::gauge("docker_firewall_set_entries", "Entries of users' sets in the kernel.", sets),
    ];
    all.extend(both(
        ["docker_firewall_rule_packets", "docker_firewall_rule_bytes"],
        [
            "Packets that rules allowed or denied; the container is named where the rules speak of one.",
            "Bytes that rules allowed or denied; the container is named where the rules speak of one.",
        ],
        &rules,
    ));
    all.extend(both(
        ["docker_firewall_closed_packets", "docker_firewall_closed_bytes"],
        [
            "Packets of guarded containers that no rule allowed, dropped.",
            "Bytes of guarded containers that no rule allowed, dropped.",
        ],
        &closed,
    ));
    all.extend(both(
        ["docker_firewall_backstop_packets", "docker_firewall_backstop_bytes"],
        ["Dropped packets that only the backstop caught.", "Dropped bytes that only the backstop caught."],
        &[(vec![], backstop)],
    ));
    all
}

fn labels_of(group: &RuleGroup, kernel: &KernelFacts) -> Labels {
    let mut labels = vec![
        ("rule", group.ids.join(",")),
        ("verdict", if group.verdict == Verdict::Allow { "allow" } else { "deny" }.to_owned()),
        ("direction", if group.outward { "out" } else { "in" }.to_owned()),
    ];
    let containers = kernel.containers.get(&group.ids).filter(|containers| containers.len() == 1);
    labels.push(("container", containers.and_then(BTreeSet::first).cloned().unwrap_or_default()));
    labels
}

/// A family of packets and one of bytes.
fn both(names: [&'static str; 2], helps: [&'static str; 2], counted: &[(Labels, Counts)]) -> [Metric; 2] {
    let packets = counted.iter().map(|(labels, counts)| (labels.clone(), counts.packets));
    let bytes = counted.iter().map(|(labels, counts)| (labels.clone(), counts.bytes));
    [
        Metric::counter(names[0], helps[0], packets).in_unit("packets"),
        Metric::counter(names[1], helps[1], bytes).in_unit("bytes"),
    ]
}

fn of_agent(agent: &Activity) -> Vec<Metric> {
    let kinds = [("full", &agent.full), ("quick", &agent.quick), ("failed", &agent.failed)];
    let passes = kinds.map(|(kind, histogram)| (vec![("kind", kind.to_owned())], histogram.clone()));
    vec![
        Metric::seconds(
            "docker_firewall_agent_start_time_seconds",
            "When the agent began, in seconds since 1970.",
            agent.started,
        ),
        Metric::gauge(
            "docker_firewall_agent_connected",
            "Whether the engine answered last.",
            [(vec![], u64::from(agent.connected))],
        ),
        Metric::gauge(
            "docker_firewall_agent_failing",
            "Whether the last pass failed, or what was last in force stands in for the files.",
            [(vec![], u64::from(agent.failing))],
        ),
        Metric::counter(
            "docker_firewall_agent_repairs",
            "Times that somebody else had changed rules or sets of ours, which were mended.",
            [(vec![], agent.repairs)],
        ),
        Metric::histogram(
            "docker_firewall_agent_pass_duration_seconds",
            "How long passes took: full ones, quick ones that follow containers alone, and those that failed.",
            passes,
        ),
        Metric::histogram(
            "docker_firewall_agent_reaction_seconds",
            "From the moment at which an event was heard of to the rules being in force.",
            [(vec![], agent.reactions.clone())],
        ),
    ]
}
