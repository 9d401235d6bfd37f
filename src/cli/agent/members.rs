//! The quick pass: containers came or went, and nothing else happened. Then only members of our own sets can change, and
//! the rest of the kernel is as the last pass left it: it is not read again, and neither are the files.
//!
//! What it costs depends on how many containers there are only by the engine's list of them: what is worked out is what is
//! different for those that changed ([`Standing`]), and nothing else is kept in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::session::{self, Session};
use crate::compile::ThirdLine;
use crate::host::flavour::Kind;
use crate::host::headers::{self, SetHeaders};
use crate::host::heap;
use crate::host::kernel::{HostKernel, Kernel as _};
use crate::host::signature::legacy_rules;
use crate::inventory::Inventory;
use crate::policy::Hook;
use crate::reconcile::{Boot, Config, Ledger, Record, Standing, Terms, remembered_ingress};
use crate::resolve::{Following, Proof, needs_sandbox};
use crate::ruleset::{Dump, is_own_set};

/// What the last whole pass went by.
#[derive(Clone, Copy)]
struct Went {
    following: Following,
    proof: Proof,
    /// The kernel cannot log.
    mute: bool,
}

fn terms<'a>(ledger: &'a Ledger, users: &'a BTreeSet<String>, went: Went) -> Terms<'a> {
    let Went { following, proof, mute } = went;
    Terms { policy: ledger.config.document.policy(), users, following, proof, mute, now: Timestamp::now() }
}

/// What the last pass left.
pub(super) struct Members {
    ledger: Ledger,
    kernel: HostKernel,
    went: Went,
    /// The kernel's names of users' sets.
    users: BTreeSet<String>,
    /// What the kernel holds; `None` where a quick pass does not do.
    standing: Option<Standing>,
    /// The number for the headers of the sets as they were read last.
    read: u64,
    /// The stamp on the lock since then.
    stamp: SystemTime,
    /// What a boot needs was written down as it is now.
    kept: bool,
}

/// Whether the members of a kernel set are for us to keep.
fn are_of_us(users: &BTreeSet<String>, set: &str) -> bool {
    is_own_set(set) || users.contains(set)
}

/// Whether any container has another name than before.
pub(super) fn is_renamed(before: &Inventory, after: &Inventory) -> bool {
    let names: HashMap<&str, &str> =
        before.containers.iter().map(|container| (&*container.id, &*container.name)).collect();
    after.containers.iter().any(|container| names.get(&*container.id).is_some_and(|name| *name != container.name))
}

/// Copies what passes left of containers. They left it a piece here and a piece there, all over the memory that they took,
/// of which only whole pages can be given back.
pub(super) fn settle(known: &mut Option<Arc<Inventory>>, members: Option<&mut Members>) {
    let Some(known) = known else { return };
    // A standing that goes by them shares them with the caller.
    let standing = members.and_then(|members| members.standing.as_mut());
    let standing = standing.filter(|standing| Arc::ptr_eq(standing.inventory(), known));
    heap::apart(|| match standing {
        Some(standing) => {
            *standing = standing.copied();
            *known = Arc::clone(standing.inventory());
        }
        None => *known = Arc::new(Inventory::clone(known)),
    });
}

impl Members {
    /// After a pass that succeeded and left `state`; `known` is what the caller keeps of the containers. A quick one does not
    /// do while containers have rules in namespaces of their own or a swarm publishes ports, nor where the caller knows a
    /// reason (`plain` is false).
    pub(super) fn after(
        mut session: Session,
        state: &Dump,
        known: Option<&Arc<Inventory>>,
        plain: bool,
    ) -> Option<Self> {
        let went = Went { following: session.following, proof: session.proof, mute: session.is_mute() };
        let inside = !session.sandboxes().is_empty();
        let inventory = session.inventory.take().filter(|inventory| inventory.ingress.is_none());
        let (ledger, kernel, lock) = session.leave();
        let stamp = lock?.release()?;
        let inside = inside || !Record::read(ledger.paths()).is_ok_and(|record| record.is_empty());
        let users = ledger.users(&ledger.config);
        let of_us = state.sets.iter().filter(|(name, _)| are_of_us(&users, name));
        let counted = of_us.map(|(name, set)| (&**name, u32::try_from(set.members.len()).unwrap_or(u32::MAX)));
        let read = headers::digest(counted);
        let mut members = Self { ledger, kernel, went, users, standing: None, read, stamp, kept: false };
        // What a swarm published before it went away stays judged.
        let swarm = !remembered_ingress(state).is_empty();
        if let Some(inventory) = inventory.filter(|_| plain && !inside && !swarm) {
            // One of two that say the same is enough.
            let same = known.filter(|known| ***known == inventory).cloned();
            let inventory = same.unwrap_or_else(|| Arc::new(inventory));
            let legacy = members.are_legacy();
            let terms = terms(&members.ledger, &members.users, members.went);
            members.standing = Some(Standing::after(&terms, inventory, state, legacy));
        }
        Some(members)
    }

    /// The files as they were read.
    pub(super) fn config(&self) -> &Config {
        &self.ledger.config
    }

    /// Whether a quick pass does, as far as that is known before.
    pub(super) fn are_enough(&self) -> bool {
        self.standing.is_some()
    }

    /// Whether rules of ours are in the chain where Docker has its own.
    pub(super) fn are_in_docker(&self) -> bool {
        self.ledger.config.document.policy().hook == Hook::Docker
    }

    /// A number for what the headers of the sets say that we keep.
    pub(super) fn sets(&self, headers: &SetHeaders) -> Option<u64> {
        headers.digest(&|name| are_of_us(&self.users, name)).ok()
    }

    /// What [`Members::sets`] answers as long as nobody changed a set since the whole pass read them last.
    pub(super) fn sets_as_read(&self) -> u64 {
        self.read
    }

    /// Whether rules are those of iptables-legacy.
    pub(super) fn are_legacy(&self) -> bool {
        self.kernel.capabilities().is_some_and(|known| known.flavour.kind == Kind::Legacy)
    }

    /// See [`legacy_rules`].
    pub(super) fn legacy_rules(&self) -> Option<u64> {
        legacy_rules(&self.kernel)
    }

    /// Follows the containers: the number of calls that wrote something, and what the third line has to be now. `None` when a whole pass must be made: somebody
    /// else held the lock since, or rules have to change.
    pub(super) fn pass(
        &mut self,
        ctx: &mut Context,
        list: impl FnOnce(&Context) -> Result<Arc<Inventory>, Failure>,
    ) -> Result<Option<(usize, Option<ThirdLine>)>, Failure> {
        let Some(mut standing) = self.standing.take() else { return Ok(None) };
        let lock = session::lock(ctx, self.ledger.paths())?;
        if lock.found() != Some(self.stamp) {
            return Ok(None);
        }
        let inventory = list(ctx)?;
        let terms = terms(&self.ledger, &self.users, self.went);
        let wanted = |container| needs_sandbox(terms.policy, &inventory, container);
        if inventory.ingress.is_some() || inventory.containers.iter().any(wanted) {
            return Ok(None);
        }
        let change = standing.change(&terms, &inventory);
        let calls = change.calls.len();
        for text in &change.calls {
            if self.kernel.restore_sets(text).is_err() {
                // Then the kernel is not as we left it, and has to be read.
                return Ok(None);
            }
        }
        if !change.is_all {
            return Ok(None);
        }
        // Only now, when the kernel has it: what follows takes time that nobody has to wait for.
        let kept = standing.take(change, &terms) && self.kept;
        if !kept {
            Boot::keep(standing.record(), self.ledger.paths()).map_err(|error| complaint::file(&error))?;
        }
        let third = standing.third_line().cloned();
        match lock.release() {
            Some(stamp) => self.stamp = stamp,
            None => return Ok(None),
        }
        (self.standing, self.kept) = (Some(standing), true);
        Ok(Some((calls, third)))
    }
}
