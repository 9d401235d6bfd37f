//! Edits of the text, each checked by reading the result.
//!
//! Which comments belong to a rule: those between its header and its last key, and the unbroken run of comment lines
//! right above its header. They go with it. When in doubt a comment stays: one parted from the header by an empty line,
//! one below the last key, and one above the first rule that is not parted from the file's own keys.

use std::fmt::Write as _;
use std::ops::Range;

use toml_edit::{Array, Value};

use super::Document;
use super::error::DocumentError;
use super::layout::{line_end, line_start};
use crate::policy::field::{check_comment, check_interface};
use crate::policy::rule::{DefaultAccess, Hook, Policy, Rule};

impl Document {
    /// Writes `rule` so that it has the index `index` (from 0) afterwards; past the end means last. On an error (a
    /// rule that no file can hold) nothing has changed.
    pub fn insert(&mut self, index: usize, rule: &Rule) -> Result<(), DocumentError> {
        let refuse = |message: &dyn std::fmt::Display| DocumentError::whole(message.to_string());
        rule.interface.as_deref().map_or(Ok(()), check_interface).map_err(|error| refuse(&error))?;
        rule.comment.as_deref().map_or(Ok(()), check_comment).map_err(|error| refuse(&error))?;
        let index = index.min(self.layout.rules.len());
        let newline = self.newline();
        let mut block = render(rule).replace('\n', newline);
        let place = if index < self.layout.rules.len() {
            let place = self.leading_comments(index);
            // Files that part their rules with empty lines go on doing so.
            if self.is_blank_before(place) {
                block.push_str(newline);
            }
            place
        } else {
            let mut gap = String::new();
            if !self.text.is_empty() && !self.text.ends_with('\n') {
                gap.push_str(newline);
            }
            if !self.is_blank_before(self.text.len()) {
                gap.push_str(newline);
            }
            block.insert_str(0, &gap);
            self.text.len()
        };
        let mut expected = self.policy.clone();
        expected.rules.insert(index, rule.clone());
        self.splice(place..place, &block, &expected)
    }

    /// Removes the rule with the index `index` (from 0), with the comments that belong to it, and returns it. On an
    /// error (no such rule) nothing has changed.
    pub fn remove(&mut self, index: usize) -> Result<Rule, DocumentError> {
        let Some(rule) = self.layout.rules.get(index) else {
            let count = self.layout.rules.len();
            return Err(DocumentError::whole(format!("there is no rule {}: the policy has {count}", index + 1)));
        };
        let mut range = self.leading_comments(index)..rule.end;
        // One of the empty lines around it goes too, so that insert and remove leave no trail of them.
        let next = line_end(&self.text, range.end);
        if range.end < self.text.len() && self.text[range.end..next].trim().is_empty() {
            if self.is_blank_before(range.start) {
                range.end = next;
            }
        } else if range.end == self.text.len() && self.is_blank_before(range.start) && range.start > 0 {
            range.start = line_start(&self.text, range.start - 1);
        }
        let mut expected = self.policy.clone();
        let removed = expected.rules.remove(index);
        self.splice(range, "", &expected)?;
        Ok(removed)
    }

    /// Writes the default for containers that no allow rule selects.
    pub fn set_default(&mut self, default: DefaultAccess) -> Result<(), DocumentError> {
        let expected = Policy { default, ..self.policy.clone() };
        self.set_key("default", self.layout.default.clone(), &quoted(default.name()), &expected)
    }

    /// Writes whether everybody who is kept out is written down.
    pub fn set_log(&mut self, log: bool) -> Result<(), DocumentError> {
        let expected = Policy { log, ..self.policy.clone() };
        self.set_key("log", self.layout.log.clone(), if log { "true" } else { "false" }, &expected)
    }

    /// Writes whether what the rule with the index `index` (from 0) denies is written down.
    pub fn set_rule_log(&mut self, index: usize, log: bool) -> Result<(), DocumentError> {
        let mut expected = self.policy.clone();
        let (Some(rule), Some(range)) = (expected.rules.get_mut(index), self.layout.rules.get(index)) else {
            return Err(DocumentError::whole(format!("there is no rule {}", index + 1)));
        };
        rule.log = log;
        if let Some(value) = self.layout.logs.get(index).cloned().flatten() {
            return self.splice(value, if log { "true" } else { "false" }, &expected);
        }
        let (end, newline) = (range.end, self.newline());
        let before = if self.text[..end].ends_with('\n') { "" } else { newline };
        self.splice(end..end, &format!("{before}log = {log}{newline}"), &expected)
    }

    /// Writes where the rules hang.
    pub fn set_hook(&mut self, hook: Hook) -> Result<(), DocumentError> {
        let expected = Policy { hook, ..self.policy.clone() };
        self.set_key("hook", self.layout.hook.clone(), &quoted(hook.name()), &expected)
    }

    fn set_key(
        &mut self,
        key: &str,
        present: Option<Range<usize>>,
        value: &str,
        expected: &Policy,
    ) -> Result<(), DocumentError> {
        if let Some(range) = present {
            return self.splice(range, value, expected);
        }
        let place = line_end(&self.text, self.layout.version.end);
        let newline = self.newline();
        let before = if self.text[..place].ends_with('\n') { "" } else { newline };
        self.splice(place..place, &format!("{before}{key} = {value}{newline}"), expected)
    }

    /// Where the comments that belong to a rule begin; the start of its header if there are none.
    fn leading_comments(&self, index: usize) -> usize {
        let header = self.layout.rules[index].start;
        let floor = if index == 0 { self.layout.preamble_end } else { self.layout.rules[index - 1].end };
        let mut start = header;
        while start > floor {
            let above = line_start(&self.text, start - 1);
            if above < floor || !self.text[above..start].trim_start().starts_with('#') {
                break;
            }
            start = above;
        }
        // Glued to the keys of the file, it may speak of the file.
        if index == 0 && start == floor { header } else { start }
    }

    /// Whether the line that ends at `offset` is empty, or there is none.
    fn is_blank_before(&self, offset: usize) -> bool {
        offset == 0 || self.text[line_start(&self.text, offset - 1)..offset].trim().is_empty()
    }

    /// The file's own line end.
    fn newline(&self) -> &'static str {
        match self.text.find('\n') {
            Some(at) if self.text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// Replaces bytes of the text, provided that the result says what was meant.
    fn splice(&mut self, range: Range<usize>, with: &str, expected: &Policy) -> Result<(), DocumentError> {
        let mut text = self.text();
        let shift = text.len() - self.text.len();
        text.replace_range(range.start + shift..range.end + shift, with);
        let edited = Self::parse(&text)?;
        if !same_meaning(&edited.policy, expected) {
            return Err(DocumentError::whole(
                "the file could not be edited: read back, it would say something else than was asked for".to_owned(),
            ));
        }
        *self = edited;
        Ok(())
    }
}

/// A word as TOML's string.
fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}

/// Whether two policies agree in all but the lines.
fn same_meaning(left: &Policy, right: &Policy) -> bool {
    let unplaced = |rule: &Rule| Rule { line: None, ..rule.clone() };
    left.default == right.default
        && left.hook == right.hook
        && left.log == right.log
        && left.rules.iter().map(unplaced).eq(right.rules.iter().map(unplaced))
}

/// A rule as TOML, ending with a newline.
fn render(rule: &Rule) -> String {
    let mut text = String::from("[[rule]]\n");
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("verdict", &Value::from(rule.verdict.name()));
    line("target", &list(&rule.targets));
    line("from", &list(&rule.sources));
    if let Some(ports) = &rule.ports.container {
        line("port", &Value::from(ports.to_string()));
    }
    if let Some(ports) = &rule.ports.published {
        line("published", &Value::from(ports.to_string()));
    }
    if let Some(interface) = &rule.interface {
        line("interface", &Value::from(interface.as_str()));
    }
    if let Some(expires) = &rule.expires {
        line("expires", expires);
    }
    if let Some(comment) = &rule.comment {
        line("comment", &Value::from(comment.as_str()));
    }
    if rule.pending {
        line("pending", &"true");
    }
    if rule.log {
        line("log", &"true");
    }
    text
}

/// One string, or a list of them.
fn list<T: ToString>(items: &[T]) -> Value {
    match items {
        [only] => Value::from(only.to_string()),
        several => Value::from(several.iter().map(ToString::to_string).collect::<Array>()),
    }
}
