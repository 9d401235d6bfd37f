//! Whether every chain that has to call ours does, before anything in it accepts.

use std::fmt::Write as _;

use super::{Check, Evidence};
use crate::net::Family;
use crate::ruleset::{Action, Line, Table, is_own_chain, is_own_rule, names};

/// Rules that are shown one by one; more are counted.
const SHOWN: usize = 3;

/// The first line of defence.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Check> {
    let troubles = troubles(evidence, Table::Filter);
    if troubles.is_empty() {
        let text = "our chains are called first, and nothing stands above that lets packets past them";
        return vec![Check::good("hook", text)];
    }
    troubles
}

/// What is wrong with one of the two.
pub(super) fn troubles(evidence: &Evidence<'_>, table: Table) -> Vec<Check> {
    let wanted = evidence.desired.tables.iter().filter(|((_, wanted), _)| *wanted == table);
    let hooks = wanted.flat_map(|((family, _), part)| part.hooks.iter().map(move |hook| (*family, &hook.chain)));
    hooks.filter_map(|(family, chain)| Place { evidence, family, table }.trouble(chain)).collect()
}

#[derive(Clone, Copy)]
struct Place<'a> {
    evidence: &'a Evidence<'a>,
    family: Family,
    table: Table,
}

impl<'a> Place<'a> {
    fn lines(self, chain: &str) -> &'a [Line] {
        let chain = self.evidence.state.chain(self.family, self.table, chain);
        chain.map(|chain| chain.lines.as_slice()).unwrap_or_default()
    }

    /// The name of the check, and what is left when this one fails.
    fn names(self) -> (&'static str, &'static str) {
        match self.table {
            Table::Filter => ("hook", "the backstop"),
            Table::Security => ("backstop", "the first line"),
        }
    }

    fn failed(self, text: String) -> Check {
        Check::not_safe(self.names().0, text)
    }

    fn has_other_line(self) -> bool {
        self.table == Table::Security || self.evidence.state.tables.contains_key(&(self.family, Table::Security))
    }

    /// What is wrong with a chain that has to call ours.
    fn trouble(self, chain: &str) -> Option<Check> {
        let Self { family, table, .. } = self;
        let program = &self.evidence.host.program;
        let lines = self.lines(chain);
        let Some(place) = lines.iter().position(|line| line.rule.as_ref().is_some_and(is_own_rule)) else {
            let left = self.names().1;
            let text = format!("{family} {table}: {chain} does not call our chains, so only {left} judges");
            return Some(self.failed(text).fixed_by(format!("{program} apply")));
        };
        let above = self.may_pass(chain, &lines[..place]);
        if above.is_some() || chain != names::DOCKER_USER {
            return above;
        }
        let forward = self.lines(names::FORWARD);
        let Some(place) = forward.iter().position(|line| line.text.ends_with("-j DOCKER-USER")) else {
            let text = format!("{family} {table}: FORWARD does not lead to DOCKER-USER, so only the backstop judges");
            let fix = format!(
                "systemctl restart docker, or {program} apply --hook forward, which needs no chain of Docker's"
            );
            return Some(self.failed(text).fixed_by(fix));
        };
        self.may_pass(names::FORWARD, &forward[..place])
    }

    /// What may let packets past our rules, which come below.
    fn may_pass(self, chain: &str, above: &[Line]) -> Option<Check> {
        let Self { family, table, .. } = self;
        let program = &self.evidence.host.program;
        let found: Vec<(usize, &Line)> = above.iter().enumerate().filter(|(_, line)| may_accept(line)).collect();
        let (first, _) = found.first()?;
        let tool = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let shown = found.iter().take(SHOWN).map(|(at, line)| format!("{} `-A {chain} {}`", at + 1, line.text));
        let mut rules = shown.collect::<Vec<_>>().join(", ");
        if found.len() > SHOWN {
            let _ = write!(rules, ", and {} more", found.len() - SHOWN);
        }
        let (one, stands) = if found.len() == 1 { ("a rule", "stands") } else { ("rules", "stand") };
        let text = format!(
            "{family} {table}: {one} in {chain} {stands} above ours and may let packets past them: number {rules}"
        );
        let take_away = format!("{tool} -t {table} -D {chain} {}", first + 1);
        if self.has_other_line() {
            let (name, left) = self.names();
            let check = Check::warning(name, format!("{text}; {left} judges them all the same"));
            return Some(
                check.fixed_by(format!("{take_away} takes it away; or live with it, for {left} needs nobody's order")),
            );
        }
        let fix = format!("{take_away}, or {program} apply --hook forward");
        Some(self.failed(format!("{text}; and there is no backstop")).fixed_by(fix))
    }
}

/// Whether a foreign rule can lead a packet past what follows. A chain that is entered may.
fn may_accept(line: &Line) -> bool {
    if line.rule.as_ref().is_some_and(is_own_rule) {
        return false;
    }
    match line.rule.as_ref().map(|rule| &rule.action) {
        // What returns goes on behind our chain.
        Some(Action::Accept | Action::Return) => true,
        Some(Action::Drop | Action::Reset | Action::Mark(_) | Action::Log(_)) => false,
        // Docker's own chains above ours only drop, or are our own case of DOCKER-FORWARD during a start.
        Some(Action::Jump(chain) | Action::Goto(chain)) => {
            !is_own_chain(chain) && !chain.starts_with("DOCKER-ISOLATION")
        }
        None => {
            line.text.contains("-j ") && !["-j DROP", "-j REJECT", "-j LOG"].iter().any(|end| line.text.contains(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::backstop;
    use super::super::{Filters, Health, Surroundings};
    use super::*;
    use crate::inventory::Inventory;
    use crate::policy::Policy;
    use crate::ruleset::{Chain, Counts, Desired, DesiredTable, Dump, HookRules, TableDump};

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
        if text == "-j DOCKER-FIREWALL" {
            Line::of(own)
        } else {
            Line { text: text.to_owned(), rule: None, counts: Counts::default() }
        }
    }

    fn wanted() -> Desired {
        let hook = HookRules { chain: names::DOCKER_USER.to_owned(), lines: vec![line("-j DOCKER-FIREWALL")] };
        let table = DesiredTable { hooks: vec![hook], ..DesiredTable::default() };
        Desired { tables: [((Family::V4, Table::Filter), table)].into(), ..Desired::default() }
    }

    fn hook_of(forward: &[&str], backstop: bool) -> Health {
        hook_under(forward, &["-j DOCKER-FIREWALL"], backstop)
    }

    fn hook_under(forward: &[&str], docker_user: &[&str], backstop: bool) -> Health {
        let mut state = state(forward, docker_user);
        if backstop {
            state.tables.insert((Family::V4, Table::Security), TableDump::default());
        }
        let (policy, inventory, desired) = (Policy::default(), Inventory::default(), wanted());
        check(&Evidence {
            policy: &policy,
            inventory: &inventory,
            state: &state,
            desired: &desired,
            changes: &[],
            filters: &Filters::default(),
            host: &Surroundings::default(),
        })[0]
            .health
    }

    #[test]
    fn what_may_accept_above_our_hook_is_news() {
        assert_eq!(hook_of(&["-j DOCKER-USER"], true), Health::Good);
        assert_eq!(hook_of(&["-s 192.0.2.0/24 -j DROP", "-j DOCKER-USER"], true), Health::Good);
        assert_eq!(hook_of(&["-j ts-forward", "-j DOCKER-USER"], true), Health::Warning);
        assert_eq!(hook_of(&["-i eth1 -j ACCEPT", "-j DOCKER-USER"], true), Health::Warning);
        assert_eq!(hook_of(&["-j DOCKER-FORWARD"], true), Health::Unsafe);
        assert_eq!(hook_of(&["-j ts-forward", "-j DOCKER-USER"], false), Health::Unsafe);
    }

    #[test]
    fn a_hook_that_is_gone_or_not_the_first_is_no_hook() {
        let to_us = ["-j DOCKER-USER"];
        assert_eq!(hook_under(&to_us, &[], true), Health::Unsafe);
        assert_eq!(hook_under(&to_us, &["-j RETURN"], true), Health::Unsafe);
        assert_eq!(hook_under(&to_us, &["-j ACCEPT", "-j DOCKER-FIREWALL"], true), Health::Warning);
        assert_eq!(hook_under(&to_us, &["-j RETURN", "-j DOCKER-FIREWALL"], true), Health::Warning);
        assert_eq!(hook_under(&to_us, &["-j ACCEPT", "-j DOCKER-FIREWALL"], false), Health::Unsafe);
        assert_eq!(hook_under(&to_us, &["-j DOCKER-FIREWALL", "-j RETURN"], true), Health::Good);
    }

    #[test]
    fn rules_above_are_shown_with_their_place() {
        let mut state = state(&["-p icmp -j DROP", "-i eth1 -j ACCEPT", "-j DOCKER-USER"], &["-j DOCKER-FIREWALL"]);
        state.tables.insert((Family::V4, Table::Security), TableDump::default());
        let (policy, inventory) = (Policy::default(), Inventory::default());
        let desired = wanted();
        let said = check(&Evidence {
            policy: &policy,
            inventory: &inventory,
            state: &state,
            desired: &desired,
            changes: &[],
            filters: &Filters::default(),
            host: &Surroundings::default(),
        });
        assert!(said[0].text.contains("number 2 `-A FORWARD -i eth1 -j ACCEPT`"), "{said:?}");
        assert!(said[0].fix.as_deref().unwrap().starts_with("iptables -t filter -D FORWARD 2 "), "{said:?}");
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
                filters: &Filters::default(),
                host: &Surroundings::default(),
            };
            backstop(&evidence).into_iter().map(|check| check.health).max()
        };
        assert_eq!(health(&desired), Some(Health::Warning));
        desired.tables.insert((Family::V4, Table::Filter), crate::ruleset::DesiredTable::default());
        assert_eq!(health(&desired), Some(Health::Unsafe));
    }
}
