//! Whether a policy can be believed in, before anything of it reaches the kernel.
//!
//! A rule that was in force may name a container that is away. A rule that is new and names nothing is a slip of the
//! pen, which must not leave open what its author believes is guarded.

use std::collections::BTreeMap;
use std::fmt;

use super::complaint;
use super::context::Context;
use super::failure::Failure;
use super::listening;
use super::session::Session;
use crate::access::is_guarded;
use crate::inventory::Container;
use crate::lint::{self, Finding};
use crate::policy::{Policy, Rule, Target, Verdict};
use crate::reconcile::{self, Config};
use crate::resolve::Facts;
use crate::ruleset::{Dump, is_own_set};

/// Whether a finding is what its rule says itself: that it waits (`pending = true`).
pub(super) fn is_expected(finding: &Finding, policy: &Policy) -> bool {
    let rule = finding.rule().and_then(|index| policy.rules.get(index));
    matches!(finding, Finding::NoTarget { .. } | Finding::NotPublished { .. }) && rule.is_some_and(|rule| rule.pending)
}

/// Refuses a policy that would not hold. Returns what is worth a warning, for those who asked about the whole policy.
pub(super) fn check(session: &Session, config: &Config, state: &Dump) -> Result<Vec<String>, Failure> {
    let findings = findings(session, config, state)?;
    let policy = config.document.policy();
    let names: Vec<String> = config.sets.keys().cloned().collect();
    let known: Vec<String> = session.last_policy().rules.iter().map(Rule::id).collect();
    let (mut fatal, mut warnings) = (Vec::new(), Vec::new());
    for finding in &findings {
        let rule = finding.rule().map(|index| (index, &policy.rules[index]));
        let refuse = match (finding, rule) {
            (Finding::NoSet { .. }, _) => true,
            // A deny whose list is gone would let everybody in; an allow just lets nobody in.
            (Finding::NoIpset { .. }, Some((_, rule))) => rule.verdict == Verdict::Deny,
            (Finding::NoTarget { .. }, Some((_, rule))) => !rule.pending && !known.contains(&rule.id()),
            // Whoever names a container believes that the rule guards it.
            (Finding::HostNetwork { named: true, .. } | Finding::TooManyPorts { named: true, .. }, Some((_, rule))) => {
                !known.contains(&rule.id())
            }
            _ => false,
        };
        let expected = is_expected(finding, policy);
        let text = complaint::finding(finding, &names);
        let message = match rule {
            Some((index, rule)) => {
                let line = rule.line.map_or_else(String::new, |line| format!(" (line {line} of the policy)"));
                format!("rule {}{line}: {text}", index + 1)
            }
            None => text,
        };
        match (refuse, expected) {
            (true, _) => fatal.push(message),
            (false, false) => warnings.push(message),
            (false, true) => {}
        }
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        let strangers = listening::strangers(session.containers()?, rule);
        let say = |text: String| format!("rule {}: {text}", index + 1);
        warnings.extend(strangers.remarks.into_iter().map(say));
        // One that is in force has been accepted, and a refusal now would leave all others out of force.
        let refuse = !rule.pending && !known.contains(&rule.id());
        if refuse { &mut fatal } else { &mut warnings }.extend(strangers.services.into_iter().map(say));
    }
    fatal.extend(renamed(session, config, state)?.iter().map(ToString::to_string));
    if fatal.is_empty() {
        return Ok(warnings);
    }
    Err(Failure::user(fatal.join("\n"))
        .hinted("Nothing was changed. For a container that is yet to come, write `pending = true` into its rule"))
}

/// What does not fit, of a policy read against the engine and the kernel.
pub(super) fn findings(session: &Session, config: &Config, state: &Dump) -> Result<Vec<Finding>, Failure> {
    let sets = config.sets.keys().cloned().collect();
    let foreign = state.sets.iter().filter(|(name, _)| !is_own_set(name));
    let ipsets = foreign.map(|(name, set)| (name.clone(), set.shape.family)).collect();
    let (remembered, ingress) = (BTreeMap::new(), BTreeMap::new());
    let inventory = session.containers()?;
    let facts = Facts {
        inventory,
        sets: &sets,
        ipsets: &ipsets,
        remembered: &remembered,
        ingress: &ingress,
        following: session.following,
        now: session.now,
    };
    Ok(lint::findings(config.document.policy(), &facts))
}

/// Prints warnings.
pub(super) fn warn(ctx: &mut Context, warnings: &[String]) {
    for warning in warnings {
        ctx.output.note(&format!("warning: {}", super::text::printable(warning)));
    }
}

/// A container that the kernel guards under a name that rules still say, and that has another name now.
struct Renamed {
    /// The index of the first rule that says the old name.
    rule: usize,
    /// The container's full ID.
    id: String,
    old: String,
    new: String,
}

impl fmt::Display for Renamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, old, new, .. } = self;
        write!(
            f,
            "rule {} names {old}, which is called {new} now and would be open: put the new name into the rule, or give \
             the container its old one (docker rename {new} {old})",
            rule + 1
        )
    }
}

/// Docker's rename must not open a door that nobody opened.
fn renamed(session: &Session, config: &Config, state: &Dump) -> Result<Vec<Renamed>, Failure> {
    let (policy, inventory) = (config.document.policy(), session.containers()?);
    let mut found = BTreeMap::new();
    // Owners are as many as containers, and more.
    let mut by_id: Vec<&Container> = inventory.containers.iter().collect();
    by_id.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let inside = session.sandboxes().iter().filter_map(|sandbox| reconcile::sandbox_owner(&sandbox.state));
    let ports = reconcile::port_owners(state);
    // A boot forgets the addresses, and with them who had them.
    let before_boot = session.guarded_before().into_iter();
    for owner in reconcile::remembered(state).into_values().chain(ports).chain(inside).chain(before_boot) {
        let at = by_id.partition_point(|container| container.id < owner.id);
        let Some(container) = by_id.get(at).filter(|container| container.id.starts_with(&owner.id)) else { continue };
        if container.name == owner.name {
            continue;
        }
        let old = Target::Container(owner.name.clone());
        let named = policy.rules.iter().position(|rule| rule.targets.contains(&old));
        let guarded_before =
            policy.rules.iter().any(|rule| rule.targets.contains(&old) && rule.verdict == Verdict::Allow);
        if let Some(rule) = named
            && guarded_before
            && !is_guarded(policy, inventory, container)
        {
            let (id, new) = (container.id.clone(), container.name.clone());
            found.insert(id.clone(), Renamed { rule, id, old: owner.name, new });
        }
    }
    Ok(found.into_values().collect())
}

/// Goes on as if such containers had their old names: for the agent, which nobody is there to answer, and which would
/// otherwise have to leave everything else as it is. Answers what somebody should know.
pub(super) fn keep_old_names(session: &mut Session) -> Result<Vec<String>, Failure> {
    let config = session.config().clone();
    let state = session.state()?;
    let all = renamed(session, &config, &state)?;
    for one in &all {
        session.call_again(&one.id, &one.old);
    }
    Ok(all.iter().map(|one| format!("{one}; until then its old name counts")).collect())
}
