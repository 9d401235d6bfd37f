//! What is kept of a full pass, so that containers that come and go cost what changed: the files, the engine's networks
//! and the kernel as it was left.
//!
//! It stands only while nobody else wrote. Whoever writes files or kernel takes the lock, and then it is void; whoever
//! edits behind our back is found as ever, by notifications and the tick.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;

use super::{Session, lock};
use crate::cli::context::Context;
use crate::cli::engine::Line;
use crate::cli::failure::Failure;
use crate::cli::soundness;
use crate::host::kernel::Kernel as _;
use crate::inventory::Inventory;
use crate::plan::{self, MembersOnly};
use crate::reconcile::Record;
use crate::resolve::Following;
use crate::ruleset::{Dump, is_own_set};

/// A session without the lock.
pub(in crate::cli) struct Standing {
    session: Session,
    /// When we let go of the lock.
    since: SystemTime,
    /// What the kernel holds, without the members of users' sets, and when it was so.
    held: (Instant, Dump),
}

/// What a pass over containers alone did.
pub(in crate::cli) struct Followed {
    /// Calls that wrote something.
    pub(in crate::cli) calls: usize,
    /// What somebody should know.
    pub(in crate::cli) remarks: Vec<String>,
    /// What the engine holds.
    pub(in crate::cli) inventory: Inventory,
    /// For the next pass; `None` when it has to look at everything.
    pub(in crate::cli) standing: Option<Standing>,
}

impl Session {
    /// Ends the session after its change; what stands of it, if containers can be followed by it.
    ///
    /// Not where a service or a network namespace has to be looked at each time, nor where files are broken.
    pub(in crate::cli) fn rest(mut self) -> Option<Standing> {
        let (moment, mut held) = self.written.take()?;
        let plain = self.inventory.as_ref().is_some_and(is_plain) && self.stand_in.is_none();
        let inside = !Record::read(self.ledger.paths()).ok()?.is_empty() || !self.sandboxes().is_empty();
        if !plain || inside || self.following != Following::Agent || self.ledger.policy_gone() {
            return None;
        }
        for (name, set) in &mut held.sets {
            if !is_own_set(name) {
                set.members.clear();
            }
        }
        let since = self.lock.take()?.release()?;
        let Self { ledger, .. } = self;
        let session = Self { ledger: ledger.without_entries(), seen: None, ..self };
        Some(Standing { session, since, held: (moment, held) })
    }
}

/// Nothing but bridges and what is on the host's network.
fn is_plain(inventory: &Inventory) -> bool {
    inventory.ingress.is_none() && inventory.containers.iter().all(|container| container.sandbox.is_none())
}

impl Standing {
    /// Asks for the containers, and writes what that changes in our sets. `None` when more than that has to be looked at
    /// or written; then nothing was changed, or a part that is not wider than what a full pass begins from.
    pub(in crate::cli) fn follow(self, ctx: &mut Context, line: &mut Line) -> Result<Option<Followed>, Failure> {
        let Self { mut session, since, held: (moment, held) } = self;
        let taken = lock(ctx, session.ledger.paths())?;
        if !taken.is_untouched_since(since) {
            return Ok(None);
        }
        session.lock = Some(taken);
        let Some(inventory) = line.containers().ok().filter(is_plain) else { return Ok(None) };
        session.inventory = Some(inventory.clone());
        session.now = Timestamp::now();
        let passed = u32::try_from(moment.elapsed().as_secs()).unwrap_or(u32::MAX);
        // Only whole seconds have passed: the rest of them counts the next time.
        let moment = moment + std::time::Duration::from_secs(passed.into());
        let state = plan::aged(held, passed);
        let config = session.config().clone();
        session.seen = Some((session.ledger.users(&config), state.clone()));
        let remarks = soundness::keep_old_names(&mut session)?;
        if soundness::check(&session, &config, &state).is_err() {
            // A full pass finds the same, and says so.
            return Ok(None);
        }
        let desired = session.pass(&config, &[], session.containers()?).own(&state);
        let Some(MembersOnly { text, after }) = plan::members_only(&state, &desired) else { return Ok(None) };
        if !text.is_empty() {
            let _mutation = ctx.cancel.begin()?;
            if session.kernel.restore_sets(&text).is_err() {
                // Somebody was there before. The lines before the failing one are in the plan's order: not wider.
                return Ok(None);
            }
        }
        let mut followed = Followed { calls: usize::from(!text.is_empty()), remarks, inventory, standing: None };
        if let Err(error) = session.remember_for_boot(&after) {
            followed.remarks.push(format!("the next boot may not close what is guarded now: {error}"));
        }
        session.written = Some((moment, after));
        followed.standing = session.rest();
        Ok(Some(followed))
    }
}
