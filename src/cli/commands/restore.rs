//! `restore`: at boot, before there is an engine, closes what is guarded and fills users' sets.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::{offline, report, session};
use crate::host::flavour::Kind;
use crate::host::kernel::HostKernel;
use crate::host::tools::Tools;
use crate::policy::{DefaultAccess, Policy, Verdict};
use crate::reconcile::{self, Applied, Boot, Closed, Ledger};
use crate::resolve::BootRecord;

/// Runs it. What can be closed is closed whatever else fails: the files only say who is let in later.
pub fn run(ctx: &mut Context) -> Result<Exit, Failure> {
    let paths = offline::paths(ctx);
    let _lock = session::lock(ctx, &paths)?;
    let boot = Boot::read(&paths);
    for fault in &boot.faults {
        ctx.output.note(&format!("warning: {fault}"));
    }
    let files = Ledger::read_or_last(paths);
    let mut kernel = HostKernel::new(Tools::from_env());
    if let Some(record) = &boot.record {
        kernel = kernel.with_kind_before(if record.legacy { Kind::Legacy } else { Kind::Nft });
        if !close(ctx, &mut kernel, record)? {
            return Ok(Exit::Success);
        }
    }
    let (ledger, remarks, fault) = files.map_err(|error| {
        complaint::config(&error).hinted("The sets of users are not filled, and what was known before is closed")
    })?;
    let fault = fault.map(|fault| format!("what was last in force counts: {fault}"));
    for remark in remarks.iter().chain(&fault) {
        ctx.output.note(&format!("warning: {remark}"));
    }
    fill(ctx, &mut kernel, &ledger)?;
    let policy = ledger.config.document.policy();
    if boot.record.is_none() && guards(policy) {
        return Err(Failure::environment(format!(
            "nothing is closed: what is guarded is not known before there is an engine ({})",
            if boot.faults.is_empty() { "no record was ever written" } else { "no record can be used" },
        ))
        .hinted("Containers are open from the start of the engine to the first pass of the agent, or:")
        .hinted(format!("{} apply", ctx.program)));
    }
    Ok(Exit::Success)
}

/// Whether somebody believes that the policy keeps anybody out.
fn guards(policy: &Policy) -> bool {
    policy.default == DefaultAccess::Closed || policy.rules.iter().any(|rule| rule.verdict == Verdict::Allow)
}

/// Closes what the record knows; answers whether there was anything left to do at all.
fn close(ctx: &mut Context, kernel: &mut HostKernel, record: &BootRecord) -> Result<bool, Failure> {
    if !record.is_active() {
        ctx.output.line("Nothing is guarded: nothing was closed.");
        return Ok(true);
    }
    match reconcile::close(kernel, record).map_err(|error| complaint::apply(&error))? {
        Closed::Already => {
            ctx.output.line("Nothing to do: rules are in force already.");
            Ok(false)
        }
        Closed::Now(Applied { remarks, .. }) => {
            for remark in remarks {
                ctx.output.note(&format!("warning: {remark}"));
            }
            let bridges: BTreeSet<&str> = record.inside.iter().map(|(_, bridge)| bridge.as_str()).collect();
            ctx.output.line(&format!(
                "Closed until the agent has seen who lives there: {}, {}.",
                report::count(bridges.len(), "network", "networks"),
                report::count(record.host_ports.len(), "port of the host", "ports of the host"),
            ));
            Ok(true)
        }
    }
}

/// Users' sets as their files say; entries whose time is over stay away.
fn fill(ctx: &mut Context, kernel: &mut HostKernel, ledger: &Ledger) -> Result<(), Failure> {
    let users = ledger.users(&ledger.config);
    let sets = &ledger.config.sets;
    if sets.is_empty() {
        return Ok(());
    }
    let before = reconcile::observe(kernel, &users).map_err(|error| complaint::kernel(&error))?;
    let now = Timestamp::now();
    let desired = |state: &_| reconcile::sets_only(state, &users, sets, &ledger.earlier(), now);
    reconcile::apply(kernel, &users, &before, &desired, &|| false).map_err(|error| complaint::apply(&error))?;
    ctx.output.line(&format!("Filled {}.", report::count(sets.len(), "set", "sets")));
    Ok(())
}
