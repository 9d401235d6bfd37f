//! `set inspect`: every entry, with whether file and kernel agree on it.

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::cli::args::SetInspectArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::offline;
use crate::cli::session::{Need, Session};
use crate::net::Family;
use crate::policy::{SetFile, SetName};
use crate::reconcile::Config;
use crate::ruleset::{Dump, Member, SetEntry, render_set_entry};

/// Runs it: prints what it found, complains of the rest, as docker's `inspect` does.
pub fn run(ctx: &mut Context, args: SetInspectArgs) -> Result<Exit, Failure> {
    let (config, state) = if Session::is_privileged() {
        let mut session = Session::open(ctx, Need::Nothing)?;
        let state = session.state()?;
        (session.config().clone(), Some(state))
    } else {
        ctx.output.note("note: read from the file, not from the kernel, which needs CAP_NET_ADMIN (sudo)");
        (offline::config(ctx)?, None)
    };
    let mut found = Vec::new();
    let mut complaints = Vec::new();
    for name in &args.names {
        match super::existing(&config, name, &ctx.program) {
            Ok(set) => found.push(describe(set, &config, name, state.as_ref())),
            Err(failure) => complaints.push(failure),
        }
    }
    match &args.format {
        Some(Format::Lines(template)) => {
            for set in &found {
                ctx.output.line(&Format::said(template, set)?);
            }
        }
        format => ctx.output.json_array(&found, format.is_some())?,
    }
    for failure in &complaints {
        ctx.output.failure(failure);
    }
    Ok(if complaints.is_empty() { Exit::Success } else { Exit::SomeFailed })
}

fn describe(set: &SetFile, config: &Config, name: &SetName, state: Option<&Dump>) -> Value {
    let mut entries = Vec::new();
    for entry in set.entries() {
        let family = Family::of(&entry.block().addr());
        let kernel = state.map(|state| {
            let members = state.sets.get(&set.kernel_name(family)).map(|set| &set.members);
            members.is_some_and(|members| members.contains_key(&SetEntry::Net(entry.block())))
        });
        entries.push(json!({
            "Entry": shown(&SetEntry::Net(entry.block())), "Comment": entry.comment(),
            "Expires": entry.expires().map(|at| at.to_string()), "Timeout": entry.timeout(),
            "Except": entry.nomatch(), "Saved": true, "InKernel": kernel,
        }));
    }
    let mut unsaved = Vec::new();
    for family in Family::ALL {
        let kernel = state.and_then(|state| state.sets.get(&set.kernel_name(family)));
        for (entry, member) in kernel.iter().flat_map(|set| &set.members) {
            if !is_saved(set, &entry) {
                unsaved.push(shown(&entry));
                entries.push(json!({
                    "Entry": shown(&entry), "Comment": member.comment, "Expires": null, "Timeout": member.timeout,
                    "Except": member.nomatch, "Saved": false, "InKernel": true,
                }));
            }
        }
    }
    json!({
        "Name": name.as_str(),
        "Type": set.shape(Family::V4).kind.name().to_owned(),
        "TypeIPv6": set.shape(Family::V6).kind.name().to_owned(),
        "KernelSets": Family::ALL.map(|family| set.kernel_name(family)),
        "Rules": super::users(config.document.policy(), name),
        "Entries": entries,
        "NotSaved": unsaved,
    })
}

/// Whether the file says that the kernel has this entry.
pub(super) fn is_saved(set: &SetFile, entry: &SetEntry) -> bool {
    let SetEntry::Net(block) = entry else { return false };
    // A hash:ip set holds the single addresses of a block that its file has whole.
    let singles = set.shape(Family::of(&block.addr())).kind == crate::ruleset::SetKind::Ip;
    let shortest = if singles { 0 } else { block.prefix_len() };
    // By index, for there may be as many entries as members.
    (shortest..=block.prefix_len())
        .rev()
        .filter_map(|length| IpNet::new(block.addr(), length).ok())
        .any(|block| set.contains(block))
}

fn shown(entry: &SetEntry) -> String {
    render_set_entry(entry, &Member::default())
}
