//! What closes when no set can be trusted any more.
//!
//! `ipset flush` without a name, or as a line in an administrator's set file, empties every set of the host. Then no chain of
//! ours knows whom it guards. One more set tells that it happened, the *canary*: it holds every address, so a packet that is
//! not in it comes after the flush. Such a packet is judged by rules that ask no set: interfaces of the engine's bridges, and
//! ports that rules name on the host's network. Only packets that no set claims get as far as the question.
//!
//! Closed is what crosses a bridge of the engine from or to outside, but for what the containers call; what the host calls
//! there, for that may be docker-proxy with somebody behind it; and the named ports. Of the host nothing else.

use std::collections::BTreeSet;

use super::atom::whole;
use super::chains::DISCOVERY;
use super::sets;
use crate::net::{Family, PortRange, PortSet, Protocol};
use crate::resolve::Resolved;
use crate::ruleset::{Action, DesiredTable, IpSet, Line, Match, Member, Rule, SetDirection, SetEntry, SetKind, names};

/// All that the rules without sets know of one family.
pub(super) struct Blind {
    family: Family,
    /// The engine's bridges.
    bridges: BTreeSet<String>,
    /// Ports of containers on the host's network.
    ports: Vec<PortRange>,
}

/// The canary.
fn canary(family: Family) -> String {
    sets::own("whole", family)
}

/// Whether a set of that name is the canary of a family.
pub fn is_canary(name: &str) -> bool {
    Family::ALL.into_iter().any(|family| name == canary(family))
}

impl Blind {
    pub(super) fn of(resolved: &Resolved, family: Family) -> Self {
        let inside = resolved.inside.iter().filter(|(subnet, _)| Family::of(&subnet.addr()) == family);
        let ports = resolved.host_ports.iter().filter(|port| port.named && port.is_ruled());
        let ports = ports.filter(|port| Family::of(&port.block.addr()) == family);
        let ports = PortSet::new(ports.map(|port| PortRange::single(port.protocol, port.port)));
        Self {
            family,
            bridges: inside.map(|(_, bridge)| bridge.clone()).collect(),
            ports: ports.iter().flat_map(PortSet::ranges).copied().collect(),
        }
    }

    /// Whether there is nothing that it could close.
    fn is_empty(&self) -> bool {
        self.bridges.is_empty() && self.ports.is_empty()
    }

    /// The canary with its members; every kernel takes two halves.
    pub(super) fn set(&self) -> Option<(String, IpSet)> {
        let members = whole(self.family).into_iter().map(|block| (SetEntry::Net(block), Member::default())).collect();
        (!self.is_empty()).then(|| (canary(self.family), sets::set(SetKind::Net, self.family, false, members)))
    }

    fn unless_whole(&self, before: &[Match], chain: &str) -> Line {
        let canary = Match::Set { name: canary(self.family), negated: true, directions: vec![SetDirection::Dst] };
        let matches: Vec<Match> = before.iter().cloned().chain([canary]).collect();
        Line::of(Rule::new(matches, Action::Goto(chain.to_owned())))
    }

    /// Closes `table` when the canary falls silent. `filter` also tells docker-proxy at once that its call is in vain:
    /// dropped, the kernel would repeat it when the sets are whole again, and hand over what the caller said meanwhile.
    pub(super) fn close(&self, table: &mut DesiredTable, is_filter: bool) {
        if self.is_empty() {
            return;
        }
        let ask = [
            (names::MAIN, names::BLIND, self.forwarded()),
            (names::HOST, names::BLIND_IN, self.incoming()),
            (names::HOST_OUT, names::BLIND_OUT, self.outgoing(is_filter, true)),
        ];
        for (from, chain, rules) in ask {
            if let Some(lines) = table.chains.get_mut(from) {
                lines.push(self.unless_whole(&[], chain));
                table.chains.insert(chain.to_owned(), rules.into_iter().map(Line::of).collect());
            }
        }
        for (chain, rules) in [(names::BLIND_TO, answered()), (names::BLIND_FROM, self.called())] {
            table.chains.insert(chain.to_owned(), rules.into_iter().map(Line::of).collect());
        }
    }

    /// What of that is `filter`'s where `security` closes.
    pub(super) fn refuse(&self, table: &mut DesiredTable) {
        if self.bridges.is_empty() {
            return;
        }
        if let Some(lines) = table.chains.get_mut(names::HOST_OUT) {
            lines.push(self.unless_whole(&[Match::Protocol(Protocol::Tcp), Match::New], names::BLIND_OUT));
            let rules = self.outgoing(true, false);
            table.chains.insert(names::BLIND_OUT.to_owned(), rules.into_iter().map(Line::of).collect());
        }
    }

    fn per_bridge(&self, way: fn(String) -> Match, chain: &'static str) -> impl Iterator<Item = Rule> {
        let goto = move |bridge: &String| Rule::new([way(bridge.clone())], Action::Goto(chain.to_owned()));
        self.bridges.iter().map(goto)
    }

    fn forwarded(&self) -> Vec<Rule> {
        let from = self.per_bridge(Match::InInterface, names::BLIND_FROM);
        from.chain(self.per_bridge(Match::OutInterface, names::BLIND_TO)).collect()
    }

    fn incoming(&self) -> Vec<Rule> {
        let mut rules = vec![Rule::new([Match::InInterface("lo".to_owned())], Action::Return)];
        rules.extend(self.discovery());
        rules.extend(self.per_bridge(Match::InInterface, names::BLIND_FROM));
        let named =
            |range: &PortRange| Rule::new([Match::DestinationPorts(*range)], Action::Goto(names::BLIND_TO.to_owned()));
        rules.extend(self.ports.iter().map(named));
        rules
    }

    fn outgoing(&self, resets: bool, drops: bool) -> Vec<Rule> {
        let mut rules = Vec::new();
        if drops {
            rules.push(Rule::new([Match::OutInterface("lo".to_owned())], Action::Return));
            rules.extend(self.discovery());
        }
        let opening = |bridge: &String| {
            let matches = [Match::OutInterface(bridge.clone()), Match::Protocol(Protocol::Tcp), Match::New];
            Rule::new(matches, Action::Reset)
        };
        rules.extend(self.bridges.iter().filter(|_| resets).map(opening));
        if drops {
            rules.extend(self.per_bridge(Match::OutInterface, names::BLIND_TO));
            let named =
                |range: &PortRange| Rule::new([Match::SourcePorts(*range)], Action::Goto(names::BLIND_FROM.to_owned()));
            rules.extend(self.ports.iter().map(named));
        }
        rules
    }

    /// Neighbours find one another without the connection table's knowledge.
    fn discovery(&self) -> impl Iterator<Item = Rule> {
        let kinds = DISCOVERY.iter().filter(|_| self.family == Family::V6);
        kinds.map(|kind| Rule::new([Match::Icmp6(*kind)], Action::Return))
    }

    /// From a container: what it calls, and what goes to a container. Else as `FROM`, in which nobody is a friend.
    fn called(&self) -> Vec<Rule> {
        let within = |bridge: &String| Rule::new([Match::OutInterface(bridge.clone())], Action::Return);
        let mut rules: Vec<Rule> = self.bridges.iter().map(within).collect();
        rules.push(Rule::new([Match::TcpNotSyn, Match::New], Action::Drop));
        rules.extend([Match::Original, Match::Related].map(|condition| Rule::new([condition], Action::Return)));
        rules.push(Rule::new([], Action::Drop));
        rules
    }
}

/// To a container: answers to what it called. Else as `TO`, in which nobody is a friend.
fn answered() -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        [Match::Reply, Match::Related].map(|condition| Rule::new([condition], Action::Return)).into();
    rules.push(Rule::new([], Action::Drop));
    rules
}
