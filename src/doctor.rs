//! What could be wrong, looked at one by one: the checks of `doctor`. Pure: whatever is judged here was read before.

mod agent;
mod bridges;
mod engine;
mod facts;
mod firewalls;
mod hook;
mod kernel;
mod modules;
mod reach;
mod sets;
mod state;
mod ways;

use std::fmt;

use crate::inventory::Inventory;
use crate::plan::DiffLine;
use crate::policy::Policy;
use crate::ruleset::{Desired, Dump};

pub use facts::{
    Account, BootRecords, Bridges, Calls, Clock, Copied, Filters, Firewall, ForwardedPort, Module, Modules, OtherKind,
    Port, Presence, Setting, Settings, Strangers, Surroundings, ThirdLine, Unit, Volume,
};
pub use modules::NEEDED;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth knowing; nobody gets in by it who should not.
    Warning,
    /// It could not be looked at, so nobody can tell.
    Unknown,
    /// Somebody may get in who should not.
    Unsafe,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Unsafe => "UNSAFE",
        })
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word.
    pub name: &'static str,
    /// How it ended.
    pub health: Health,
    /// What was seen, in a sentence.
    pub text: String,
    /// The command to type, or what else to do.
    pub fix: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn good(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, health: Health::Good, text: text.into(), fix: None }
    }

    /// Worth knowing.
    pub fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self { health: Health::Warning, ..Self::good(name, text) }
    }

    /// Not to be told.
    pub fn unknown(name: &'static str, text: impl Into<String>) -> Self {
        Self { health: Health::Unknown, ..Self::good(name, text) }
    }

    /// Dangerous.
    pub fn not_safe(name: &'static str, text: impl Into<String>) -> Self {
        Self { health: Health::Unsafe, ..Self::good(name, text) }
    }

    /// With the way out.
    #[must_use]
    pub fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The containers.
    pub inventory: &'a Inventory,
    /// The kernel as it is.
    pub state: &'a Dump,
    /// The kernel as it should be.
    pub desired: &'a Desired,
    /// Where the two differ, inside of containers too.
    pub changes: &'a [DiffLine],
    /// How packets are filtered here, besides.
    pub filters: &'a Filters,
    /// The host around it.
    pub host: &'a Surroundings,
}

/// Everything that can be told from what was read, in the order in which one would look.
pub fn examine(evidence: &Evidence<'_>) -> Vec<Check> {
    let mut checks = engine::of(&evidence.inventory.engine);
    checks.push(engine::rules(evidence));
    checks.push(engine::flavour(evidence.filters));
    checks.push(modules::check(&evidence.host.modules, Some(evidence)));
    checks.extend(bridges::check(evidence));
    checks.push(kernel::in_force(evidence));
    checks.extend(kernel::backstop(evidence));
    checks.extend(hook::check(evidence));
    checks.extend(ways::check(evidence));
    checks.push(ways::proxy(evidence));
    checks.extend(ways::swarm(evidence));
    checks.push(sets::unsaved(evidence));
    checks.push(sets::room(evidence));
    checks
}

/// What can be told where the kernel's rules could not be read; the engine where it answered.
pub fn without_kernel(inventory: Option<&Inventory>, host: &Surroundings) -> Vec<Check> {
    let mut checks = inventory.map(|inventory| engine::of(&inventory.engine)).unwrap_or_default();
    checks.push(modules::check(&host.modules, None));
    checks
}

/// What can be told of the host whatever became of engine and kernel.
pub fn around(host: &Surroundings) -> Vec<Check> {
    let mut checks = vec![agent::check(host)];
    checks.extend(agent::third_line(host));
    checks.extend(agent::services(host));
    checks.push(agent::boot_record(host));
    checks.extend(firewalls::check(host));
    checks.extend(state::disk(host));
    checks.extend(state::clock(host));
    checks
}

pub use reach::check as reach;

/// What cannot be looked at without privileges.
pub fn without_privileges(program: &str) -> Check {
    Check::unknown(
        "privileges",
        "without CAP_NET_ADMIN nobody is shown the kernel's rules: engine-rules, flavour, bridge-nf, in-force, backstop, hook, \
         ways-in, proxy-v6, swarm, unsaved, room, reach and rules were not looked at",
    )
    .fixed_by(format!("sudo {program} doctor"))
}

/// How many things: `1 packet`, `2 packets`.
fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
