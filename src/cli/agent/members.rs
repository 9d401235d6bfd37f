//! The quick pass: containers came or went, and nothing else happened. Then only members of our own sets can change, and
//! the rest of the kernel is as the last pass left it: it is not read again, and neither are the files.
//!
//! What it costs depends on how many containers there are only by the engine's list of them.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;

use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::session::{self, Session};
use crate::compile::{Ground, ThirdLine, compile};
use crate::host::flavour::Kind;
use crate::host::headers::SetHeaders;
use crate::host::kernel::{HostKernel, Kernel as _};
use crate::host::signature::legacy_rules;
use crate::inventory::Inventory;
use crate::net::Family;
use crate::plan::{self, Call, Step};
use crate::policy::Hook;
use crate::reconcile::{Boot, Config, Ledger, Pass, Record};
use crate::resolve::{BootRecord, Following, Proof, needs_sandbox};
use crate::ruleset::{DesiredSet, Dump, IpSet, is_own_set};

/// What the last pass left.
pub(super) struct Members {
    ledger: Ledger,
    kernel: HostKernel,
    following: Following,
    /// Whether the kernel cannot log.
    mute: bool,
    proof: Proof,
    /// Whether a quick pass does.
    plain: bool,
    /// The kernel's names of users' sets.
    users: BTreeSet<String>,
    /// What the kernel holds; of sets that are not ours alone only the headers.
    state: Dump,
    /// When that was so: what has a timeout runs on.
    at: Instant,
    /// The stamp on the lock since then.
    stamp: SystemTime,
    /// What was written down for the next boot.
    boot: Option<BootRecord>,
}

impl Members {
    /// After a pass that succeeded and left `state`. A quick one does not do while containers have rules in namespaces of
    /// their own or a swarm publishes ports, nor where the caller knows a reason (`plain` is false).
    pub(super) fn after(session: Session, mut state: Dump, plain: bool) -> Option<Self> {
        let (following, mute, proof) = (session.following, session.is_mute(), session.proof);
        let swarm = session.inventory.as_ref().is_none_or(|inventory| inventory.ingress.is_some());
        let inside = !session.sandboxes().is_empty();
        let (ledger, kernel, lock) = session.leave();
        let stamp = lock?.release()?;
        let inside = inside || !Record::read(ledger.paths()).is_ok_and(|record| record.is_empty());
        for (_, set) in state.sets.iter_mut().filter(|(name, _)| !is_own_set(name)) {
            set.members.clear();
        }
        let plain = plain && !swarm && !inside;
        let users = ledger.users(&ledger.config);
        Some(Self {
            ledger,
            kernel,
            following,
            mute,
            proof,
            plain,
            users,
            state,
            at: Instant::now(),
            stamp,
            boot: None,
        })
    }

    /// The files as they were read.
    pub(super) fn config(&self) -> &Config {
        &self.ledger.config
    }

    /// Whether a quick pass does, as far as that is known before.
    pub(super) fn are_enough(&self) -> bool {
        self.plain
    }

    /// Whether rules of ours are in the chain where Docker has its own.
    pub(super) fn are_in_docker(&self) -> bool {
        self.ledger.config.document.policy().hook == Hook::Docker
    }

    /// A number for what the headers of the sets say that we keep.
    pub(super) fn sets(&self, headers: &SetHeaders) -> Option<u64> {
        headers.digest(&|name| is_own_set(name) || self.users.contains(name)).ok()
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
        list: impl FnOnce(&Context) -> Result<Inventory, Failure>,
    ) -> Result<Option<(usize, Option<ThirdLine>)>, Failure> {
        if !self.plain {
            return Ok(None);
        }
        let lock = session::lock(ctx, self.ledger.paths())?;
        if lock.found() != Some(self.stamp) {
            return Ok(None);
        }
        let inventory = list(ctx)?;
        let policy = self.ledger.config.document.policy();
        let wanted = |container| needs_sandbox(policy, &inventory, container);
        if inventory.ingress.is_some() || inventory.containers.iter().any(wanted) {
            return Ok(None);
        }
        age(&mut self.state, &mut self.at);
        let (sets, earlier, now) = (&self.ledger.config.sets, self.ledger.earlier(), Timestamp::now());
        let inventory = &inventory;
        let (following, mute, proof) = (self.following, self.mute, self.proof);
        let pass = Pass { policy, sets, earlier_sets: &earlier, inventory, following, mute, proof, now };
        let resolved = pass.resolved(&self.state);
        let ground = |family| Ground::of(&self.state, family);
        let desired = compile(&resolved, ground);
        let plan = plan::plan(&self.state, &desired);
        // What takes access away comes before any rule: a network that is new is closed before the whole pass begins.
        let is_of_sets = |step: &&Step| matches!(step.call, Call::Sets(_));
        let calls: Vec<&String> = plan
            .steps
            .iter()
            .take_while(is_of_sets)
            .filter_map(|step| if let Call::Sets(text) = &step.call { Some(text) } else { None })
            .collect();
        for text in &calls {
            if self.kernel.restore_sets(text).is_err() {
                // Then the kernel is not as we left it, and has to be read.
                return Ok(None);
            }
        }
        if calls.len() < plan.steps.len() {
            return Ok(None);
        }
        let calls = calls.len();
        let third = ThirdLine::of(&resolved, ground);
        let legacy = self.kernel.capabilities().is_some_and(|known| known.flavour.kind == Kind::Legacy);
        let calling = Family::ALL.into_iter().filter(|family| ground(*family).docker_user).collect();
        let boot = BootRecord::of(&resolved, legacy, calling);
        self.state.sets.retain(|name, _| !is_own_set(name) || desired.sets.contains_key(name));
        for (name, wanted) in desired.sets {
            if let DesiredSet::Own(IpSet { shape, members }) = wanted {
                match self.state.sets.get_mut(&name) {
                    Some(present) => present.members = members,
                    None => drop(self.state.sets.insert(name, IpSet { shape, members })),
                }
            }
        }
        if self.boot.as_ref() != Some(&boot) {
            Boot::keep(&boot, self.ledger.paths()).map_err(|error| complaint::file(&error))?;
            self.boot = Some(boot);
        }
        match lock.release() {
            Some(stamp) => self.stamp = stamp,
            None => return Ok(None),
        }
        Ok(Some((calls, third)))
    }
}

/// Lets the time since `at` pass for members that end.
fn age(state: &mut Dump, at: &mut Instant) {
    let seconds = u32::try_from(at.elapsed().as_secs()).unwrap_or(u32::MAX);
    *at += std::time::Duration::from_secs(seconds.into());
    for set in state.sets.values_mut() {
        set.members.retain(|_, member| match &mut member.timeout {
            Some(left) if *left > 0 => {
                *left = left.saturating_sub(seconds);
                *left > 0
            }
            _ => true,
        });
    }
}
