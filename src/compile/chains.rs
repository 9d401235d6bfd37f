//! The chains, rule by rule. DESIGN section 5 has the order and why; here is what departs from it, with the reason.
//!
//! - Two sets lead and close: `ruled` (some rule speaks of the address) and `guarded` (what no rule allows is
//!   dropped), so that a container with denies only can be judged without being guarded.
//! - In `FROM`, packets to other containers leave before the test for packets that open nothing, so that a container's
//!   session with another one survives a flushed connection table.
//! - A TCP packet that opens nothing and belongs to no known connection goes to `BACK`, where the rules judge it,
//!   instead of being dropped outright: an allowed client's session survives a flushed table, a cut one does not restart.
//! - Ports that docker-proxy listens on have no direction, for it only ever answers from them. A session that was open
//!   before connections were tracked may be taken for one that began on the inside, and must be judged all the same.

use std::collections::BTreeMap;

use super::atom::{Atoms, Key, Log, Shape, Source};
use super::{log, sets};
use crate::net::{Family, Protocol};
use crate::policy::Verdict;
use crate::resolve::{Proof, Resolved};
use crate::ruleset::{Action, DesiredTable, HookRules, Line, LogPath, Match, PROOF, Rule, SetDirection, names};

/// Which way the packet goes, seen from the container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    To,
    From,
}

impl Way {
    /// The container's side of the packet.
    fn own(self) -> SetDirection {
        match self {
            Self::To => SetDirection::Dst,
            Self::From => SetDirection::Src,
        }
    }

    /// The other side.
    fn peer(self) -> SetDirection {
        match self {
            Self::To => SetDirection::Src,
            Self::From => SetDirection::Dst,
        }
    }
}

/// Our chains of one family, not called from anywhere yet.
pub(super) struct Judgement {
    chains: BTreeMap<String, Vec<Line>>,
    /// What `filter` asks of the host's own packets before all else; `security` knows no such verdict.
    refusal: Option<Line>,
}

fn jump(from: &str, to: &str) -> HookRules {
    let rule = Rule::new([], Action::Jump(to.to_owned()));
    HookRules { chain: from.to_owned(), lines: vec![Line::of(rule)] }
}

/// `table` of `security`, and behind each jump of ours in it the rule that puts the proof on what came back.
pub(super) fn with_proof(mut table: DesiredTable) -> DesiredTable {
    table.chains.insert(names::PASS.to_owned(), vec![Line::of(Rule::new([], Action::Mark(PROOF)))]);
    for name in [names::FORWARD, names::INPUT, names::OUTPUT] {
        let pass = jump(name, names::PASS);
        match table.hooks.iter_mut().find(|hook| hook.chain == name) {
            Some(hook) => hook.lines.extend(pass.lines),
            None => table.hooks.push(pass),
        }
    }
    table
}

impl Judgement {
    /// The same for `filter`.
    pub(super) fn refusing(&self, mut table: DesiredTable) -> DesiredTable {
        if let Some(lines) = table.chains.get_mut(names::HOST_OUT) {
            lines.splice(0..0, self.refusal.clone());
        }
        table
    }

    /// The same for `security`, whose last rules of ours leave a proof where somebody asks for it.
    pub(super) fn proving(table: DesiredTable, proof: Proof) -> DesiredTable {
        if proof == Proof::No { table } else { with_proof(table) }
    }

    /// All chains: those for containers called from `forward`, those for ports of the host from INPUT and OUTPUT.
    pub(super) fn called_from(&self, forward: &str) -> DesiredTable {
        DesiredTable {
            chains: self.chains.clone(),
            hooks: vec![
                jump(forward, names::MAIN),
                jump(names::INPUT, names::HOST),
                jump(names::OUTPUT, names::HOST_OUT),
            ],
        }
    }

    /// Only the chains for ports of the host and what `literal` rules, which judge what goes to containers, end in.
    pub(super) fn beside_literal(&self, literal: Vec<Line>) -> DesiredTable {
        let asked = [names::HOST, names::HOST_TO, names::HOST_OUT, names::HOST_FROM, names::HOST_BACK];
        let asked = asked.into_iter().chain([names::CLOSED, names::HOST_CLOSED]);
        DesiredTable {
            chains: asked.filter_map(|name| Some((name.to_owned(), self.chains.get(name)?.clone()))).collect(),
            hooks: vec![
                HookRules { chain: names::DOCKER.to_owned(), lines: literal },
                jump(names::INPUT, names::HOST),
                jump(names::OUTPUT, names::HOST_OUT),
            ],
        }
    }
}

fn in_set(name: String, directions: &[SetDirection]) -> Match {
    Match::Set { name, negated: false, directions: directions.to_vec() }
}

/// The conditions of one kernel rule, in the order of `iptables-save`: interface, protocol and ports, sets.
fn conditions(key: &Key, family: Family, way: Way) -> Vec<Match> {
    let (own, peer) = (way.own(), way.peer());
    let mut matches = Vec::new();
    if let Some(name) = &key.interface {
        matches.push(match way {
            Way::To => Match::InInterface(name.clone()),
            Way::From => Match::OutInterface(name.clone()),
        });
    }
    match (&key.shape, way) {
        (Shape::Range(range), Way::To) => matches.push(Match::DestinationPorts(*range)),
        (Shape::Range(range), Way::From) => matches.push(Match::SourcePorts(*range)),
        // The port that the first packet came to stays with the connection, so answers are matched alike.
        (Shape::Published(range), _) => matches.push(Match::Published(*range)),
        (Shape::All | Shape::Spelled | Shape::HostPort | Shape::HostAddress | Shape::AnyAddress, _) => {}
    }
    let directions: &[SetDirection] = match (&key.source, &key.shape) {
        (Source::Merged, _) => &[own, own, peer],
        (_, Shape::Spelled | Shape::HostPort | Shape::HostAddress | Shape::AnyAddress) => &[own, own],
        _ => &[own],
    };
    matches.push(in_set(sets::of_key(key, family), directions));
    match &key.source {
        Source::Any | Source::Merged => {}
        Source::Named(name) => matches.push(in_set(name.clone(), &[peer])),
        Source::Blocks(blocks) => matches.push(in_set(sets::of_blocks(blocks, key, family), &[peer])),
    }
    matches
}

/// What tells of the drop that a key stands for, if anything does.
fn logs(key: &Key, drop: &[Match], family: Family, paths: &[LogPath]) -> Vec<Rule> {
    match &key.log {
        Log::Rule(_, id) => log::in_front(drop, Some(id), family, paths),
        Log::Closing => log::in_front(drop, None, family, paths),
        Log::Nothing => Vec::new(),
    }
}

fn rule_of(key: &Key, family: Family, way: Way) -> Rule {
    let action = match key.verdict() {
        Verdict::Allow => Action::Return,
        Verdict::Deny => Action::Drop,
    };
    Rule::new(conditions(key, family, way), action)
}

/// What is judged: packets to and from a container, or to and from a port of the host that leads to one.
struct Side<'a> {
    atoms: &'a Atoms,
    family: Family,
    guarded: String,
    /// As many as the own sets have dimensions: address, or address and port.
    dimensions: usize,
    back: &'static str,
    /// What a host, or a container, says to itself over the loopback interface is nobody's business.
    loopback: bool,
    /// The set of those that only ever answer: no packet of theirs belongs to a call of their own, whatever it seems.
    answers: Option<String>,
    /// Where what no rule allows ends, if it is logged.
    closed: Option<&'static str>,
    /// How packets come that are dropped, as far as a log tells it.
    paths: &'static [LogPath],
}

impl Side<'_> {
    fn own(&self, name: String, way: Way, negated: bool) -> Match {
        Match::Set { name, negated, directions: vec![way.own(); self.dimensions] }
    }

    fn leading(&self, way: Way) -> impl Iterator<Item = Rule> {
        self.atoms.keys().filter(|key| key.level == 0).map(move |key| rule_of(key, self.family, way))
    }

    fn inside(&self, way: Way) -> Match {
        in_set(sets::inside(self.family), &[way.peer(), way.peer()])
    }

    /// Neighbour discovery and whatever else neighbours on one bridge say by link-local addresses, which FORWARD sees
    /// where bridges show their packets to iptables. The connection table knows nothing of it, and `inside` holds no such
    /// address. The container's own address with the other side's interface: the packet stays on the container's bridge.
    fn on_the_link(&self, way: Way) -> Option<Rule> {
        let stays = in_set(sets::inside(self.family), &[way.own(), way.peer()]);
        let link = in_set(sets::link(), &[way.peer()]);
        (self.family == Family::V6 && !self.loopback).then(|| Rule::new([stays, link], Action::Return))
    }

    /// Packets of a connection that began on the inside; what only answers has none.
    fn own_call(&self, way: Way, direction: Match) -> Rule {
        let calls = self.answers.clone().map(|name| self.own(name, way, true));
        let matches: Vec<Match> = calls.into_iter().chain([direction]).collect();
        Rule::new(matches, Action::Return)
    }

    fn closing(&self, way: Way) -> Rule {
        Rule::new([self.own(self.guarded.clone(), way, false)], Action::Drop)
    }

    /// Packets to the container.
    fn to(&self) -> Vec<Rule> {
        // Friends leave first, after two look-ups; nothing before them may drop, so their place costs no safety.
        let mut rules: Vec<Rule> = self.leading(Way::To).collect();
        if self.loopback {
            rules.push(Rule::new([Match::InInterface("lo".to_owned())], Action::Return));
        }
        rules.push(self.own_call(Way::To, Match::Reply));
        rules.push(Rule::new([self.inside(Way::To)], Action::Return));
        rules.extend(self.on_the_link(Way::To));
        rules.push(Rule::new([Match::Related], Action::Return));
        for key in self.atoms.keys().filter(|key| key.level > 0) {
            let rule = rule_of(key, self.family, Way::To);
            rules.extend(logs(key, &rule.matches, self.family, self.paths));
            rules.push(rule);
        }
        let closing = self.closing(Way::To);
        rules.push(match self.closed {
            Some(chain) => Rule::new(closing.matches, Action::Goto(chain.to_owned())),
            None => closing,
        });
        rules
    }

    /// What becomes of packets to the container that no rule allows, where that is logged. A chain of its own, so that the
    /// set of the guarded, whose members count whatever asks for them, is asked once.
    fn closed(&self) -> Option<(&'static str, Vec<Rule>)> {
        let mut rules = log::in_front(&[], None, self.family, self.paths);
        rules.push(Rule::new([], Action::Drop));
        self.closed.map(|chain| (chain, rules))
    }

    /// Packets from the container.
    fn from(&self) -> Vec<Rule> {
        let go_back = || Action::Goto(self.back.to_owned());
        let mut rules: Vec<Rule> = self.leading(Way::From).collect();
        if self.loopback {
            rules.push(Rule::new([Match::OutInterface("lo".to_owned())], Action::Return));
        }
        rules.push(Rule::new([self.inside(Way::From)], Action::Return));
        rules.extend(self.on_the_link(Way::From));
        // Before ORIGINAL: the packet of a cut session that the container sends first makes a connection of its own.
        rules.push(Rule::new([Match::TcpNotSyn, Match::New], go_back()));
        rules.push(self.own_call(Way::From, Match::Original));
        rules.push(Rule::new([Match::Related], Action::Return));
        rules.push(Rule::new([], go_back()));
        rules
    }

    /// Answers.
    fn back(&self) -> Vec<Rule> {
        let later = self.atoms.keys().filter(|key| key.level > 0);
        let mut rules: Vec<Rule> = later.map(|key| rule_of(key, self.family, Way::From)).collect();
        rules.push(self.closing(Way::From));
        rules
    }
}

/// The chains of one family. While somebody follows, the host reaches no address that was not seen.
pub(super) fn judgement(atoms: &Atoms, host_atoms: &Atoms, family: Family, resolved: &Resolved) -> Judgement {
    let (follows, log) = (resolved.seen.is_some(), resolved.log);
    let container = Side {
        atoms,
        family,
        guarded: sets::guarded(family),
        dimensions: 1,
        back: names::BACK,
        loopback: false,
        answers: None,
        closed: log.then_some(names::CLOSED),
        paths: &[LogPath::Dnat, LogPath::Direct],
    };
    let host = Side {
        atoms: host_atoms,
        family,
        guarded: sets::host_guarded(family),
        dimensions: 2,
        back: names::HOST_BACK,
        loopback: true,
        answers: Some(sets::host_answers(family)),
        closed: log.then_some(names::HOST_CLOSED),
        paths: &[LogPath::Host],
    };
    let enter = |side: &Side<'_>, ruled: String, way: Way, chain: &str| {
        Rule::new([side.own(ruled, way, false)], Action::Goto(chain.to_owned()))
    };
    let to_container = |way: Way, chain: &str| enter(&container, sets::ruled(family), way, chain);
    // INPUT and OUTPUT have one chain each: a remote port must not be taken for one of ours.
    let to_port = |way: Way, chain: &str| enter(&host, sets::host(family), way, chain);
    // docker-proxy calls for whoever called it. Until somebody has seen for whom it listens, nobody knows who may.
    let unseen = in_set(sets::unseen(family), &[SetDirection::Dst]);
    let not_yet = follows.then(|| Rule::new([unseen.clone(), Match::Original], Action::Drop));
    // Told so, it closes on its caller. Otherwise the kernel would repeat the call until somebody has seen the container,
    // and hand over what the caller said while nobody knew whether it may.
    let opening = [Match::Protocol(Protocol::Tcp), unseen, Match::New];
    let refusal = follows.then(|| Line::of(Rule::new(opening, Action::Reset)));
    let outgoing: Vec<Rule> = not_yet.into_iter().chain([to_port(Way::From, names::HOST_FROM)]).collect();
    let chains = [
        (names::MAIN, vec![to_container(Way::To, names::TO), to_container(Way::From, names::FROM)]),
        (names::TO, container.to()),
        (names::FROM, container.from()),
        (names::BACK, container.back()),
        (names::HOST, vec![to_port(Way::To, names::HOST_TO)]),
        (names::HOST_TO, host.to()),
        (names::HOST_OUT, outgoing),
        (names::HOST_FROM, host.from()),
        (names::HOST_BACK, host.back()),
    ];
    Judgement {
        refusal,
        chains: chains
            .into_iter()
            .chain([container.closed(), host.closed()].into_iter().flatten())
            .map(|(name, rules)| (name.to_owned(), rules.into_iter().map(Line::of).collect()))
            .collect(),
    }
}

/// `ICMPv6` without which there is no IPv6: listener reports (130 to 132, 143), router and neighbour discovery, redirects.
/// Connection tracking leaves most of them alone, so that no other rule would know them (kernel:
/// `nf_conntrack_proto_icmpv6.c`).
pub(super) const DISCOVERY: [u8; 9] = [130, 131, 132, 133, 134, 135, 136, 137, 143];

/// The chains of a container's own namespace, called from its INPUT and OUTPUT.
pub(super) fn sandbox(atoms: &Atoms, family: Family) -> DesiredTable {
    let side = Side {
        atoms,
        family,
        guarded: sets::guarded(family),
        dimensions: 1,
        back: names::BACK,
        loopback: true,
        answers: None,
        // Nobody listens there.
        closed: None,
        paths: &[],
    };
    let door = |way: Way, chain: &str| -> Vec<Rule> {
        let discovery = DISCOVERY.iter().filter(|_| family == Family::V6);
        let mut rules: Vec<Rule> = discovery.map(|kind| Rule::new([Match::Icmp6(*kind)], Action::Return)).collect();
        rules.push(Rule::new([side.own(sets::ruled(family), way, false)], Action::Goto(chain.to_owned())));
        rules
    };
    let chains = [
        (names::IN, door(Way::To, names::TO)),
        (names::OUT, door(Way::From, names::FROM)),
        (names::TO, side.to()),
        (names::FROM, side.from()),
        (names::BACK, side.back()),
    ];
    let lines = |rules: Vec<Rule>| rules.into_iter().map(Line::of).collect();
    DesiredTable {
        chains: chains.into_iter().map(|(name, rules)| (name.to_owned(), lines(rules))).collect(),
        hooks: vec![jump(names::INPUT, names::IN), jump(names::OUTPUT, names::OUT)],
    }
}

/// The rules for the top of Docker's own `DOCKER` chain: answers, the rules, the drop.
///
/// RETURN would skip Docker's rules below us in the same chain, so allows say ACCEPT; and since ACCEPT would also open
/// what Docker keeps closed, they and the drop speak only of packets that came (DNAT) to a port that Docker publishes. Direct
/// packets go on to Docker's rules and are judged by the backstop, without which these rules are not used.
pub(super) fn literal(atoms: &Atoms, family: Family, log: bool) -> Vec<Line> {
    let paths = [LogPath::Dnat, LogPath::Direct];
    let mark = || Match::Comment(names::MARK.to_owned());
    let ruled = || in_set(sets::ruled(family), &[SetDirection::Dst]);
    let published = || in_set(sets::published(family), &[SetDirection::Dst, SetDirection::Dst]);
    let outside = || Match::Set {
        name: sets::inside(family),
        negated: true,
        directions: vec![SetDirection::Src, SetDirection::Src],
    };
    let mut lines = vec![
        Rule::new([ruled(), Match::Reply, mark()], Action::Accept),
        Rule::new([ruled(), Match::Related, mark()], Action::Accept),
    ];
    for key in atoms.keys() {
        let mut matches = conditions(key, family, Way::To);
        let action = match key.verdict() {
            Verdict::Allow => {
                matches.push(published());
                if !matches.iter().any(|condition| matches!(condition, Match::Published(_))) {
                    matches.push(Match::Dnat);
                }
                Action::Accept
            }
            Verdict::Deny => {
                matches.push(outside());
                Action::Drop
            }
        };
        matches.push(mark());
        lines.extend(logs(key, &matches, family, &paths));
        lines.push(Rule::new(matches, action));
    }
    // `guarded` last, for its members count whatever comes that far.
    let guarded = in_set(sets::guarded(family), &[SetDirection::Dst]);
    let closing = [published(), outside(), Match::Dnat, guarded, mark()];
    lines.push(Rule::new(closing, if log { Action::Goto(names::CLOSED.to_owned()) } else { Action::Drop }));
    lines.into_iter().map(Line::of).collect()
}
