//! A template's letters become pieces: text, and the words of each action.

use serde_json::Value;

use super::TemplateError;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// What stood between `{{` and `}}`.
    Action(Vec<Word>),
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `if`, `upper`, `true`.
    Name(String),
    /// `.`, `.A.B`.
    Field(Vec<String>),
    /// `$`, `$x.A`.
    Variable(String, Vec<String>),
    Literal(Value),
    Pipe,
    Comma,
    /// `:=`.
    Declare,
    /// `=`.
    Assign,
    Open,
    /// `)`, with the fields behind it.
    Close(Vec<String>),
}

/// Cuts a template into pieces.
pub(super) fn pieces(mut text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut trim_start = false;
    while let Some((before, rest)) = text.split_once("{{") {
        let trims = rest.starts_with('-') && rest[1..].starts_with(char::is_whitespace);
        let rest = if trims { &rest[1..] } else { rest };
        push_text(&mut pieces, before, trim_start, trims);
        let inner = rest.trim_start();
        if let Some(comment) = inner.strip_prefix("/*") {
            let after = comment.split_once("*/").ok_or_else(|| TemplateError::new("a comment without an end"))?.1;
            let after = after.trim_start();
            trim_start = after.starts_with('-');
            text = after
                .trim_start_matches('-')
                .strip_prefix("}}")
                .ok_or_else(|| TemplateError::new("a comment ends before the action does"))?;
            continue;
        }
        let (words, used) = words(rest)?;
        trim_start = rest[..used].ends_with('-') && rest[..used - 1].ends_with(char::is_whitespace);
        pieces.push(Piece::Action(words));
        text = &rest[used + 2..];
    }
    push_text(&mut pieces, text, trim_start, false);
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, start: bool, end: bool) {
    let text = if start { text.trim_start() } else { text };
    let text = if end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// The words up to `}}`, and how many bytes stand before it.
fn words(action: &str) -> Result<(Vec<Word>, usize), TemplateError> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let rest = &action[at..];
        let Some(first) = rest.chars().next() else { return Err(TemplateError::new("unclosed action")) };
        if rest.starts_with("}}") {
            return Ok((words, at));
        }
        let (word, used) = match first {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '-' if rest.starts_with("-}}") && action[..at].ends_with(char::is_whitespace) => (None, 1),
            '|' => (Some(Word::Pipe), 1),
            ',' => (Some(Word::Comma), 1),
            '(' => (Some(Word::Open), 1),
            ')' => {
                let (path, used) = path(&rest[1..]);
                (Some(Word::Close(path)), used + 1)
            }
            ':' if rest.starts_with(":=") => (Some(Word::Declare), 2),
            '=' => (Some(Word::Assign), 1),
            '"' => quoted(rest).map(|(text, used)| (Some(Word::Literal(text.into())), used))?,
            '`' => {
                let end = rest[1..].find('`').ok_or_else(|| TemplateError::new("a string without an end"))?;
                (Some(Word::Literal(rest[1..=end].into())), end + 2)
            }
            '\'' => character(rest)?,
            '.' if rest[1..].starts_with(is_letter) => {
                let (path, used) = path(rest);
                (Some(Word::Field(path)), used)
            }
            '.' => (Some(Word::Field(Vec::new())), 1),
            '$' => {
                let name = letters(&rest[1..]);
                let (path, used) = path(&rest[1 + name.len()..]);
                (Some(Word::Variable(name.to_owned(), path)), 1 + name.len() + used)
            }
            c if c.is_ascii_digit() || matches!(c, '-' | '+') => number(rest)?,
            c if is_letter(c) => {
                let name = letters(rest);
                (Some(named(name)), name.len())
            }
            c => return Err(TemplateError::new(format!("unexpected {c:?} in an action"))),
        };
        words.extend(word);
        at += used;
    }
}

fn named(name: &str) -> Word {
    match name {
        "true" => Word::Literal(Value::Bool(true)),
        "false" => Word::Literal(Value::Bool(false)),
        "nil" => Word::Literal(Value::Null),
        _ => Word::Name(name.to_owned()),
    }
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn letters(text: &str) -> &str {
    &text[..text.find(|c| !is_letter(c)).unwrap_or(text.len())]
}

/// `.A.B` and its length.
fn path(text: &str) -> (Vec<String>, usize) {
    let (mut path, mut used) = (Vec::new(), 0);
    while let Some(rest) = text[used..].strip_prefix('.') {
        let name = letters(rest);
        if name.is_empty() {
            break;
        }
        path.push(name.to_owned());
        used += 1 + name.len();
    }
    (path, used)
}

/// A string in double quotes, its value and its length.
fn quoted(text: &str) -> Result<(String, usize), TemplateError> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => break,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                // Go's strings and JSON's agree on what people type here. A real tab, from \t, is escaped first.
                let value = serde_json::from_str(&text[..=at].replace('\t', "\\t"));
                return value
                    .map(|value| (value, at + 1))
                    .map_err(|_| TemplateError::new(format!("a string that is none: {}", &text[..=at])));
            }
            _ => {}
        }
    }
    Err(TemplateError::new("a string without an end"))
}

/// `'a'`: the number of a character, as in Go.
fn character(text: &str) -> Result<(Option<Word>, usize), TemplateError> {
    let mut chars = text[1..].chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) => Ok((Some(Word::Literal(u32::from(c).into())), c.len_utf8() + 2)),
        _ => Err(TemplateError::new("single quotes hold one character; strings stand in double quotes")),
    }
}

fn number(text: &str) -> Result<(Option<Word>, usize), TemplateError> {
    let rest = &text[1..];
    let length = 1 + rest.find(|c: char| !is_letter(c) && c != '.').unwrap_or(rest.len());
    let digits = &text[..length];
    digits
        .parse::<i64>()
        .map(|number| (Some(Word::Literal(number.into())), length))
        .map_err(|_| TemplateError::new(format!("bad number {digits}")))
}
