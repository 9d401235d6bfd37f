//! `rules`: the ordered policy, numbered.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::RulesArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Shape;
use crate::cli::offline;
use crate::cli::table::Table;
use crate::cli::text::shorten;
use crate::policy::Rule;

/// Longest cell of the table unless `--no-trunc`.
const CELL: usize = 40;

/// Runs it; needs neither engine nor privileges, for the policy is a file.
pub fn run(ctx: &mut Context, args: RulesArgs) -> Result<Exit, Failure> {
    let config = offline::config(ctx)?;
    let now = Timestamp::now();
    let mut table = Table::new(&["RULE", "ID", "VERDICT", "TARGET", "PORTS", "FROM", "UNTIL", "COMMENT"]);
    for (index, rule) in config.document.policy().rules.iter().enumerate() {
        let number = (index + 1).to_string();
        match args.style.shape() {
            Shape::Names => ctx.output.line(&rule.id()),
            Shape::Json => ctx.output.json_line(&json!({
                "Rule": number, "ID": rule.id(), "Verdict": rule.verdict.name(), "Target": targets(rule),
                "Ports": ports(rule), "From": sources(rule), "Interface": rule.interface,
                "Until": rule.expires.map(|at| at.to_string()), "Comment": rule.comment,
                "Pending": rule.pending.to_string(), "Line": rule.line.map(|line| line.to_string()),
                "Text": rule.to_string(),
            }))?,
            Shape::Table => {
                let cut = |text: String| {
                    if args.style.no_trunc { text } else { shorten(&text, CELL).into_owned() }
                };
                let from = match &rule.interface {
                    Some(interface) => format!("{} via {interface}", sources(rule)),
                    None => sources(rule),
                };
                let until = rule
                    .expires
                    .map_or_else(String::new, |at| if at <= now { format!("{at} (over)") } else { at.to_string() });
                let comment = rule.comment.clone().unwrap_or_default();
                table.row([
                    number,
                    rule.id(),
                    rule.verdict.name().to_owned(),
                    cut(targets(rule)),
                    cut(ports(rule)),
                    cut(from),
                    until,
                    cut(comment),
                ]);
            }
        }
    }
    if args.style.shape() == Shape::Table {
        ctx.output.table(&table);
    }
    Ok(Exit::Success)
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
