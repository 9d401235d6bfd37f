//! The chains, rule by rule. DESIGN section 5 has the order and why; here is what departs from it, with the reason.
//!
//! - Two sets lead and close: `ruled` (some rule speaks of the address) and `guarded` (what no rule allows is
//!   dropped), so that a container with denies only can be judged without being guarded.
//! - In `FROM`, packets to other containers leave before the test for packets that open nothing, so that a container's
//!   session with another one survives a flushed connection table.
//! - A TCP packet that opens nothing and belongs to no known connection goes to `BACK`, where the rules judge it,
//!   instead of being dropped outright: an allowed client's session survives a flushed table, a cut one does not restart.

use std::collections::BTreeMap;

use super::atom::{Atoms, Key, Shape, Source};
use super::sets;
use crate::net::Family;
use crate::policy::Verdict;
use crate::ruleset::{Action, DesiredTable, HookRules, Line, Match, Rule, SetDirection, names};

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
}

impl Judgement {
    /// The chains with a jump at the top of `chain`.
    pub(super) fn called_from(&self, chain: &str) -> DesiredTable {
        let jump = Rule::new([], Action::Jump(names::MAIN.to_owned()));
        DesiredTable {
            chains: self.chains.clone(),
            hooks: vec![HookRules { chain: chain.to_owned(), lines: vec![Line::of(jump)] }],
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
        (Shape::All | Shape::Spelled, _) => {}
    }
    let directions: &[SetDirection] = match (&key.source, &key.shape) {
        (Source::Merged, _) => &[own, own, peer],
        (_, Shape::Spelled) => &[own, own],
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

fn rule_of(key: &Key, family: Family, way: Way) -> Rule {
    let action = match key.verdict() {
        Verdict::Allow => Action::Return,
        Verdict::Deny => Action::Drop,
    };
    Rule::new(conditions(key, family, way), action)
}

/// The chains of one family.
pub(super) fn judgement(atoms: &Atoms, family: Family) -> Judgement {
    let leading = |way| atoms.keys().filter(|key| key.level == 0).map(move |key| rule_of(key, family, way));
    let later = |way| atoms.keys().filter(|key| key.level > 0).map(move |key| rule_of(key, family, way));
    let own = |name: String, way: Way| in_set(name, &[way.own()]);
    let inside = |way: Way| in_set(sets::inside(family), &[way.peer(), way.peer()]);
    let closing = |way: Way| Rule::new([own(sets::guarded(family), way)], Action::Drop);
    let go = |chain: &str| Action::Goto(chain.to_owned());

    let main = vec![
        Rule::new([own(sets::ruled(family), Way::To)], go(names::TO)),
        Rule::new([own(sets::ruled(family), Way::From)], go(names::FROM)),
    ];

    // Friends leave first, after two look-ups; nothing before them may drop, so their place costs no safety.
    let mut to: Vec<Rule> = leading(Way::To).collect();
    to.push(Rule::new([Match::Reply], Action::Return));
    to.push(Rule::new([inside(Way::To)], Action::Return));
    to.push(Rule::new([Match::Related], Action::Return));
    to.extend(later(Way::To));
    to.push(closing(Way::To));

    let mut from: Vec<Rule> = leading(Way::From).collect();
    from.push(Rule::new([inside(Way::From)], Action::Return));
    // Before ORIGINAL: the packet of a cut session that the container sends first makes a connection of its own.
    from.push(Rule::new([Match::TcpNotSyn, Match::New], go(names::BACK)));
    from.push(Rule::new([Match::Original], Action::Return));
    from.push(Rule::new([Match::Related], Action::Return));
    from.push(Rule::new([], go(names::BACK)));

    let mut back: Vec<Rule> = later(Way::From).collect();
    back.push(closing(Way::From));

    let chains = [(names::MAIN, main), (names::TO, to), (names::FROM, from), (names::BACK, back)];
    Judgement {
        chains: chains
            .into_iter()
            .map(|(name, rules)| (name.to_owned(), rules.into_iter().map(Line::of).collect()))
            .collect(),
    }
}

/// The rules for the top of Docker's own `DOCKER` chain: answers, the rules, the drop.
///
/// RETURN would skip Docker's rules below us in the same chain, so allows say ACCEPT; and since ACCEPT would also open
/// what Docker keeps closed, they and the drop speak only of packets that came to a published port (DNAT). Direct
/// packets go on to Docker's rules and are judged by the backstop; without one the drop takes them too.
pub(super) fn literal(atoms: &Atoms, family: Family, backstop: bool) -> Vec<Line> {
    let mark = || Match::Comment(names::MARK.to_owned());
    let ruled = || in_set(sets::ruled(family), &[SetDirection::Dst]);
    let outside =
        || Match::Set { name: sets::inside(family), negated: true, directions: vec![SetDirection::Src, SetDirection::Src] };
    let mut lines = vec![
        Rule::new([ruled(), Match::Reply, mark()], Action::Accept),
        Rule::new([ruled(), Match::Related, mark()], Action::Accept),
    ];
    for key in atoms.keys() {
        let mut matches = conditions(key, family, Way::To);
        let action = match key.verdict() {
            Verdict::Allow => {
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
        lines.push(Rule::new(matches, action));
    }
    let mut closing = vec![in_set(sets::guarded(family), &[SetDirection::Dst]), outside()];
    if backstop {
        closing.push(Match::Dnat);
    }
    closing.push(mark());
    lines.push(Rule::new(closing, Action::Drop));
    lines.into_iter().map(Line::of).collect()
}
