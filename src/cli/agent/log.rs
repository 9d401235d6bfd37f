//! What the agent has to say, to stderr: with the priorities of the journal when it reads along.

use std::io::{self, Write as _};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::format::LogFormat;
use crate::cli::report::count;
use crate::cli::text::printable;

/// The log.
#[derive(Debug)]
pub(super) struct Log {
    /// Lines begin with `<N>` (sd-daemon(3)).
    journal: bool,
    format: LogFormat,
    /// The last failure, which is not repeated every two seconds.
    last: String,
}

impl Log {
    /// For this process.
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, journal: std::env::var_os("JOURNAL_STREAM").is_some(), last: String::new() }
    }

    /// What was done.
    pub(super) fn info(&mut self, text: &str) {
        self.last.clear();
        self.line(Level::Info, text, json!({}));
    }

    /// A pass that wrote something.
    pub(super) fn wrote(&mut self, calls: usize, milliseconds: f64, because: &str) {
        self.last.clear();
        let text =
            format!("kernel written in {}, {milliseconds:.1} ms, because: {because}", count(calls, "call", "calls"));
        self.line(Level::Info, &text, json!({ "calls": calls, "ms": milliseconds, "cause": because }));
    }

    /// What somebody should look at.
    pub(super) fn warning(&self, text: &str) {
        self.line(Level::Warning, text, json!({}));
    }

    /// What did not work; once for as long as it stays the same.
    pub(super) fn failure(&mut self, text: &str) {
        if self.last != text {
            self.line(Level::Error, text, json!({}));
            text.clone_into(&mut self.last);
        }
    }

    fn line(&self, level: Level, text: &str, more: Value) {
        let (priority, before, name) = match level {
            Level::Info => (6, "", "info"),
            Level::Warning => (4, "warning: ", "warning"),
            Level::Error => (3, "error: ", "error"),
        };
        let line = match self.format {
            LogFormat::Text => printable(&format!("{before}{text}")).into_owned(),
            LogFormat::Json => object(name, text, more),
        };
        let prefix = if self.journal { format!("<{priority}>") } else { String::new() };
        // Nobody to tell that stderr is gone.
        let _ = writeln!(io::stderr(), "{prefix}{line}");
    }
}

/// How much it matters.
#[derive(Clone, Copy)]
enum Level {
    Info,
    Warning,
    Error,
}

/// One line of JSON.
fn object(level: &str, text: &str, more: Value) -> String {
    let mut object = json!({ "time": Timestamp::now().to_string(), "level": level, "message": text });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_a_line_whatever_a_container_is_called() {
        let line = object("info", "because: docker start \"a\nb\"", json!({ "calls": 2, "ms": 1.5 }));
        assert!(!line.contains('\n'));
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["level"], &read["calls"], &read["ms"]), (&json!("info"), &json!(2), &json!(1.5)));
        assert!(read["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }
}
