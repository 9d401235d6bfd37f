//! The functions of templates: Go's own that lists need, and those of Docker's CLI.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::Value;

use super::TemplateError;
use crate::text::printable_json;

/// Widest padding: more is a slip, or somebody's joke.
const WIDEST: usize = 1000;

/// All of them.
pub(super) const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad", "print",
    "printf", "println", "split", "title", "truncate", "upper",
];

/// Go's notion of truth: what is not empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
    }
}

/// A value as Go prints it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(items) => {
            let pairs: Vec<String> = items.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// Calls the function `name`.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    let text = |at: usize| shown(&arguments[at]);
    let takes = |count: usize| {
        let plural = if count == 1 { "" } else { "s" };
        if arguments.len() == count {
            Ok(())
        } else {
            Err(TemplateError::new(format!("{name} takes {count} argument{plural}, not {}", arguments.len())))
        }
    };
    let at_least = |count: usize| {
        if arguments.len() >= count {
            Ok(())
        } else {
            Err(TemplateError::new(format!("{name} takes at least {count} arguments, not {}", arguments.len())))
        }
    };
    Ok(match name {
        "upper" => takes(1).map(|()| text(0).to_uppercase().into())?,
        "lower" => takes(1).map(|()| text(0).to_lowercase().into())?,
        "title" => takes(1).map(|()| title(&text(0)).into())?,
        "json" => takes(1).map(|()| printable_json(&arguments[0].to_string()).into_owned().into())?,
        "split" => takes(2).map(|()| text(0).split(&text(1)).map(Value::from).collect())?,
        "join" => {
            takes(2)?;
            let Value::Array(items) = &arguments[0] else {
                return Err(TemplateError::new("join wants a list; split makes one of a text"));
            };
            items.iter().map(shown).collect::<Vec<_>>().join(&text(1)).into()
        }
        "truncate" => {
            takes(2)?;
            let most = number(name, &arguments[1])?;
            text(0).chars().take(most).collect::<String>().into()
        }
        "pad" => {
            takes(3)?;
            let (before, after) = (number(name, &arguments[1])?, number(name, &arguments[2])?);
            if text(0).is_empty() {
                return Ok("".into());
            }
            if before > WIDEST || after > WIDEST {
                return Err(TemplateError::new(format!("pad takes at most {WIDEST} blanks")));
            }
            format!("{}{}{}", " ".repeat(before), text(0), " ".repeat(after)).into()
        }
        "len" => {
            takes(1)?;
            match &arguments[0] {
                Value::Array(items) => items.len().into(),
                Value::Object(items) => items.len().into(),
                other => shown(other).len().into(),
            }
        }
        "index" => at_least(1).and_then(|()| index(arguments))?,
        "not" => takes(1).map(|()| (!is_true(&arguments[0])).into())?,
        "and" => at_least(1).map(|()| chosen(arguments, |value| !is_true(value)))?,
        "or" => at_least(1).map(|()| chosen(arguments, is_true))?,
        "eq" => at_least(2).map(|()| arguments[1..].iter().any(|other| same(&arguments[0], other)).into())?,
        "ne" => takes(2).map(|()| (!same(&arguments[0], &arguments[1])).into())?,
        "lt" => takes(2).and_then(|()| order(arguments)).map(|order| order.is_lt().into())?,
        "le" => takes(2).and_then(|()| order(arguments)).map(|order| order.is_le().into())?,
        "gt" => takes(2).and_then(|()| order(arguments)).map(|order| order.is_gt().into())?,
        "ge" => takes(2).and_then(|()| order(arguments)).map(|order| order.is_ge().into())?,
        "print" => printed(arguments).into(),
        "println" => {
            let words: Vec<String> = arguments.iter().map(shown).collect();
            format!("{}\n", words.join(" ")).into()
        }
        "printf" => at_least(1).and_then(|()| formatted(&text(0), &arguments[1..]))?.into(),
        _ => return Err(TemplateError::new(format!("function {name} is not defined"))),
    })
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn number(name: &str, value: &Value) -> Result<usize, TemplateError> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| TemplateError::new(format!("{name} wants a number of characters, not {}", shown(value))))
}

/// The first value for which `stops`, or the last.
fn chosen(values: &[Value], stops: impl Fn(&Value) -> bool) -> Value {
    values.iter().find(|value| stops(value)).or(values.last()).cloned().unwrap_or_default()
}

/// What is listed is text, even a number: `eq .Rule 1` means what it says.
fn same(one: &Value, other: &Value) -> bool {
    one == other || shown(one) == shown(other)
}

fn order(values: &[Value]) -> Result<Ordering, TemplateError> {
    match (&values[0], &values[1]) {
        (Value::String(one), Value::String(other)) => Ok(one.cmp(other)),
        (one, other) => {
            let numeric = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
            let pair = numeric(one).zip(numeric(other));
            pair.and_then(|(one, other)| one.partial_cmp(&other))
                .ok_or_else(|| TemplateError::new(format!("{} and {} cannot be compared", shown(one), shown(other))))
        }
    }
}

fn index(arguments: &[Value]) -> Result<Value, TemplateError> {
    let mut here = &arguments[0];
    for key in &arguments[1..] {
        here = match here {
            Value::Array(items) => key
                .as_u64()
                .and_then(|at| items.get(usize::try_from(at).ok()?))
                .ok_or_else(|| TemplateError::new(format!("index out of range: {}", shown(key))))?,
            Value::Object(items) => items.get(&shown(key)).unwrap_or(&Value::Null),
            other => return Err(TemplateError::new(format!("{} cannot be indexed", shown(other)))),
        };
    }
    Ok(here.clone())
}

/// Blanks stand between neighbours of which neither is a text.
fn printed(arguments: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in arguments.iter().enumerate() {
        if at > 0 && !value.is_string() && !arguments[at - 1].is_string() {
            text.push(' ');
        }
        text.push_str(&shown(value));
    }
    text
}

/// `%s`, `%v`, `%d`, `%q`, `%t` and `%%`, with `-` and a width.
fn formatted(format: &str, arguments: &[Value]) -> Result<String, TemplateError> {
    let mut text = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some((before, verb)) = rest.split_once('%') {
        text.push_str(before);
        let flags = verb.len() - verb.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()).len();
        let (flags, verb) = verb.split_at(flags);
        let Some(letter) = verb.chars().next() else {
            return Err(TemplateError::new("printf: the format ends in %"));
        };
        rest = &verb[letter.len_utf8()..];
        if letter == '%' {
            text.push('%');
            continue;
        }
        let width = flags.trim_start_matches('-');
        let width =
            if width.is_empty() { Some(0) } else { width.parse::<usize>().ok().filter(|width| *width <= WIDEST) };
        let width = width.ok_or_else(|| TemplateError::new(format!("printf: a width above {WIDEST}")))?;
        let value =
            arguments.next().ok_or_else(|| TemplateError::new(format!("printf: nothing left for %{letter}")))?;
        let word = match letter {
            's' | 'v' | 't' => shown(value),
            'q' => Value::String(shown(value)).to_string(),
            'd' if value.is_number() || shown(value).parse::<i64>().is_ok() => shown(value),
            'd' => return Err(TemplateError::new(format!("printf: %d wants a number, not {}", shown(value)))),
            other => return Err(TemplateError::new(format!("printf: %{other} is not known"))),
        };
        let _ = if flags.starts_with('-') { write!(text, "{word:<width$}") } else { write!(text, "{word:>width$}") };
    }
    text.push_str(rest);
    Ok(text)
}
