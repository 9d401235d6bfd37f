//! What `iptables-save` and `ipset` print, as values.
//!
//! Foreign rules, set types and entries are kept as text and never an error; what makes no sense as such output is one,
//! with its place, because acting on half a picture could open a door. Nothing here panics, whatever the bytes.

mod rule;
mod sets;

use std::collections::BTreeMap;

use thiserror::Error;

use super::counts::Counts;
use super::dump::{Chain, Line, TableDump};
use super::rule::{Action, Table};
use crate::net::Family;

pub use rule::parse_rule;
pub(super) use rule::words;
pub use sets::{SetHeader, parse_ipset_list_terse, parse_ipset_save, parse_set_entry};

/// Why a tool's output was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl ParseError {
    /// An error in `line` (its index and text), at the byte `offset` of it.
    pub(super) fn at((index, line): (usize, &str), offset: usize, what: impl Into<String>) -> Self {
        let column = line.char_indices().take_while(|(byte, _)| *byte < offset).count() + 1;
        Self { line: index + 1, column, what: what.into() }
    }
}

/// Lines with their index from 0, without line ends.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate()
}

/// A table being read.
enum Open {
    /// One of ours.
    Known(Table, TableDump),
    /// `nat` and the like, read over.
    Other,
}

/// Parses `iptables-save` (or `ip6tables-save`) output into the tables that we know; other tables are left out.
/// Counters need not be there. A table that is in use by native nft rules cannot be read and is an error.
pub fn parse_iptables_save(family: Family, text: &str) -> Result<BTreeMap<(Family, Table), TableDump>, ParseError> {
    let mut tables = BTreeMap::new();
    let mut open: Option<Open> = None;
    let mut last = (0, "");
    for at in numbered(text) {
        last = at;
        let line = at.1.trim_end();
        match (&mut open, line.as_bytes().first()) {
            (_, Some(b'#')) => refuse_unreadable(at)?,
            (None, Some(b'*')) => open = Some(begin(&line[1..])),
            (Some(_), Some(b'*')) => return Err(ParseError::at(at, 0, "a table begins before COMMIT of the last")),
            (None, Some(_)) => return Err(ParseError::at(at, 0, "expected \"*TABLE\" or a comment")),
            (Some(_), Some(_)) if line == "COMMIT" => {
                if let Some(Open::Known(table, mut dump)) = open.take() {
                    forget_extensions(&mut dump);
                    tables.insert((family, table), dump);
                }
            }
            (_, None) | (Some(Open::Other), Some(_)) => {}
            (Some(Open::Known(_, dump)), Some(b':')) => declare(dump, at)?,
            (Some(Open::Known(_, dump)), Some(b'-' | b'[')) => append(dump, at)?,
            (Some(_), Some(_)) => return Err(ParseError::at(at, 0, "expected a chain, a rule or COMMIT")),
        }
    }
    if open.is_some() {
        return Err(ParseError::at(last, last.1.len(), "ended before COMMIT"));
    }
    Ok(tables)
}

/// Whether a rule in `iptables-save` output, of any table, has the kernel track connections: it does so for all packets of
/// the family from the moment at which the first such rule is loaded.
pub fn tracks_connections(save: &str) -> bool {
    const ASKING: [&str; 2] = ["conntrack", "state"];
    const REWRITING: [&str; 4] = ["DNAT", "SNAT", "MASQUERADE", "REDIRECT"];
    let asks = |line: &&str| line.contains("-m conntrack") || line.contains("-m state");
    let rewrites = |line: &&str| REWRITING.iter().any(|target| line.contains(target));
    let rules = save.lines().filter(|line| line.starts_with(['-', '[']));
    rules.filter(|line| asks(line) || rewrites(line)).any(|line| {
        // What a comment says is one word.
        let words: Vec<_> = words(line).unwrap_or_default();
        words.windows(2).any(|pair| match &*pair[0] {
            "-m" => ASKING.contains(&&*pair[1]),
            "-j" => REWRITING.contains(&&*pair[1]),
            _ => false,
        })
    })
}

fn begin(name: &str) -> Open {
    Table::ALL
        .into_iter()
        .find(|table| table.name() == name)
        .map_or(Open::Other, |table| Open::Known(table, TableDump::default()))
}

/// iptables-nft skips a table that holds rules it cannot say and leaves only a remark; to take that for an empty
/// table would be to overlook whatever is in it.
fn refuse_unreadable(at: (usize, &str)) -> Result<(), ParseError> {
    let unreadable = at.1.contains("is incompatible") && Table::ALL.iter().any(|table| at.1.contains(table.name()));
    if unreadable {
        return Err(ParseError::at(at, 0, at.1.trim_start_matches(['#', ' ']).to_owned()));
    }
    Ok(())
}

/// `:NAME POLICY [packets:bytes]`.
fn declare(dump: &mut TableDump, at: (usize, &str)) -> Result<(), ParseError> {
    let mut words = at.1[1..].split_ascii_whitespace();
    let Some(name) = words.next() else { return Err(ParseError::at(at, 1, "a chain without a name")) };
    let policy = match words.next() {
        None => return Err(ParseError::at(at, at.1.len(), "a chain without a policy")),
        Some("-") => None,
        Some(policy) => Some(policy.to_owned()),
    };
    dump.chains.insert(name.to_owned(), Chain { policy, lines: Vec::new() });
    Ok(())
}

/// `[packets:bytes] -A CHAIN RULE`; the counters are optional and so is the rule.
fn append(dump: &mut TableDump, at: (usize, &str)) -> Result<(), ParseError> {
    let mut rest = at.1.trim_end();
    let mut counts = Counts::default();
    if rest.starts_with('[') {
        let Some((inside, after)) = rest[1..].split_once("] ") else {
            return Err(ParseError::at(at, 0, "counters without an end"));
        };
        counts = Counts::parse(inside).unwrap_or_default();
        rest = after;
    }
    let offset = |part: &str| part.as_ptr().addr().saturating_sub(at.1.as_ptr().addr());
    let Some(body) = rest.strip_prefix("-A ") else {
        return Err(ParseError::at(at, offset(rest), "expected \"-A CHAIN\""));
    };
    let (name, text) = body.split_once(' ').unwrap_or((body, ""));
    let Some(chain) = dump.chains.get_mut(name) else {
        return Err(ParseError::at(at, offset(body), format!("chain {name:?} was not declared")));
    };
    chain.lines.push(Line { text: text.to_owned(), rule: parse_rule(text), counts });
    Ok(())
}

/// `-j LOG` reads like a jump, but there is no chain of that name: it is an extension, and foreign.
fn forget_extensions(dump: &mut TableDump) {
    let mut foreign = Vec::new();
    for (name, chain) in &dump.chains {
        for (index, line) in chain.lines.iter().enumerate() {
            if let Some(Action::Jump(to) | Action::Goto(to)) = line.rule.as_ref().map(|rule| &rule.action)
                && !dump.chains.contains_key(to)
            {
                foreign.push((name.clone(), index));
            }
        }
    }
    for (name, index) in foreign {
        if let Some(line) = dump.chains.get_mut(&name).and_then(|chain| chain.lines.get_mut(index)) {
            line.rule = None;
        }
    }
}
