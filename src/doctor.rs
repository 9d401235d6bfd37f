//! What could be wrong, looked at one by one: the checks of `doctor`. Pure: whatever is judged here was read before.

use std::fmt;

use crate::access::{beyond_reach, is_guarded, rules_of, unforwarded};
use crate::inventory::{Inventory, NetworkMode};
use crate::net::Family;
use crate::plan::{self, DiffLine};
use crate::policy::Policy;
use crate::resolve::named_ports;
use crate::ruleset::{Action, Desired, Dump, IpSet, Line, Table, is_own_chain, is_own_rule, names};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth knowing; nobody gets in by it who should not.
    Note,
    /// It could not be looked at, so nobody can tell.
    Unknown,
    /// Somebody may get in who should not.
    Unsafe,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
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
    pub fn note(name: &'static str, text: impl Into<String>) -> Self {
        Self { health: Health::Note, ..Self::good(name, text) }
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
    /// Packets that only the backstop dropped since our chains were written.
    pub missed: u64,
    /// What `docker firewall` is called as.
    pub program: &'a str,
}

/// Everything that can be told from what was read, in the order in which one would look.
pub fn examine(evidence: &Evidence<'_>) -> Vec<Check> {
    let mut checks = vec![in_force(evidence)];
    checks.extend(backstop(evidence));
    checks.push(hook(evidence));
    checks.extend(ways(evidence));
    checks.extend(swarm(evidence));
    checks.push(unsaved(evidence));
    checks.push(room(evidence.state));
    checks
}

/// Whether the kernel holds what the policy says.
fn in_force(evidence: &Evidence<'_>) -> Check {
    let changes = evidence.changes;
    let Some(first) = changes.first() else {
        return Check::good("in-force", "the kernel holds what the policy says");
    };
    let lines = if changes.len() == 1 { "1 line".to_owned() } else { format!("{} lines", changes.len()) };
    let text =
        format!("the kernel differs from the policy in {lines}; the first is in {}: {}", first.place, first.text);
    Check::not_safe("in-force", text)
        .fixed_by(format!("{} apply    (`{} plan` shows all of it)", evidence.program, evidence.program))
}

/// Whether what Docker's chain is not asked about is judged all the same.
fn backstop(evidence: &Evidence<'_>) -> Vec<Check> {
    let missing = |family: &Family| !evidence.state.tables.contains_key(&(*family, Table::Security));
    let without: Vec<Family> = Family::ALL.into_iter().filter(missing).collect();
    if without.is_empty() && evidence.missed > 0 {
        let text = format!(
            "it alone kept out {} packets: another program's rule lets them past our first line",
            evidence.missed
        );
        return vec![Check::note("backstop", text).fixed_by(format!(
            "{} explain CONTAINER --from SOURCE --verbose shows whose; iptables -t security -Z and ip6tables -t \
                 security -Z count anew",
            evidence.program
        ))];
    }
    if without.is_empty() {
        return vec![Check::good("backstop", "the security table judges every packet a second time, IPv4 and IPv6")];
    }
    let module = |family: &Family| match family {
        Family::V4 => "modprobe iptable_security",
        Family::V6 => "modprobe ip6table_security",
    };
    without
        .iter()
        .map(|family| {
            let text = format!(
                "this kernel has no security table for {family}: what another program accepts before our chain is \
                 asked gets in, and so does everybody for the moments in which dockerd raises its own jump"
            );
            let check = if evidence.desired.tables.is_empty() {
                Check::note("backstop", text)
            } else {
                Check::not_safe("backstop", text)
            };
            check.fixed_by(format!("{}, then {} apply", module(family), evidence.program))
        })
        .collect()
}

/// Whether every chain that has to call ours does, before anything in it accepts.
fn hook(evidence: &Evidence<'_>) -> Check {
    let filters = evidence.desired.tables.iter().filter(|((_, table), _)| *table == Table::Filter);
    let mut hooks = filters.flat_map(|((family, _), table)| table.hooks.iter().map(move |hook| (*family, &hook.chain)));
    hooks
        .find_map(|(family, chain)| trouble_at(evidence, family, chain))
        .unwrap_or_else(|| Check::good("hook", "nothing stands above our rules that lets packets past them"))
}

/// What is wrong with one of them.
fn trouble_at(evidence: &Evidence<'_>, family: Family, chain: &str) -> Option<Check> {
    let Evidence { program, .. } = *evidence;
    let table = evidence.state.tables.get(&(family, Table::Filter));
    let lines = |chain: &str| {
        let chain = table.and_then(|table| table.chains.get(chain));
        chain.map(|chain| chain.lines.as_slice()).unwrap_or_default()
    };
    let Some(place) = lines(chain).iter().position(|line| line.rule.as_ref().is_some_and(is_own_rule)) else {
        let text = format!("{family}: {chain} does not call our chains, so only the backstop judges");
        return Some(Check::not_safe("hook", text).fixed_by(format!("{program} apply")));
    };
    let above = may_pass(evidence, family, chain, &lines(chain)[..place]);
    if above.is_some() || chain != names::DOCKER_USER {
        return above;
    }
    let forward = lines(names::FORWARD);
    let Some(place) = forward.iter().position(|line| line.text.ends_with("-j DOCKER-USER")) else {
        let text = format!("{family}: FORWARD does not lead to DOCKER-USER, so only the backstop judges");
        let fix =
            format!("systemctl restart docker, or {program} apply --hook forward, which needs no chain of Docker's");
        return Some(Check::not_safe("hook", text).fixed_by(fix));
    };
    may_pass(evidence, family, names::FORWARD, &forward[..place])
}

/// What may let packets past our rules, which come below.
fn may_pass(evidence: &Evidence<'_>, family: Family, chain: &str, above: &[Line]) -> Option<Check> {
    let line = above.iter().find(|line| may_accept(line))?;
    let what = format!("{family}: a rule in {chain} stands above ours and may let packets past them");
    let rule = format!("-A {chain} {}", line.text);
    if evidence.state.tables.contains_key(&(family, Table::Security)) {
        let text = format!("{what}; the backstop judges them all the same: {rule}");
        let fix = "put that rule below, or live with it: the backstop needs nobody's order";
        return Some(Check::note("hook", text).fixed_by(fix));
    }
    let fix = format!("put that rule below, or {} apply --hook forward", evidence.program);
    Some(Check::not_safe("hook", format!("{what}, and there is no backstop: {rule}")).fixed_by(fix))
}

/// Whether a foreign rule can lead a packet past what follows. A chain that is entered may.
fn may_accept(line: &Line) -> bool {
    if line.rule.as_ref().is_some_and(is_own_rule) {
        return false;
    }
    match line.rule.as_ref().map(|rule| &rule.action) {
        // What returns goes on behind our chain.
        Some(Action::Accept | Action::Return) => true,
        Some(Action::Drop | Action::Reset | Action::Mark(_)) => false,
        // Docker's own chains above ours only drop, or are our own case of DOCKER-FORWARD during a start.
        Some(Action::Jump(chain) | Action::Goto(chain)) => {
            !is_own_chain(chain) && !chain.starts_with("DOCKER-ISOLATION")
        }
        None => {
            line.text.contains("-j ") && !["-j DROP", "-j REJECT", "-j LOG"].iter().any(|end| line.text.contains(end))
        }
    }
}

/// Ways into containers that rules speak of and that no rule here closes.
fn ways(evidence: &Evidence<'_>) -> Vec<Check> {
    let Evidence { policy, inventory, .. } = *evidence;
    let mut checks = Vec::new();
    let running = inventory.containers.iter().filter(|container| container.running);
    for container in running {
        let spoken_of = is_guarded(policy, inventory, container) || !rules_of(policy, inventory, container).is_empty();
        if !spoken_of || matches!(container.mode, NetworkMode::Container(_)) {
            continue;
        }
        let name = &container.name;
        if container.mode == NetworkMode::Host && !named_ports(policy, inventory, container).is_empty() {
            let what =
                format!("{name} is on the host's network: its ports that rules name are judged, all others are not");
            checks.push(Check::note("ways-in", what));
            continue;
        }
        if let Some(place) = beyond_reach(inventory, container) {
            checks.push(
                Check::not_safe("ways-in", format!("{name} is on {place}, where no rule made here reaches")).fixed_by(
                    format!("give {name} a bridge network and publish its ports, or guard it where its packets pass"),
                ),
            );
            continue;
        }
        for network in unforwarded(inventory, container) {
            let (driver, net) = (&network.driver, &network.name);
            checks.push(
                Check::not_safe(
                    "ways-in",
                    format!("{name} has an address on the {driver} network {net}, which is not guarded"),
                )
                .fixed_by(format!("docker network disconnect {net} {name}, or guard it where its packets pass")),
            );
        }
    }
    if checks.is_empty() {
        checks.push(Check::good("ways-in", "every way into the containers that rules speak of is guarded"));
    }
    checks
}

/// What a swarm publishes on this node, and whether it can be judged here.
fn swarm(evidence: &Evidence<'_>) -> Vec<Check> {
    let Some(ingress) = &evidence.inventory.ingress else { return Vec::new() };
    let mut checks = Vec::new();
    if let Some(reason) = evidence.inventory.services_withheld() {
        let text = format!(
            "{reason}: published ports of services are guarded only if a rule names them, or if this node knew them before"
        );
        checks.push(
            Check::note("swarm", text)
                .fixed_by(format!("{} allow service:NAME --published PORT ...", evidence.program)),
        );
    }
    let judged = ingress.addresses.iter().filter(|address| !evidence.desired.tables.is_empty() && address.is_ipv4());
    if judged.count() > 0 && !evidence.state.tables.contains_key(&(Family::V4, Table::Security)) {
        let text = "dockerd puts its DOCKER-INGRESS above DOCKER-USER when a service comes, and there is no backstop";
        let fix = format!("{} apply --hook forward, after each new service", evidence.program);
        checks.push(Check::not_safe("swarm", text).fixed_by(fix));
    }
    if checks.is_empty() {
        checks.push(Check::good("swarm", "published ports of services are judged where they arrive"));
    }
    checks
}

/// Entries that somebody added by hand and that no file holds.
fn unsaved(evidence: &Evidence<'_>) -> Check {
    let unsaved = plan::unsaved(evidence.state, evidence.desired);
    let named: Vec<String> = unsaved.iter().map(|(name, entries)| format!("{name} ({})", entries.len())).collect();
    if named.is_empty() {
        return Check::good("unsaved", "every entry of our sets is in a file");
    }
    Check::note("unsaved", format!("entries that no file holds, gone with the next reboot: {}", named.join(", ")))
        .fixed_by(format!("{} set add NAME ENTRY...", evidence.program))
}

/// Sets that can hardly take another entry.
fn room(state: &Dump) -> Check {
    let full = |set: &IpSet| set.members.len() * 10 >= set.shape.maxelem as usize * 9;
    let tight: Vec<&str> = state.sets.iter().filter(|(_, set)| full(set)).map(|(name, _)| name.as_str()).collect();
    if tight.is_empty() {
        return Check::good("room", "no set is near its maxelem");
    }
    Check::note("room", format!("nearly full, so that the next `ipset add` may fail: {}", tight.join(", ")))
        .fixed_by("raise maxelem in the `create` line of the set's file, then apply")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Chain, DesiredTable, HookRules, TableDump};

    fn state(forward: &[&str], docker_user: &[&str]) -> Dump {
        let chain = |lines: &[&str]| Chain { policy: None, lines: lines.iter().map(|text| line(text)).collect() };
        let chains = [(names::FORWARD, forward), (names::DOCKER_USER, docker_user)];
        let chains = chains.into_iter().map(|(name, lines)| (name.to_owned(), chain(lines))).collect();
        let mut dump = Dump::default();
        dump.tables.insert((Family::V4, Table::Filter), TableDump { chains });
        dump
    }

    fn line(text: &str) -> Line {
        let own = crate::ruleset::Rule::new([], Action::Jump(names::MAIN.to_owned()));
        if text == "-j DOCKER-FIREWALL" { Line::of(own) } else { Line { text: text.to_owned(), rule: None } }
    }

    fn hook_of(forward: &[&str], backstop: bool) -> Health {
        hook_under(forward, &["-j DOCKER-FIREWALL"], backstop)
    }

    fn hook_under(forward: &[&str], docker_user: &[&str], backstop: bool) -> Health {
        let mut state = state(forward, docker_user);
        if backstop {
            state.tables.insert((Family::V4, Table::Security), TableDump::default());
        }
        let (policy, inventory, mut desired) = (Policy::default(), Inventory::default(), Desired::default());
        let wanted = HookRules { chain: names::DOCKER_USER.to_owned(), lines: vec![line("-j DOCKER-FIREWALL")] };
        let table = DesiredTable { hooks: vec![wanted], ..DesiredTable::default() };
        desired.tables.insert((Family::V4, Table::Filter), table);
        hook(&Evidence {
            policy: &policy,
            inventory: &inventory,
            state: &state,
            desired: &desired,
            changes: &[],
            missed: 0,
            program: "x",
        })
        .health
    }

    #[test]
    fn what_may_accept_above_our_hook_is_news() {
        assert_eq!(hook_of(&["-j DOCKER-USER"], true), Health::Good);
        assert_eq!(hook_of(&["-s 192.0.2.0/24 -j DROP", "-j DOCKER-USER"], true), Health::Good);
        assert_eq!(hook_of(&["-j ts-forward", "-j DOCKER-USER"], true), Health::Note);
        assert_eq!(hook_of(&["-i eth1 -j ACCEPT", "-j DOCKER-USER"], true), Health::Note);
        assert_eq!(hook_of(&["-j DOCKER-FORWARD"], true), Health::Unsafe);
        assert_eq!(hook_of(&["-j ts-forward", "-j DOCKER-USER"], false), Health::Unsafe);
    }

    #[test]
    fn a_hook_that_is_gone_or_not_the_first_is_no_hook() {
        let to_us = ["-j DOCKER-USER"];
        assert_eq!(hook_under(&to_us, &[], true), Health::Unsafe);
        assert_eq!(hook_under(&to_us, &["-j RETURN"], true), Health::Unsafe);
        assert_eq!(hook_under(&to_us, &["-j ACCEPT", "-j DOCKER-FIREWALL"], true), Health::Note);
        assert_eq!(hook_under(&to_us, &["-j RETURN", "-j DOCKER-FIREWALL"], true), Health::Note);
        assert_eq!(hook_under(&to_us, &["-j ACCEPT", "-j DOCKER-FIREWALL"], false), Health::Unsafe);
        assert_eq!(hook_under(&to_us, &["-j DOCKER-FIREWALL", "-j RETURN"], true), Health::Good);
    }

    #[test]
    fn a_missing_backstop_is_dangerous_once_there_are_rules() {
        let state = state(&["-j DOCKER-USER"], &[]);
        let (policy, inventory) = (Policy::default(), Inventory::default());
        let mut desired = Desired::default();
        let health = |desired: &Desired| {
            let evidence = Evidence {
                policy: &policy,
                inventory: &inventory,
                state: &state,
                desired,
                changes: &[],
                missed: 0,
                program: "x",
            };
            backstop(&evidence).into_iter().map(|check| check.health).max()
        };
        assert_eq!(health(&desired), Some(Health::Note));
        desired.tables.insert((Family::V4, Table::Filter), crate::ruleset::DesiredTable::default());
        assert_eq!(health(&desired), Some(Health::Unsafe));
    }
}
