//! `ls`: every way into every container, with who can come in.

use serde_json::{Value, json};

use crate::access::{Exposure, Way};
use crate::cli::args::LsArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::listing::{Entry, Listing};
use crate::cli::survey::{Survey, Wanted, survey};
use crate::page;
use crate::tally::{Share, Traffic};

/// Runs it. Without privileges it reads the policy only, and says so.
pub fn run(ctx: &mut Context, args: LsArgs) -> Result<Exit, Failure> {
    let html = args.style.format == Some(Format::Html);
    let found = survey(ctx, (&args.targets, &args.filters), Wanted { steps: html, traffic: !html })?;
    if html {
        ctx.output.print(&written(&found));
    } else {
        let headings = &["CONTAINER", "PUBLISHED", "PORT", "PATH", "FROM", "ALLOWED", "DROPPED", "RULES", "MANAGED"];
        // A table has no use for the rest, which thousands of ways would be long in saying.
        let in_full = matches!(args.style.format, Some(Format::Json | Format::Lines(_) | Format::Columns(_)));
        let entries = found.ways.iter().map(|way| entry(way, in_full)).collect();
        Listing { headings, flexible: &[4, 0], entries }.print(ctx, &args.style)?;
    }
    for remark in &found.remarks {
        ctx.output.note(remark);
    }
    Ok(Exit::Success)
}

/// The page that can be mailed.
fn written(found: &Survey) -> String {
    let moment = found.now.to_string();
    let rules: Vec<String> = found.policy.rules.iter().map(ToString::to_string).collect();
    page::page(&page::Report {
        host: &found.host,
        moment: moment.split('.').next().unwrap_or_default(),
        default: found.policy.default.name(),
        ways: &found.ways,
        rules: &rules,
        remarks: &found.remarks,
    })
}

fn entry(way: &Way, in_full: bool) -> Entry {
    let rules = way.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let road = way.road.to_string();
    let packets =
        |share: &dyn Fn(Traffic) -> Share| way.traffic.map(share).map_or_else(String::new, |it| it.to_string());
    let (allowed, dropped) = (packets(&|traffic| traffic.allowed), packets(&|traffic| traffic.dropped));
    let fields = if in_full {
        let labels: Vec<String> = way.to.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        json!({
            "Container": way.to.name, "ID": way.to.id, "State": way.to.state, "Networks": way.to.networks.join(","),
            "Labels": labels.join(","), "Published": way.published, "Port": way.port, "Path": road,
            "Family": way.family.map(|family| family.to_string()).unwrap_or_default(), "From": way.from,
            "Policy": way.intended.as_ref().unwrap_or(&way.from), "Differs": way.intended.is_some().to_string(),
            "Because": way.because, "Allowed": allowed, "Dropped": dropped, "Exposed": way.exposure.name(),
            "Rules": rules, "Managed": way.managed.to_string(),
        })
    } else {
        Value::Null
    };
    Entry {
        name: way.to.name.clone(),
        fields,
        cells: vec![
            way.to.name.clone(),
            way.published.clone(),
            way.port.clone(),
            road,
            way.told(),
            allowed,
            dropped,
            rules,
            if way.managed { "yes" } else { "no" }.to_owned(),
        ],
        alarming: way.exposure == Exposure::World || way.intended.is_some(),
    }
}
