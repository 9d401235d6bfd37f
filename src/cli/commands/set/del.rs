//! `set del`: entries go, and with them every open connection of theirs.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::cli::args::SetDelArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::report::count;
use crate::cli::session::{Need, Session};
use crate::cli::text::printable;
use crate::net::Family;
use crate::ruleset::SetEntry;

/// Runs it. All entries go, or none. An entry that only the kernel holds, put there by hand, goes too.
pub fn run(ctx: &mut Context, args: SetDelArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Nothing)?;
    super::say_normalised(ctx, &args.entries);
    let mut set = super::existing(session.config(), &args.name, &ctx.program)?.clone();
    let state = session.state()?;
    let mut gone = 0;
    for arg in &args.entries {
        let blocks: BTreeSet<IpNet> = arg.entries.iter().map(crate::policy::SourceEntry::block).collect();
        let mut found = false;
        for block in blocks {
            let kernel_name = set.kernel_name(Family::of(&block.addr()));
            let entry = SetEntry::Net(block);
            let in_kernel = state.sets.get(&kernel_name).is_some_and(|set| set.members.contains_key(&entry));
            if in_kernel {
                session.dismissed.entry(kernel_name).or_default().insert(entry);
            }
            if set.del(block) || in_kernel {
                found = true;
                gone += 1;
            }
        }
        if !found {
            return Err(missing(&arg.text, &set, ctx));
        }
    }
    set.prune(session.now);
    let mut config = session.config().clone();
    config.sets.insert(args.name.to_string(), set.clone());
    session.change(ctx, config)?;
    ctx.output.line(&format!(
        "Removed {}: {}",
        count(gone, "entry", "entries"),
        super::now_has(&set, session.policy())
    ));
    Ok(Exit::Success)
}

/// Names the block that covers an address that is no entry of its own.
fn missing(text: &str, set: &crate::policy::SetFile, ctx: &Context) -> Failure {
    let name = set.name();
    let failure = Failure::user(format!("{} is not in {name}", printable(text)));
    let covering = text.parse().ok().and_then(|address| set.test(address, jiff::Timestamp::UNIX_EPOCH));
    match covering {
        Some(entry) => failure.hinted(format!("It is covered by {}, which can only go whole", entry.block())),
        None => failure.hinted(format!("`{} set inspect {name}` lists its entries", ctx.program)),
    }
}
