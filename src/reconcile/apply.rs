//! Carries a plan out: observe, write, read back; undo what failed.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::host::kernel::{Kernel, KernelError};
use crate::net::Family;
use crate::plan::{self, Call, Phase, Plan, Step};
use crate::ruleset::{Desired, Dump, is_own_set};

/// How often a plan is made anew because somebody else (dockerd, most likely) wrote meanwhile.
const ROUNDS: usize = 3;

/// What was done.
#[derive(Debug, Default)]
pub struct Applied {
    /// Calls that wrote something; 0 when the kernel held everything already.
    pub calls: usize,
    /// Things that did not work out and that harm nobody.
    pub remarks: Vec<String>,
    /// The kernel's state afterwards; of several kernels the first one's.
    pub state: Dump,
}

/// Why the kernel does not hold what it should.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A call failed.
    #[error("{phase} failed: {source}. {undone}")]
    Step {
        /// Which part of the order.
        phase: &'static str,
        /// What the tool said.
        #[source]
        source: KernelError,
        /// What became of the calls before it.
        undone: Undone,
    },
    /// It happened in a container's own network namespace.
    #[error("in the network namespace of the container {name}: {source}")]
    Sandbox {
        /// The container.
        name: String,
        /// What happened, with what became of all kernels.
        #[source]
        source: Box<ApplyError>,
    },
    /// The user interrupted.
    #[error("interrupted. {0}")]
    Cancelled(Undone),
    /// What was read back is not what was written.
    #[error("the kernel does not hold what was written, or another program keeps changing it:\n{difference}\n{undone}")]
    ReadBack {
        /// The first differences.
        difference: String,
        /// What became of it.
        undone: Undone,
    },
}

impl ApplyError {
    /// Whether the user wanted it so.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled(_) => true,
            Self::Sandbox { source, .. } => source.is_cancelled(),
            Self::Step { .. } | Self::ReadBack { .. } => false,
        }
    }

    /// Whether the kernel holds what it held before.
    pub fn is_undone(&self) -> bool {
        match self {
            Self::Step { undone, .. } | Self::ReadBack { undone, .. } | Self::Cancelled(undone) => {
                *undone == Undone::Yes
            }
            Self::Sandbox { source, .. } => source.is_undone(),
        }
    }

    /// The same, when something else could not be undone either.
    fn worsened(mut self, worse: &Undone) -> Self {
        if *worse != Undone::Yes {
            match &mut self {
                Self::Step { undone, .. } | Self::ReadBack { undone, .. } | Self::Cancelled(undone) => {
                    *undone = worse.clone();
                }
                Self::Sandbox { .. } => {}
            }
        }
        self
    }
}

/// One kernel of a pass: the host's, or that of a container's own network namespace.
pub struct Site<'a> {
    /// The container, if it is one's.
    pub container: Option<&'a str>,
    /// The kernel.
    pub kernel: &'a mut dyn Kernel,
    /// As in [`apply`].
    pub users: &'a BTreeSet<String>,
    /// As in [`apply`].
    pub before: &'a Dump,
    /// As in [`apply`].
    pub desired: &'a dyn Fn(&Dump) -> Desired,
}

/// [`apply`] for several kernels, one after the other: all of them, or none. No packet is judged by two of them, so no
/// moment between them is wider than the old or the new.
pub fn apply_all(sites: &mut [Site<'_>], cancelled: &dyn Fn() -> bool) -> Result<Applied, ApplyError> {
    let mut all = Applied::default();
    for index in 0..sites.len() {
        let (done, rest) = sites.split_at_mut(index);
        let Some(site) = rest.first_mut() else { break };
        match apply(site.kernel, site.users, site.before, site.desired, cancelled) {
            Ok(applied) => {
                if index == 0 {
                    all.state = applied.state;
                }
                all.calls += applied.calls;
                all.remarks.extend(applied.remarks);
            }
            Err(mut error) => {
                for earlier in done.iter_mut().rev() {
                    error = error.worsened(&undo(earlier.kernel, earlier.before, earlier.users));
                }
                return Err(match site.container {
                    Some(name) => ApplyError::Sandbox { name: name.to_owned(), source: Box::new(error) },
                    None => error,
                });
            }
        }
    }
    Ok(all)
}

/// What became of the calls made before a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The kernel holds what it held before.
    Yes,
    /// It does not. Access is never wider than before or as asked for, but may be narrower.
    No(String),
}

impl std::fmt::Display for Undone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Yes => f.write_str("Everything is as it was before"),
            Self::No(reason) => write!(
                f,
                "It could not be undone ({reason}): some access may be closed that should be open, none is open that \
                 should be closed. Run: docker firewall apply"
            ),
        }
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepare => "filling new sets",
        Phase::Narrow => "taking access away",
        Phase::Barrier => "closing for the change",
        Phase::Behind => "changing sets behind the closed door",
        Phase::Rules => "writing the rules",
        Phase::Widen => "giving access",
        Phase::Clear => "clearing old sets",
    }
}

/// Reads the state that concerns us: our chains and sets, and the users' sets named in `users`.
pub fn observe(kernel: &mut dyn Kernel, users: &BTreeSet<String>) -> Result<Dump, KernelError> {
    kernel.observe(&|name| is_own_set(name) || users.contains(name))
}

/// Makes the kernel hold `desired(state)`. `users` are all users' sets that we keep or kept, `before` is what
/// [`observe`] just read for them.
///
/// `cancelled` is asked between calls; a cancelled or failed apply is undone before this returns.
pub fn apply(
    kernel: &mut dyn Kernel,
    users: &BTreeSet<String>,
    before: &Dump,
    desired: &dyn Fn(&Dump) -> Desired,
    cancelled: &dyn Fn() -> bool,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    let mut state = before.clone();
    for round in 0..ROUNDS {
        let plan = plan::plan(&state, &desired(&state));
        // What is left when only the optional is left has been tried, and will not go.
        if plan.is_empty() || (round > 0 && plan.steps.iter().all(|step| step.optional)) {
            applied.state = state;
            return Ok(applied);
        }
        if let Err(failure) = carry_out(kernel, &plan, cancelled, &mut applied) {
            let undone =
                if applied.calls == 0 && failure.wrote_nothing() { Undone::Yes } else { undo(kernel, before, users) };
            return Err(match failure {
                Failure::Cancelled => ApplyError::Cancelled(undone),
                Failure::Call(phase, source) => ApplyError::Step { phase: phase_name(phase), source, undone },
            });
        }
        state = match observe(kernel, users) {
            Ok(state) => state,
            Err(error) => {
                let undone = undo(kernel, before, users);
                return Err(ApplyError::ReadBack { difference: error.to_string(), undone });
            }
        };
    }
    let left = plan::diff(&state, &desired(&state));
    if left.is_empty() {
        applied.state = state;
        return Ok(applied);
    }
    let difference: Vec<String> = left.iter().take(5).map(|line| format!("  {}: {}", line.place, line.text)).collect();
    Err(ApplyError::ReadBack { difference: difference.join("\n"), undone: undo(kernel, before, users) })
}

enum Failure {
    Cancelled,
    Call(Phase, KernelError),
}

impl Failure {
    /// A failed set call may have written the lines before the bad one; a failed rules call wrote nothing of its table.
    fn wrote_nothing(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

fn carry_out(
    kernel: &mut dyn Kernel,
    plan: &Plan,
    cancelled: &dyn Fn() -> bool,
    applied: &mut Applied,
) -> Result<(), Failure> {
    let mut steps = plan.steps.iter().peekable();
    while let Some(step) = steps.next() {
        if cancelled() {
            return Err(Failure::Cancelled);
        }
        let results = match &step.call {
            Call::Sets(text) => vec![(step, kernel.restore_sets(text))],
            Call::Rules(family, text) => match steps.next_if(|next| is_twin(step, next)) {
                Some(next @ Step { call: Call::Rules(_, other), .. }) => {
                    let [v4, v6] = kernel.restore_both(text, other);
                    vec![(step, v4), (next, v6)]
                }
                _ => vec![(step, kernel.restore_rules(*family, text))],
            },
        };
        for (step, result) in results {
            match result {
                Ok(()) => applied.calls += 1,
                Err(error) if step.optional => {
                    applied.remarks.push(format!(
                        "a set stays in the kernel, most likely because somebody else's rule asks it: {error}"
                    ));
                }
                Err(error) => return Err(Failure::Call(step.phase, error)),
            }
        }
    }
    Ok(())
}

/// Whether `next` is to IPv6 what `step` is to IPv4.
fn is_twin(step: &Step, next: &Step) -> bool {
    step.phase == next.phase
        && matches!((&step.call, &next.call), (Call::Rules(Family::V4, _), Call::Rules(Family::V6, _)))
}

/// Goes back to `before`, by the same safe order.
fn undo(kernel: &mut dyn Kernel, before: &Dump, users: &BTreeSet<String>) -> Undone {
    let target = Desired::from_dump(before, users);
    let mut attempt = || -> Result<bool, KernelError> {
        let state = observe(kernel, users)?;
        let plan = plan::plan(&state, &target);
        let mut ignored = Applied::default();
        match carry_out(kernel, &plan, &|| false, &mut ignored) {
            Ok(()) => {}
            Err(Failure::Call(_, error)) => return Err(error),
            Err(Failure::Cancelled) => return Ok(false),
        }
        Ok(plan::plan(&observe(kernel, users)?, &target).is_empty())
    };
    match attempt() {
        Ok(true) => Undone::Yes,
        Ok(false) => Undone::No("the state differs after undoing".to_owned()),
        Err(error) => Undone::No(error.to_string()),
    }
}
