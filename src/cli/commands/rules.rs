//! `rules`: the ordered policy, numbered.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::RulesArgs;
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::figures::Figures;
use crate::cli::listing::{Entry, Listing};
use crate::cli::offline;
use crate::host::privileges::require_net_admin;
use crate::metrics::KernelFacts;
use crate::policy::Rule;
use crate::ruleset::Counts;
use crate::tally::Subject;

/// Runs it; needs neither engine nor privileges, for the policy is a file. Counters are the kernel's, which only root may ask.
pub fn run(ctx: &mut Context, args: RulesArgs) -> Result<Exit, Failure> {
    let config = offline::config(ctx)?;
    let now = Timestamp::now();
    let rules = &config.document.policy().rules;
    let mut entries: Vec<Entry> = rules.iter().enumerate().map(|(index, rule)| entry(index + 1, rule, now)).collect();
    if !args.counters {
        let headings = &["RULE", "ID", "VERDICT", "TARGET", "PORTS", "FROM", "UNTIL", "COMMENT"];
        Listing { headings, flexible: &[7, 5, 3, 4], entries }.print(ctx, &args.style)?;
        return Ok(Exit::Success);
    }
    require_net_admin().map_err(|error| complaint::privilege(&error))?;
    let kernel = Figures::new(offline::paths(ctx)).read().map_err(|error| complaint::kernel(&error))?;
    for (rule, entry) in rules.iter().zip(&mut entries) {
        counted(&rule.id(), rules, &kernel, entry);
    }
    let headings = &["RULE", "ID", "VERDICT", "TARGET", "PORTS", "FROM", "UNTIL", "PACKETS", "BYTES", "COMMENT"];
    Listing { headings, flexible: &[9, 5, 3, 4], entries }.print(ctx, &args.style)?;
    Ok(Exit::Success)
}

/// Adds what the kernel counted. Rules that ask the same are counted together there; the entry names the others.
fn counted(id: &str, rules: &[Rule], kernel: &KernelFacts, entry: &mut Entry) {
    let mut counts = Counts::default();
    let mut others = BTreeSet::new();
    for (subject, more) in &kernel.sums {
        let Subject::Rules(group) = subject else { continue };
        if group.ids.iter().any(|own| own == id) {
            counts += *more;
            others.extend(group.ids.iter().filter(|own| *own != id));
        }
    }
    let numbers = rules.iter().enumerate().filter(|(_, rule)| others.contains(&rule.id()));
    let with = numbers.map(|(index, _)| (index + 1).to_string()).collect::<Vec<_>>().join(",");
    let note = if with.is_empty() { String::new() } else { format!(" (with {with})") };
    entry.fields["Packets"] = counts.packets.to_string().into();
    entry.fields["Bytes"] = counts.bytes.to_string().into();
    entry.fields["CountedWith"] = with.into();
    let comment = entry.cells.len() - 1;
    entry.cells.splice(comment..comment, [format!("{}{note}", counts.packets), counts.bytes.to_string()]);
}

fn entry(number: usize, rule: &Rule, now: Timestamp) -> Entry {
    let number = number.to_string();
    let from = match &rule.interface {
        Some(interface) => format!("{} via {interface}", sources(rule)),
        None => sources(rule),
    };
    let until =
        rule.expires.map_or_else(String::new, |at| if at <= now { format!("{at} (over)") } else { at.to_string() });
    Entry {
        name: rule.id(),
        fields: json!({
            "Rule": number, "ID": rule.id(), "Verdict": rule.verdict.name(), "Target": targets(rule),
            "Ports": ports(rule), "From": sources(rule), "Interface": rule.interface,
            "Until": rule.expires.map(|at| at.to_string()), "Comment": rule.comment,
            "Pending": rule.pending.to_string(), "Log": rule.log.to_string(), "Line": rule.line.map(|line| line.to_string()),
            "Text": rule.to_string(),
        }),
        cells: vec![
            number,
            rule.id(),
            rule.verdict.name().to_owned(),
            targets(rule),
            ports(rule),
            from,
            until,
            rule.comment.clone().unwrap_or_default(),
        ],
        alarming: false,
    }
}

fn targets(rule: &Rule) -> String {
    rule.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn sources(rule: &Rule) -> String {
    rule.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn ports(rule: &Rule) -> String {
    let mut parts = Vec::new();
    if let Some(ports) = &rule.ports.container {
        parts.push(ports.to_string());
    }
    if let Some(ports) = &rule.ports.published {
        parts.push(format!("published {ports}"));
    }
    if parts.is_empty() { "all".to_owned() } else { parts.join(" or ") }
}
