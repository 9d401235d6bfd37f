//! Ports of the host that lead to containers: those that Docker publishes, and those that rules name for containers on
//! the host's network, of which Docker knows no port.
//!
//! Two entries may overlap, one for every address of the host and one for a single address. As with sockets, the single
//! one decides alone there: `compile` makes it an exception in the sets of the wider one.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::selecting::Selecting;
use super::{HostPort, Owner, host_block, rule_selects, selects};
use crate::inventory::{Container, Inventory, NetworkMode};
use crate::net::{Family, PortRange, PortSet, Protocol};
use crate::policy::{DefaultAccess, Policy, Ports, Rule, Target, Verdict};

/// Most ports of one rule that are guarded one by one: each takes two set members a family in three sets, so that this
/// many take the kernel 19 MiB and `ipset restore` some seconds.
pub const NAMED_PORTS_MAX: u32 = 20_000;

/// Ports of a container on the host's network of which its rules say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPorts {
    /// The ports.
    pub range: PortRange,
    /// Indices of the rules that speak of them, in order; rules without ports speak of every port that another one names.
    pub rules: Vec<usize>,
    /// Whether what no rule allows is dropped: an allow rule names them.
    pub guarded: bool,
}

/// How many ports a rule names; 0 when it speaks of all.
pub fn named_count(ports: &Ports) -> u32 {
    PortSet::new(ports.ranges()).map_or(0, |all| all.ranges().iter().map(PortRange::count).sum())
}

/// The ports that rules name for a container on the host's network, sorted. Those of a rule that names too many are
/// not among them, nor those of a rule for `'*'`.
pub fn named_ports(policy: &Policy, inventory: &Inventory, container: &Container) -> Vec<NamedPorts> {
    let selecting: Vec<usize> =
        (0..policy.rules.len()).filter(|&index| rule_selects(&policy.rules[index], container, inventory)).collect();
    let ports = |index: usize| &policy.rules[index].ports;
    let naming = |index: &&usize| {
        let rule = &policy.rules[**index];
        named_count(&rule.ports) <= NAMED_PORTS_MAX && is_meant(rule, container, inventory)
    };
    let few = selecting.iter().filter(naming);
    let Some(named) = PortSet::new(few.flat_map(|&index| ports(index).ranges())) else { return Vec::new() };
    // Cut wherever a rule begins or ends to speak: within a piece all ports are alike.
    let mut cuts: BTreeSet<(Protocol, u32)> = BTreeSet::new();
    for range in selecting.iter().flat_map(|&index| ports(index).ranges()) {
        cuts.extend([(range.protocol, u32::from(range.first)), (range.protocol, u32::from(range.last) + 1)]);
    }
    let mut pieces = Vec::new();
    for range in named.ranges() {
        let after = u32::from(range.last) + 1;
        let inner = cuts.range((range.protocol, u32::from(range.first) + 1)..(range.protocol, after));
        let mut first = range.first;
        for next in inner.map(|(_, cut)| *cut).chain([after]) {
            let piece =
                PortRange { protocol: range.protocol, first, last: u16::try_from(next - 1).unwrap_or(u16::MAX) };
            first = u16::try_from(next).unwrap_or(u16::MAX);
            let speaks =
                |index: &usize| policy.rules[*index].ports.speak_of(piece.protocol, piece.first, Some(piece.first));
            let rules: Vec<usize> = selecting.iter().copied().filter(speaks).collect();
            let guards = |&index: &usize| {
                let rule = &policy.rules[index];
                rule.verdict == Verdict::Allow && !rule.ports.is_every() && is_meant(rule, container, inventory)
            };
            let guarded = policy.default == DefaultAccess::Closed || rules.iter().any(guards);
            pieces.push(NamedPorts { range: piece, rules, guarded });
        }
    }
    pieces
}

/// Whether a rule means a container on the host's network by anything but `'*'`: who writes `'*' --port 22` thinks of
/// containers, not of the host's own sshd.
fn is_meant(rule: &Rule, container: &Container, inventory: &Inventory) -> bool {
    rule.targets.iter().any(|target| *target != Target::All && selects(target, container, inventory))
}

/// Ports that rules of two or more containers on the host's network name and judge differently, with the containers'
/// names. Nobody can say whose they are, so they are closed.
pub fn contested(policy: &Policy, inventory: &Inventory) -> Vec<(PortSet, Vec<String>)> {
    let mut claims = Claims::default();
    claims.name_all(policy, inventory);
    let mut ports: BTreeMap<Vec<String>, Vec<PortRange>> = BTreeMap::new();
    for ((protocol, port), names) in claims.contested {
        ports.entry(names.into_iter().collect()).or_default().push(PortRange::single(protocol, port));
    }
    ports.into_iter().filter_map(|(names, ports)| Some((PortSet::new(ports)?, names))).collect()
}

type Key = (IpNet, Protocol, u16);

/// Who says that a port is his.
struct Claim {
    port: HostPort,
    running: bool,
}

#[derive(Default)]
struct Claims {
    by_key: BTreeMap<Key, Claim>,
    contested: BTreeMap<(Protocol, u16), BTreeSet<String>>,
}

impl Claims {
    /// What rules name for containers on the host's network, those that run last.
    fn name_all(&mut self, policy: &Policy, inventory: &Inventory) {
        for running in [false, true] {
            self.name(policy, inventory, running);
        }
    }

    fn name(&mut self, policy: &Policy, inventory: &Inventory, running: bool) {
        let here = |container: &&Container| container.mode == NetworkMode::Host && container.running == running;
        for container in inventory.containers.iter().filter(here) {
            for named in named_ports(policy, inventory, container) {
                for port in named.range.first..=named.range.last {
                    for block in Family::ALL.map(Family::everything) {
                        let port = HostPort {
                            block,
                            protocol: named.range.protocol,
                            port,
                            owner: Owner::of(container),
                            rules: named.rules.clone(),
                            guarded: named.guarded,
                            calls: true,
                            named: true,
                        };
                        self.put(Claim { port, running });
                    }
                }
            }
        }
    }

    /// What Docker publishes. A stopped container without rules asks for nothing.
    fn publish(&mut self, policy: &Policy, inventory: &Inventory, running: bool) {
        // `--network host` throws published ports away.
        let here = |container: &&Container| container.mode != NetworkMode::Host && container.running == running;
        let selecting = Selecting::new(&policy.rules);
        for container in inventory.containers.iter().filter(here) {
            let rules = selecting.of(container, inventory);
            // An expired allow keeps its container guarded: access that ends must not open the door to everybody.
            let guarded = policy.guards(rules.iter().map(|&i| &policy.rules[i]));
            for binding in &container.bindings {
                let Some(port) = binding.host_port.filter(|_| !binding.host_address.is_loopback()) else { continue };
                let protocol = binding.protocol;
                let speaks = |&i: &usize| policy.rules[i].ports.speak_of(protocol, binding.container_port, Some(port));
                let rules: Vec<usize> = rules.iter().copied().filter(speaks).collect();
                let (block, owner) = (host_block(binding.host_address), Owner::of(container));
                let port = HostPort { block, protocol, port, owner, rules, guarded, calls: !running, named: false };
                if running || port.is_ruled() {
                    self.put(Claim { port, running });
                }
            }
        }
    }

    fn put(&mut self, mut claim: Claim) {
        let key = (claim.port.block, claim.port.protocol, claim.port.port);
        if self.by_key.get(&key).is_some_and(|known| known.running != claim.running) {
            self.contested.remove(&(key.1, key.2));
        }
        if let Some(known) = self.by_key.get(&key)
            && (known.port.named && claim.port.named && known.running == claim.running)
            && (known.port.rules != claim.port.rules || known.port.guarded != claim.port.guarded)
        {
            let names = self.contested.entry((key.1, key.2)).or_default();
            names.extend([known.port.owner.name.clone(), claim.port.owner.name.clone()]);
            claim.port.rules.clear();
            claim.port.guarded = true;
        }
        self.by_key.insert(key, claim);
    }
}

/// All of them, sorted. One without rules that is not guarded is there only because a wider one that is judged contains
/// it: nothing is judged at that address.
pub fn host_ports(policy: &Policy, inventory: &Inventory) -> Vec<HostPort> {
    let mut claims = Claims::default();
    // Those that run come last: a port is theirs, even if one that is stopped had it or asks for it too. What Docker
    // publishes of them is a fact, what a rule names is not.
    claims.publish(policy, inventory, false);
    claims.name_all(policy, inventory);
    claims.publish(policy, inventory, true);
    let claims = claims.by_key;
    let wider = |claim: &Claim| {
        let HostPort { block, protocol, port, .. } = claim.port;
        let all = Family::of(&block.addr()).everything();
        claims.get(&(all, protocol, port)).filter(|_| all != block)
    };
    let stays = |claim: &&Claim| match wider(claim) {
        None => claim.port.is_ruled(),
        Some(wider) => (claim.running || !wider.running) && (claim.port.is_ruled() || wider.port.is_ruled()),
    };
    claims.values().filter(stays).map(|claim| claim.port.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::parse_ports;
    use crate::policy::RuleSource;

    fn container(name: &str, tier: &str) -> Container {
        Container {
            id: format!("{:0>64}", name.len()),
            name: name.to_owned(),
            labels: [("tier".to_owned(), tier.to_owned())].into_iter().collect(),
            running: true,
            mode: NetworkMode::Host,
            endpoints: Vec::new(),
            bindings: Vec::new(),
            sandbox: None,
        }
    }

    fn rule(verdict: Verdict, target: &str, ports: &str) -> Rule {
        Rule {
            verdict,
            targets: vec![target.parse().unwrap()],
            ports: Ports { container: (!ports.is_empty()).then(|| parse_ports(ports).unwrap()), published: None },
            sources: vec![RuleSource::Any],
            interface: None,
            expires: None,
            comment: None,
            pending: false,
            log: false,
            line: None,
        }
    }

    fn spoken(rules: Vec<Rule>) -> Vec<String> {
        let inventory = Inventory { containers: vec![container("app", "x")], ..Inventory::default() };
        let policy = Policy { rules, ..Policy::default() };
        let named = named_ports(&policy, &inventory, &inventory.containers[0]);
        named.iter().map(|piece| format!("{} {:?} {}", piece.range, piece.rules, piece.guarded)).collect()
    }

    #[test]
    fn ranges_are_cut_where_rules_begin_and_end() {
        use Verdict::{Allow, Deny};
        assert_eq!(
            spoken(vec![
                rule(Deny, "*", ""),
                rule(Deny, "app", "90-110"),
                rule(Allow, "label:tier", "100-65535/udp"),
                rule(Allow, "app", "100,65530-65535"),
            ]),
            [
                "90-99/tcp [0, 1] false",
                "100/tcp [0, 1, 3] true",
                "101-110/tcp [0, 1] false",
                "65530-65535/tcp [0, 3] true"
            ]
        );
        // '*' names nothing, and neither does a rule without ports.
        assert_eq!(spoken(vec![rule(Allow, "*", "22"), rule(Allow, "app", "")]), Vec::<String>::new());
        assert_eq!(spoken(vec![rule(Allow, "*", "22"), rule(Deny, "app", "22")]), ["22/tcp [0, 1] false"]);
    }

    #[test]
    fn what_two_judge_differently_is_closed() {
        let inventory =
            Inventory { containers: vec![container("app", "x"), container("apple", "x")], ..Inventory::default() };
        let mut policy = Policy { rules: vec![rule(Verdict::Allow, "label:tier=x", "80-82")], ..Policy::default() };
        assert_eq!(contested(&policy, &inventory), vec![]);
        policy.rules.push(rule(Verdict::Deny, "apple", "81"));
        let names = vec!["app".to_owned(), "apple".to_owned()];
        assert_eq!(contested(&policy, &inventory), [(parse_ports("81").unwrap(), names)]);
        let closed: Vec<u16> = host_ports(&policy, &inventory)
            .into_iter()
            .filter(|place| place.guarded && place.rules.is_empty())
            .map(|place| place.port)
            .collect();
        assert_eq!(closed, [81, 81]);
    }
}
