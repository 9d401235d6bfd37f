//! From TOML to a policy: every key known, every value checked, every fault with its line.

use std::ops::Range;

use toml_edit::{ArrayOfTables, Item, Table, Value};

use super::error::{DocumentError, Problem};
use super::layout::{Layout, Lines, line_end, line_start};
use crate::policy::nearest::nearest;
use crate::policy::rule::{DefaultAccess, Hook, Policy, Unseen};

mod rule;

pub use rule::RULE_KEYS;

/// The version of the format.
const VERSION: i64 = 1;

/// More faults than this help nobody.
const PROBLEMS_MAX: usize = 100;

/// The keys of a policy file.
pub const ROOT_KEYS: [&str; 6] = ["version", "default", "unseen", "hook", "log", "rule"];

/// What a text says and where.
pub(super) struct Reading {
    pub(super) policy: Policy,
    pub(super) notes: Vec<Problem>,
    pub(super) layout: Layout,
}

/// Reads a whole file, without its byte order mark.
pub(super) fn read(text: &str) -> Result<Reading, DocumentError> {
    let lines = Lines::new(text);
    let document = toml_edit::Document::parse(text).map_err(|error| {
        let (line, column) = lines.place(error.span().map_or(0, |span| span.start));
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        DocumentError { problems: vec![Problem { line, column, message }] }
    })?;
    let mut reader = Reader { text, lines, problems: Vec::new(), notes: Vec::new(), layout: Layout::default() };
    let policy = reader.root(document.as_table());
    let Reader { mut problems, notes, layout, .. } = reader;
    if problems.is_empty() {
        return Ok(Reading { policy, notes, layout });
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(DocumentError { problems })
}

/// Collects faults while it goes through the tables.
struct Reader<'a> {
    text: &'a str,
    lines: Lines<'a>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
    layout: Layout,
}

impl Reader<'_> {
    fn place(&self, span: Option<Range<usize>>, message: String) -> Problem {
        let (line, column) = self.lines.place(span.map_or(0, |span| span.start));
        Problem { line, column, message }
    }

    fn problem(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let problem = self.place(span, message.into());
            self.problems.push(problem);
        }
    }

    fn note(&mut self, span: Option<Range<usize>>, message: String) {
        let note = self.place(span, message);
        self.notes.push(note);
    }

    fn root(&mut self, table: &Table) -> Policy {
        let mut policy = Policy::default();
        self.unknown_keys(table, &ROOT_KEYS, "the policy file");
        match table.get("version") {
            None => self.problem(
                None,
                "the file has no `version = 1`: it is empty, cut off, or not a policy file (put the line at the top)",
            ),
            Some(item) => self.version(item),
        }
        if let Some(item) = table.get("default")
            && let Some(value) = self.choice("default", item, &DefaultAccess::ALL, DefaultAccess::name)
        {
            policy.default = value;
            self.layout.default = item.span();
        }
        if let Some(item) = table.get("unseen")
            && let Some(value) = self.choice("unseen", item, &Unseen::ALL, Unseen::name)
        {
            policy.unseen = value;
        }
        if let Some(item) = table.get("hook")
            && let Some(value) = self.choice("hook", item, &Hook::ALL, Hook::name)
        {
            policy.hook = value;
            self.layout.hook = item.span();
        }
        if let Some(item) = table.get("log") {
            policy.log = self.flag("log", item);
            self.layout.log = item.span();
        }
        let last = table.iter().filter_map(|(_, item)| item.as_value()?.span()).map(|span| span.end).max();
        self.layout.preamble_end = last.map_or(0, |end| line_end(self.text, end));
        match table.get("rule") {
            None => {}
            Some(Item::ArrayOfTables(rules)) => self.rules(rules, &mut policy),
            Some(item) => {
                let span = item.span().or_else(|| table.key("rule").and_then(toml_edit::Key::span));
                self.problem(span, "rules are written as [[rule]], with doubled brackets, each with its keys below it");
            }
        }
        policy
    }

    fn version(&mut self, item: &Item) {
        match item.as_integer() {
            Some(VERSION) => self.layout.version = item.span().unwrap_or_default(),
            Some(version) if version > VERSION => self.problem(
                item.span(),
                format!(
                    "version {version} was written by a newer docker-firewall: this one reads version {VERSION}, update it"
                ),
            ),
            _ => self.problem(item.span(), format!("`version` must be {VERSION}")),
        }
    }

    fn rules(&mut self, rules: &ArrayOfTables, policy: &mut Policy) {
        for table in rules {
            let header = table.span().unwrap_or_default();
            let last = table.iter().filter_map(|(_, item)| item.span()).map(|span| span.end).max();
            let end = last.unwrap_or(header.end).max(header.end);
            self.layout.logs.push(table.get("log").and_then(Item::span));
            self.layout.rules.push(line_start(self.text, header.start)..line_end(self.text, end));
            if let Some(rule) = self.rule(table) {
                policy.rules.push(rule);
            }
        }
    }

    fn unknown_keys(&mut self, table: &Table, known: &[&str], place: &str) {
        for (key, item) in table {
            if known.contains(&key) {
                continue;
            }
            let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
            let message = match nearest(key, known.iter().copied()) {
                Some(near) => format!("unknown key `{}`, did you mean `{near}`", key.escape_debug()),
                None => {
                    format!("unknown key `{}`: {place} has {}", key.escape_debug(), enumerate(known, "and"))
                }
            };
            self.problem(span, message);
        }
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, key: &str, item: &Item, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
        let Some(word) = item.as_str() else {
            self.wrong_type(key, item, "a word in quotes");
            return None;
        };
        let found = all.iter().copied().find(|&value| name(value) == word);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|&value| name(value)).collect();
            let message = match nearest(word, names.iter().copied()) {
                Some(near) => format!("unknown {key} `{}`, did you mean `{near}`", word.escape_debug()),
                None => format!("unknown {key} `{}`: write {}", word.escape_debug(), enumerate(&names, "or")),
            };
            self.problem(item.span(), message);
        }
        found
    }

    fn wrong_type(&mut self, key: &str, item: &Item, wanted: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", kind(item));
        self.problem(item.span(), message);
    }
}

/// A value's type as people call it.
fn kind(item: &Item) -> &'static str {
    match item {
        Item::Value(Value::String(_)) => "a string",
        Item::Value(Value::Integer(_)) => "a number",
        Item::Value(Value::Float(_)) => "a fraction",
        Item::Value(Value::Boolean(_)) => "true or false",
        Item::Value(Value::Datetime(_)) => "a date",
        Item::Value(Value::Array(_)) => "a list",
        Item::Value(Value::InlineTable(_)) | Item::Table(_) | Item::ArrayOfTables(_) => "a table",
        Item::None => "nothing",
    }
}

/// "`a`, `b` or `c`".
fn enumerate(words: &[&str], link: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {link} {last}", first.join(", ")),
    }
}
