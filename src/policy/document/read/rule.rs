//! One `[[rule]]`.

use std::ops::Range;

use jiff::Timestamp;
use toml_edit::{Item, Table, Value};

use super::Reader;
use crate::net::{PortRange, PortSet, parse_ports};
use crate::policy::field::{FieldError, check_comment, check_interface};
use crate::policy::rule::{Ports, Rule, Verdict};
use crate::policy::source::RuleSource;
use crate::policy::target::Target;

/// The keys of a rule.
pub const RULE_KEYS: [&str; 10] =
    ["verdict", "target", "from", "port", "published", "interface", "expires", "comment", "pending", "log"];

/// A string of the file and where it stands.
type Word = (String, Option<Range<usize>>);

impl Reader<'_> {
    /// The rule, or nothing after its faults have been noted.
    pub(super) fn rule(&mut self, table: &Table) -> Option<Rule> {
        let faults = self.problems.len();
        self.unknown_keys(table, &RULE_KEYS, "a rule");
        let verdict = match self.required(table, "verdict") {
            Some(item) => self.choice("verdict", item, &[Verdict::Allow, Verdict::Deny], Verdict::name),
            None => None,
        };
        let targets = self.required(table, "target").map(|item| self.targets(item)).unwrap_or_default();
        let sources = self.required(table, "from").map(|item| self.sources(item)).unwrap_or_default();
        let ports = Ports {
            container: table.get("port").and_then(|item| self.ports("port", item)),
            published: table.get("published").and_then(|item| self.ports("published", item)),
        };
        let interface = table.get("interface").and_then(|item| self.checked("interface", item, check_interface));
        let comment = table.get("comment").and_then(|item| self.checked("comment", item, check_comment));
        let expires = table.get("expires").and_then(|item| self.expires(item));
        let pending = table.get("pending").is_some_and(|item| self.flag("pending", item));
        let log = table.get("log").is_some_and(|item| self.flag("log", item));
        if log && verdict == Some(Verdict::Allow) {
            let span = table.get("log").and_then(Item::span);
            self.problem(
                span,
                "an allow rule denies nothing to log: write `log = true` above the first rule, or in a deny rule",
            );
        }
        if self.problems.len() > faults {
            return None;
        }
        let (line, _) = self.lines.place(table.span().unwrap_or_default().start);
        let verdict = verdict?;
        Some(Rule { verdict, targets, ports, sources, interface, expires, comment, pending, log, line: Some(line) })
    }

    fn required<'t>(&mut self, table: &'t Table, key: &str) -> Option<&'t Item> {
        let item = table.get(key);
        if item.is_none() {
            self.problem(table.span(), format!("the rule has no `{key}`"));
        }
        item
    }

    /// A string, or a list of strings; with `numbers`, numbers stand for their digits.
    fn words(&mut self, key: &str, item: &Item, numbers: bool) -> Vec<Word> {
        let wanted = if numbers { "a string, a number or a list of them" } else { "a string or a list of strings" };
        let word = |value: &Value| match value {
            Value::String(text) => Some((text.value().clone(), value.span())),
            Value::Integer(number) if numbers => Some((number.value().to_string(), value.span())),
            _ => None,
        };
        let Some(value) = item.as_value() else {
            self.wrong_type(key, item, wanted);
            return Vec::new();
        };
        let Value::Array(array) = value else {
            let single = word(value);
            if single.is_none() {
                self.wrong_type(key, item, wanted);
            }
            return single.into_iter().collect();
        };
        if array.is_empty() {
            self.problem(item.span(), format!("`{key}` is an empty list"));
        }
        let mut words = Vec::with_capacity(array.len());
        for element in array {
            match word(element) {
                Some(found) => words.push(found),
                None => self.wrong_type(key, &Item::Value(element.clone()), wanted),
            }
        }
        words
    }

    fn targets(&mut self, item: &Item) -> Vec<Target> {
        let mut targets = Vec::new();
        for (text, span) in self.words("target", item, false) {
            match text.parse() {
                Ok(target) => targets.push(target),
                Err(error) => self.problem(span, format!("{error}")),
            }
        }
        targets
    }

    /// As on the command line, one string may name several, parted by commas.
    fn sources(&mut self, item: &Item) -> Vec<RuleSource> {
        let mut sources = Vec::new();
        for (text, span) in self.words("from", item, false) {
            for part in text.split(',').map(str::trim) {
                match RuleSource::parse(part) {
                    Ok((source, normalised)) => {
                        if let Some(block) = normalised {
                            self.note(span.clone(), format!("{part} has host bits set: read as {block}"));
                        }
                        sources.push(source);
                    }
                    Err(error) => self.problem(span.clone(), format!("{error}")),
                }
            }
        }
        sources
    }

    fn ports(&mut self, key: &str, item: &Item) -> Option<PortSet> {
        let mut ranges: Vec<PortRange> = Vec::new();
        for (text, span) in self.words(key, item, true) {
            match parse_ports(&text) {
                Ok(ports) => ranges.extend(ports.ranges()),
                Err(error) => self.problem(span, format!("{error}")),
            }
        }
        PortSet::new(ranges)
    }

    fn checked(&mut self, key: &str, item: &Item, check: fn(&str) -> Result<(), FieldError>) -> Option<String> {
        let Some(text) = item.as_str() else {
            self.wrong_type(key, item, "a string");
            return None;
        };
        match check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(error) => {
                self.problem(item.span(), format!("{error}"));
                None
            }
        }
    }

    fn expires(&mut self, item: &Item) -> Option<Timestamp> {
        let text = match item {
            Item::Value(Value::Datetime(moment)) => moment.value().to_string(),
            Item::Value(Value::String(text)) => text.value().clone(),
            _ => {
                self.wrong_type("expires", item, "a moment like 2030-01-31T18:00:00Z");
                return None;
            }
        };
        let moment = text.parse().ok();
        if moment.is_none() {
            let message = format!(
                "`{}` is no moment: write date, time and zone, like 2030-01-31T18:00:00Z or 2030-01-31T19:00:00+01:00",
                text.escape_debug()
            );
            self.problem(item.span(), message);
        }
        moment
    }

    /// A word that is true or false.
    pub(super) fn flag(&mut self, key: &str, item: &Item) -> bool {
        let flag = item.as_bool();
        if flag.is_none() {
            self.wrong_type(key, item, "true or false");
        }
        flag.unwrap_or_default()
    }
}
