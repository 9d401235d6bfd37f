//! One family's `iptables-restore --noflush` text.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use crate::compile;
use crate::net::Family;
use crate::ruleset::{Action, Match, Rule};
use crate::ruleset::{
    Chain, Counts, Desired, DesiredTable, Dump, HookRules, Line, SetDirection, Table, TableDump, is_own_chain,
    is_own_rule, names,
};

/// The text that makes our part of `family` as desired; empty when it is. `barred` chains are written in any case.
pub(super) fn transaction(have: &Dump, want: &Desired, family: Family, barred: bool) -> String {
    let nothing = DesiredTable::default();
    let mut text = String::new();
    for table in Table::ALL {
        let Some(present) = have.tables.get(&(family, table)) else { continue };
        let wanted = want.tables.get(&(family, table)).unwrap_or(&nothing);
        let door = [names::HOST, names::IN].iter().any(|name| present.chains.contains_key(*name));
        let barred = barred && door;
        let lines = table_lines(present, wanted, barred);
        if !lines.is_empty() {
            let _ = writeln!(text, "*{table}\n{lines}COMMIT");
        }
    }
    text
}

fn table_lines(present: &TableDump, wanted: &DesiredTable, barred: bool) -> String {
    let stale: Vec<&String> =
        present.chains.keys().filter(|name| is_own_chain(name) && !wanted.chains.contains_key(*name)).collect();
    let change = |name: &String, lines: &[Line]| {
        let chain = present.chains.get(name).filter(|_| !barred);
        chain.map_or(Change::Anew, |chain| inserted(&chain.lines, lines))
    };
    let changes: Vec<(&String, &Vec<Line>, Change)> =
        wanted.chains.iter().map(|(name, lines)| (name, lines, change(name, lines))).collect();

    let mut text = String::new();
    // Declaring flushes, and all must exist before the first rule names one. The table changes at COMMIT, at once.
    let anew = changes.iter().filter(|(_, _, change)| matches!(change, Change::Anew)).map(|(name, ..)| *name);
    for name in anew.chain(stale.iter().copied()) {
        let _ = writeln!(text, ":{name} - [0:0]");
    }
    for (name, lines, change) in changes {
        match change {
            Change::Anew => {
                let mut counted = counted(present.chains.get(name));
                for line in lines {
                    // A rule that stays goes on counting where it was; `wanted` knows more only when a change is undone.
                    let before = counted.get_mut(&*line.text).and_then(VecDeque::pop_front).unwrap_or(line.counts);
                    let _ = writeln!(text, "{}-A {name} {}", Prefix(before), line.text);
                }
            }
            Change::Inserted(places) => {
                for at in places {
                    let _ = writeln!(text, "{}-I {name} {} {}", Prefix(lines[at].counts), at + 1, lines[at].text);
                }
            }
        }
    }
    text.push_str(&hook_lines(present, wanted));
    for name in stale {
        let _ = writeln!(text, "-X {name}");
    }
    text
}

/// How the rules of a chain become others.
enum Change {
    /// All are written.
    Anew,
    /// Those of these indices, none where nothing changes, come between the others, which stay where they are. The kernel
    /// frees rules that were taken out before it looks at the next transaction, which takes it a hundredth of a second; where
    /// none is, nothing waits.
    Inserted(Vec<usize>),
}

fn inserted(present: &[Line], wanted: &[Line]) -> Change {
    let mut staying = present.iter().peekable();
    let places = wanted.iter().enumerate();
    let places = places.filter(|(_, line)| staying.next_if(|staying| staying.text == line.text).is_none());
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    // Into an empty chain nothing can be inserted at a place.
    let into_nothing = present.is_empty() && !places.is_empty();
    if staying.peek().is_some() || into_nothing { Change::Anew } else { Change::Inserted(places) }
}

/// Counters, before the rule that has them.
struct Prefix(Counts);

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_zero() { Ok(()) } else { write!(f, "{} ", self.0) }
    }
}

/// What the rules of a chain have matched, by their text, in order.
fn counted(chain: Option<&Chain>) -> BTreeMap<&str, VecDeque<Counts>> {
    let mut counted: BTreeMap<&str, VecDeque<Counts>> = BTreeMap::new();
    for line in chain.into_iter().flat_map(|chain| &chain.lines) {
        counted.entry(&line.text).or_default().push_back(line.counts);
    }
    counted
}

/// Moves our rules in foreign chains to where they belong. Foreign rules are never named.
fn hook_lines(present: &TableDump, wanted: &DesiredTable) -> String {
    let mut text = String::new();
    let hooked: BTreeSet<&String> = wanted.hooks.iter().map(|hook| &hook.chain).collect();
    let foreign: BTreeSet<&String> =
        present.chains.keys().filter(|name| !is_own_chain(name)).chain(hooked.iter().copied()).collect();
    let empty = Chain::default();
    for name in foreign {
        let chain = present.chains.get(name).unwrap_or(&empty);
        let lines: Vec<&Line> =
            wanted.hooks.iter().filter(|hook| hook.chain == *name).flat_map(|hook| &hook.lines).collect();
        if in_place(chain, &lines) {
            continue;
        }
        for line in chain.lines.iter().filter(|line| line.rule.as_ref().is_some_and(is_own_rule)) {
            let _ = writeln!(text, "-D {name} {}", line.text);
        }
        for (index, line) in lines.iter().enumerate() {
            let _ = writeln!(text, "-I {name} {} {}", index + 1, line.text);
        }
    }
    text
}

/// Ours are the first rules of the chain, and there are no more of them further down.
fn in_place(chain: &Chain, wanted: &[&Line]) -> bool {
    let is_own = |line: &Line| line.rule.as_ref().is_some_and(is_own_rule);
    chain.lines.len() >= wanted.len()
        && chain.lines.iter().zip(wanted).all(|(present, wanted)| present.text == wanted.text)
        && !chain.lines[wanted.len()..].iter().any(is_own)
}

/// The doors of our part of a table, each with the rules that drop everything ruled. They ask sets alone, each line of
/// defence its own (`named`). `calling` keeps of the host's ports only those from which somebody may call out.
fn doors(family: Family, calling: bool, named: &dyn Fn(String) -> String) -> [(&'static str, Vec<Line>); 5] {
    use SetDirection::{Dst, Src};
    let ask = |set: fn(Family) -> String, negated: bool, directions: &[SetDirection]| Match::Set {
        name: named(set(family)),
        negated,
        directions: directions.to_vec(),
    };
    let drop = |matches: Vec<Match>| Line::of(Rule::new(matches, Action::Drop));
    let ruled = |direction: SetDirection| drop(vec![ask(compile::ruled, false, &[direction])]);
    let port = |direction: SetDirection| {
        let mut matches = vec![ask(compile::host, false, &[direction, direction])];
        if calling {
            matches.push(ask(compile::host_answers, true, &[direction, direction]));
        }
        drop(matches)
    };
    // What a container's processes say to one another is no access from outside, and must not stop either.
    let within = |condition: fn(String) -> Match| Line::of(Rule::new([condition("lo".to_owned())], Action::Return));
    [
        (names::IN, vec![within(Match::InInterface), ruled(Dst)]),
        (names::OUT, vec![within(Match::OutInterface), ruled(Src)]),
        (names::MAIN, vec![ruled(Dst), ruled(Src)]),
        (names::HOST, vec![port(Dst)]),
        (names::HOST_OUT, vec![port(Src)]),
    ]
}

/// The name of the set that a barrier in `table` asks: the twin in the second line, where there is one.
fn asked_in(table: Table, have: &Dump, want: &Desired, name: String) -> String {
    let twin = compile::twin(&name);
    let there = have.sets.contains_key(&twin) || want.sets.contains_key(&twin);
    if table == Table::Security && there { twin } else { name }
}

/// A barrier where the family has nothing of ours yet and nobody's rules have its connections tracked, and the state behind
/// it. Of the host's ports it closes those from which somebody may call out. The others need none, for they are judged without a direction; and a refused packet
/// would end docker-proxy's UDP sessions.
pub(super) fn first_barrier(have: &Dump, want: &Desired, family: Family) -> Option<(String, Dump)> {
    if have.tracked.contains(&family) {
        return None;
    }
    let chains = |table: &Table| have.tables.get(&(family, *table)).into_iter().flat_map(|table| table.chains.keys());
    // The proof alone judges nothing.
    if Table::ALL.iter().flat_map(chains).any(|name| is_own_chain(name) && name != names::PASS) {
        return None;
    }
    let mut closed = have.clone();
    let mut text = String::new();
    for table in Table::ALL {
        let Some(wanted) = want.tables.get(&(family, table)) else { continue };
        let Some(present) = closed.tables.get_mut(&(family, table)) else { continue };
        let (mut chains, mut hooks) = (BTreeMap::new(), Vec::new());
        for (name, lines) in doors(family, true, &|set| asked_in(table, have, want, set)) {
            let calls = |hook: &&HookRules| hook.lines.iter().any(|line| leads_to(line, name));
            if let Some(hook) = wanted.hooks.iter().find(calls) {
                chains.insert(name.to_owned(), lines);
                // Without the proof: what docker-proxy answers is let through here, and not judged yet.
                let lines = hook.lines.iter().filter(|line| leads_to(line, name)).cloned().collect();
                hooks.push(HookRules { chain: hook.chain.clone(), lines });
            }
        }
        if chains.is_empty() {
            continue;
        }
        let barrier = DesiredTable { chains, hooks };
        let lines = table_lines(present, &barrier, false);
        let _ = writeln!(text, "*{table}\n{lines}COMMIT");
        become_as(present, barrier);
    }
    (!text.is_empty()).then_some((text, closed))
}

fn leads_to(line: &Line, chain: &str) -> bool {
    line.rule.as_ref().is_some_and(|rule| rule.action == Action::Jump(chain.to_owned()))
}

/// What a table is after [`table_lines`].
fn become_as(present: &mut TableDump, wanted: DesiredTable) {
    present.chains.retain(|name, _| !is_own_chain(name));
    for chain in present.chains.values_mut() {
        chain.lines.retain(|line| !line.rule.as_ref().is_some_and(is_own_rule));
    }
    for hook in wanted.hooks {
        present.chains.entry(hook.chain).or_default().lines.splice(0..0, hook.lines);
    }
    let chains = wanted.chains.into_iter().map(|(name, lines)| (name, Chain { policy: None, lines }));
    present.chains.extend(chains);
}

/// Rules that drop everything ruled, in those of our first chains that exist; empty when there is none. The chains
/// behind them are emptied, so that no rule asks a set that must be destroyed.
pub(super) fn barrier(have: &Dump, want: &Desired, family: Family) -> String {
    let mut text = String::new();
    for table in Table::ALL {
        let named = |set: String| asked_in(table, have, want, set);
        let mut doors = doors(family, false, &named);
        // The host's calls to who has not been seen are one more thing that the emptied chains would drop.
        let unseen = named(compile::unseen(family));
        let there = have.sets.contains_key(&unseen);
        let calls = Match::Set { name: unseen, negated: false, directions: vec![SetDirection::Dst] };
        for (_, lines) in doors.iter_mut().filter(|(name, _)| *name == names::HOST_OUT && there) {
            lines.push(Line::of(Rule::new([calls.clone()], Action::Drop)));
        }
        let closed: Vec<_> = doors.iter().filter(|(chain, _)| have.chain(family, table, chain).is_some()).collect();
        if closed.is_empty() {
            continue;
        }
        let _ = writeln!(text, "*{table}");
        let own = have.tables.get(&(family, table)).into_iter().flat_map(|table| table.chains.keys());
        for chain in own.filter(|name| is_own_chain(name) && *name != names::PASS) {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for (chain, rules) in closed {
            for rule in rules {
                let _ = writeln!(text, "-A {chain} {}", rule.text);
            }
        }
        let _ = writeln!(text, "COMMIT");
    }
    text
}
