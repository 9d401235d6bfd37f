//! `set ls`.

use serde_json::json;

use crate::cli::args::SetLsArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::listing::{Entry, Listing};
use crate::cli::offline;
use crate::cli::text::natural_order;
use crate::net::Family;

/// Runs it; needs neither engine nor privileges, for sets are files.
pub fn run(ctx: &mut Context, args: SetLsArgs) -> Result<Exit, Failure> {
    let config = offline::config(ctx)?;
    let mut sets: Vec<_> = config.sets.values().collect();
    sets.sort_by(|a, b| natural_order(a.name().as_str(), b.name().as_str()));
    let entries = sets.into_iter().map(|set| {
        let (v4, v6) = (set.count(Family::V4).to_string(), set.count(Family::V6).to_string());
        let kind = set.shape(Family::V4).kind.name().to_owned();
        let users = super::users(config.document.policy(), set.name());
        let rules = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let name = set.name().to_string();
        Entry {
            fields: json!({"Name": name, "Type": kind, "IPv4": v4, "IPv6": v6, "Rules": rules}),
            cells: vec![name.clone(), kind, v4, v6, rules],
            name,
            alarming: false,
        }
    });
    let headings = &["NAME", "TYPE", "IPV4", "IPV6", "RULES"];
    Listing { headings, flexible: &[4], entries: entries.collect() }.print(ctx, &args.style)?;
    Ok(Exit::Success)
}
