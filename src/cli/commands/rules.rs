//! `rules`: the ordered policy, numbered.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::RulesArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::{Entry, Listing};
use crate::cli::offline;
use crate::policy::Rule;

/// Runs it; needs neither engine nor privileges, for the policy is a file.
pub fn run(ctx: &mut Context, args: RulesArgs) -> Result<Exit, Failure> {
    let config = offline::config(ctx)?;
    let now = Timestamp::now();
    let rules = config.document.policy().rules.iter().enumerate();
    let entries = rules.map(|(index, rule)| entry(index + 1, rule, now)).collect();
    let headings = &["RULE", "ID", "VERDICT", "TARGET", "PORTS", "FROM", "UNTIL", "COMMENT"];
    Listing { headings, flexible: &[7, 5, 3, 4], entries }.print(ctx, &args.style)?;
    Ok(Exit::Success)
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
