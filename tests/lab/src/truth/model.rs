//! What a policy means, read from its description alone (DESIGN, "What a rule means"): rules in order, the first that
//! matches decides; who is selected by an allow rule is closed to everybody else.
//!
//! It follows the very commands that are typed, so that no second list of rules can differ from them. It knows nothing
//! of how the product does any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::cell::Inbound;
use super::script::Step;
use super::target::Target;
use crate::Protocol;

#[derive(Clone, Debug, Default)]
struct Rule {
    deny: bool,
    targets: Vec<String>,
    sources: Vec<String>,
    ports: Vec<(Protocol, u16)>,
    published: Vec<(Protocol, u16)>,
    interface: Option<String>,
}

/// Rules and sets as the commands so far have made them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    rules: Vec<Rule>,
    sets: BTreeMap<String, BTreeSet<IpAddr>>,
    closed: bool,
    reset: bool,
    /// What became of containers since they were described.
    changed: BTreeMap<&'static str, Standing>,
    /// The same, as the next command will find it: until then rules are for what was.
    found: BTreeMap<&'static str, Standing>,
}

/// What rules know a container by.
#[derive(Clone, Debug)]
struct Standing {
    name: String,
    networks: Vec<String>,
}

impl Standing {
    fn of(target: &Target) -> Self {
        let networks = target.networks.iter().map(|name| (*name).to_owned()).collect();
        Self { name: target.name.to_owned(), networks }
    }
}

impl Model {
    /// Follows a command.
    ///
    /// # Panics
    /// When it is one that the table's own description should not contain.
    pub(crate) fn obey(&mut self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        self.changed.clone_from(&self.found);
        // Whatever is typed afterwards brings the rest back into force.
        self.reset = words == ["reset", "--force"];
        match words.as_slice() {
            ["allow", rest @ ..] => self.rules.push(rule(false, rest)),
            ["deny", rest @ ..] => {
                let place = self.rules.iter().position(|rule| !rule.deny).unwrap_or(self.rules.len());
                self.rules.insert(place, rule(true, rest));
            }
            ["rm", "--target", target] => self.rules.retain(|rule| rule.targets != [*target]),
            ["rm", numbers @ ..] => {
                let gone: Vec<usize> = numbers.iter().map(|number| number.parse().expect("a rule's number")).collect();
                let mut number = 0;
                self.rules.retain(|_| {
                    number += 1;
                    !gone.contains(&number)
                });
            }
            ["set", "create", name] => drop(self.sets.insert((*name).to_owned(), BTreeSet::new())),
            ["set", "add", name, entries @ ..] => self.set(name).extend(addresses(entries)),
            ["set", "del", name, entries @ ..] => {
                let gone: Vec<IpAddr> = addresses(entries).collect();
                self.set(name).retain(|entry| !gone.contains(entry));
            }
            ["set", "rm", name] => drop(self.sets.remove(*name)),
            ["default", state] => self.closed = *state == "closed",
            ["apply", ..] | ["reset", "--force"] => {}
            _ => panic!("the model does not know: {command}"),
        }
    }

    /// Sees what is done to containers and networks.
    pub(crate) fn see(&mut self, step: &Step<'_>, targets: &[&'static Target]) {
        match step {
            Step::Recreate(name) => self.found.retain(|target, _| target != name),
            Step::Docker(words) => match words.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["network", "connect", network, name] => {
                    self.standing(name, targets).networks.push((*network).to_owned());
                }
                ["network", "disconnect", network, name] => {
                    self.standing(name, targets).networks.retain(|other| other != network);
                }
                ["rename", old, new] => (*new).clone_into(&mut self.standing(old, targets).name),
                ["stop" | "start" | "restart", ..] => {}
                _ => panic!("the model does not know: docker {words}"),
            },
            Step::Firewall(_) | Step::Refused(_) => {}
        }
    }

    fn standing(&mut self, name: &str, targets: &[&'static Target]) -> &mut Standing {
        for target in targets {
            self.found.entry(target.name).or_insert_with(|| Standing::of(target));
        }
        self.found.values_mut().find(|standing| standing.name == name).expect("a container's name")
    }

    /// The members of a kernel set that somebody else owns.
    pub(crate) fn foreign_set(&mut self, name: &str, member: IpAddr) {
        self.sets.insert(format!("ipset:{name}"), BTreeSet::from([member]));
    }

    /// The names of the users' sets.
    pub(crate) fn own_sets(&self) -> Vec<&str> {
        self.sets.keys().map(String::as_str).filter(|name| !name.starts_with("ipset:")).collect()
    }

    /// Whether no rules are in force.
    pub(crate) fn is_reset(&self) -> bool {
        self.reset
    }

    /// Whether nothing is said about a target, not even by the default.
    pub(crate) fn leaves(&self, target: &Target) -> bool {
        let standing = self.changed.get(target.name).cloned().unwrap_or_else(|| Standing::of(target));
        self.reset || !self.closed && !self.rules.iter().any(|rule| rule.selects(&standing, target.label))
    }

    /// Whether the rules let an attempt pass. What Docker makes of it is another matter.
    pub(crate) fn lets(&self, attempt: &Inbound) -> bool {
        if self.reset {
            return true;
        }
        let standing = self.changed.get(attempt.target.name).cloned().unwrap_or_else(|| Standing::of(attempt.target));
        let selecting = || self.rules.iter().filter(|rule| rule.selects(&standing, attempt.target.label));
        match selecting().find(|rule| self.matches(rule, attempt)) {
            Some(rule) => !rule.deny,
            // Of the host's own ports only those are guarded that an allow rule names, or the default and any rule.
            None if attempt.target.is_on_the_host() => {
                let names = |rule: &Rule| rule.ports.contains(&attempt.port) || rule.published.contains(&attempt.port);
                !selecting().any(|rule| names(rule) && (self.closed || !rule.deny))
            }
            None => !self.closed && selecting().all(|rule| rule.deny),
        }
    }

    fn matches(&self, rule: &Rule, attempt: &Inbound) -> bool {
        let (protocol, _) = attempt.port;
        let everything = rule.ports.is_empty() && rule.published.is_empty();
        let by_host_port = attempt.published.is_some_and(|port| rule.published.contains(&(protocol, port)));
        // All neighbours are on the one external bridge.
        rule.interface.as_ref().is_none_or(|name| name == "br-ext")
            && (everything || rule.ports.contains(&attempt.port) || by_host_port)
            && rule.sources.iter().any(|source| self.holds(source, attempt.from))
    }

    fn holds(&self, source: &str, from: IpAddr) -> bool {
        match source.parse::<IpAddr>() {
            Ok(address) => address == from,
            Err(_) => source == "any" || self.sets.get(source).is_some_and(|set| set.contains(&from)),
        }
    }

    fn set(&mut self, name: &str) -> &mut BTreeSet<IpAddr> {
        self.sets.get_mut(name).expect("a set that was created")
    }
}

impl Rule {
    fn selects(&self, standing: &Standing, own_label: Option<&str>) -> bool {
        self.targets.iter().any(|word| match word.split_once(':') {
            Some(("label", label)) => own_label == Some(label),
            Some(("network", network)) => standing.networks.iter().any(|name| name == network),
            _ => *word == "*" || *word == standing.name,
        })
    }
}

fn rule(deny: bool, words: &[&str]) -> Rule {
    let mut rule = Rule { deny, ..Rule::default() };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().copied().expect("a flag's value");
        match *word {
            "--from" => rule.sources.extend(value().split(',').map(str::to_owned)),
            "--port" => rule.ports.extend(ports(value())),
            "--published" => rule.published.extend(ports(value())),
            "--interface" => rule.interface = Some(value().to_owned()),
            target => rule.targets.push(target.to_owned()),
        }
    }
    rule
}

/// Numbers and ranges of them; without a protocol they are TCP's.
fn ports(list: &str) -> impl Iterator<Item = (Protocol, u16)> + '_ {
    list.split(',').flat_map(|ports| {
        let (numbers, protocol) = ports.split_once('/').unwrap_or((ports, "tcp"));
        let protocol: Protocol = protocol.parse().expect("a protocol");
        let (from, to) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let number = |text: &str| text.parse::<u16>().expect("a port");
        (number(from)..=number(to)).map(move |port| (protocol, port))
    })
}

fn addresses<'a>(words: &'a [&'a str]) -> impl Iterator<Item = IpAddr> + 'a {
    words.iter().map(|word| word.parse().expect("an address"))
}

#[cfg(test)]
mod tests {
    use super::super::scenes::RULES;
    use super::super::target::{NAMES, WEB};
    use super::*;

    const FRIEND: &str = "203.0.113.10";
    const STRANGER: &str = "203.0.113.66";

    fn model(commands: &[&str]) -> Model {
        let mut model = Model::default();
        for command in commands {
            model.obey(command);
        }
        model
    }

    /// Whether somebody reaches port 80, published as 8080, of `web`.
    fn web(model: &Model, from: &str) -> bool {
        attempt(model, from, (Protocol::Tcp, WEB), Some(8080))
    }

    fn attempt(model: &Model, from: &str, port: (Protocol, u16), published: Option<u16>) -> bool {
        model.lets(&Inbound { target: &RULES.targets[0], from: from.parse().expect("an address"), port, published })
    }

    #[test]
    fn an_allow_closes_to_everybody_else_and_a_deny_does_not() {
        let allowed = model(&["set create ipfriends", "set add ipfriends 203.0.113.10", "allow web --from ipfriends"]);
        assert!(web(&allowed, FRIEND) && !web(&allowed, STRANGER));
        let denied = model(&["deny web --from 203.0.113.10"]);
        assert!(!web(&denied, FRIEND) && web(&denied, STRANGER));
        let other = model(&["allow plain --from 203.0.113.10"]);
        assert!(web(&other, STRANGER));
    }

    #[test]
    fn a_deny_goes_before_the_allows() {
        let model = model(&["allow web --from any", "deny web --from 203.0.113.66"]);
        assert!(web(&model, FRIEND) && !web(&model, STRANGER));
    }

    #[test]
    fn a_port_is_that_of_the_container_or_of_the_host() {
        let by_port = model(&["allow web --from any --port 80"]);
        assert!(web(&by_port, FRIEND) && !attempt(&by_port, FRIEND, (Protocol::Udp, NAMES), Some(5353)));
        let by_host_port = model(&["allow web --from any --published 8080"]);
        assert!(web(&by_host_port, FRIEND) && !attempt(&by_host_port, FRIEND, (Protocol::Tcp, WEB), None));
    }

    #[test]
    fn the_default_and_a_reset_speak_of_all() {
        assert!(!web(&model(&["default closed"]), FRIEND));
        assert!(web(&model(&["default closed", "reset --force"]), STRANGER));
        assert!(!web(&model(&["default closed", "reset --force", "apply"]), STRANGER));
    }
}
