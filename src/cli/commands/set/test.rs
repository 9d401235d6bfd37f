//! `set test`: whether an address is in a set.

use crate::cli::args::SetTestArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;
use crate::cli::session::{Need, Session};
use crate::net::Family;
use crate::ruleset::{IpSet, SetEntry};

/// Runs it; exits 0 when the address is in and 1 when it is not. The kernel's word counts where it can be had.
pub fn run(ctx: &mut Context, args: SetTestArgs) -> Result<Exit, Failure> {
    let (config, state, now) = if Session::is_privileged() {
        let mut session = Session::open(ctx, Need::Nothing)?;
        let state = session.state()?;
        (session.config().clone(), Some(state), session.now)
    } else {
        (offline::config(ctx)?, None, jiff::Timestamp::now())
    };
    let set = super::existing(&config, &args.name, &ctx.program)?;
    let (name, address) = (&args.name, args.address);
    let saved = set.test(address, now);
    let kernel = state
        .map(|state| state.sets.get(&set.kernel_name(Family::of(&address))).is_some_and(|set| holds(set, address)));
    let by = saved.map_or_else(String::new, |entry| format!(" (by {})", entry.block()));
    let (inside, text) = match (saved.is_some(), kernel) {
        (true, None | Some(true)) => (true, format!("{address} is in {name}{by}")),
        (false, None | Some(false)) => (false, format!("{address} is NOT in {name}")),
        (true, Some(false)) => {
            (false, format!("{address} is in the file of {name}{by}, but NOT in the kernel: {} apply", ctx.program))
        }
        (false, Some(true)) => (true, format!("{address} is in {name} in the kernel, but not saved in its file")),
    };
    ctx.output.line(&text);
    Ok(if inside { Exit::Success } else { Exit::SomeFailed })
}

/// The longest block that covers the address decides, as in the kernel.
fn holds(set: &IpSet, address: std::net::IpAddr) -> bool {
    let covering = set.members.iter().filter_map(|(entry, member)| match entry {
        SetEntry::Net(block) if block.contains(&address) => Some((block.prefix_len(), member.nomatch)),
        _ => None,
    });
    covering.max_by_key(|(length, _)| *length).is_some_and(|(_, nomatch)| !nomatch)
}
