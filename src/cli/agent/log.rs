//! What the agent has to say, to stderr: with the priorities of the journal when it reads along.

use std::io::{self, Write as _};

/// The log.
#[derive(Debug)]
pub(super) struct Log {
    /// Lines begin with `<N>` (sd-daemon(3)).
    journal: bool,
    /// The last failure, which is not repeated every two seconds.
    last: String,
}

impl Log {
    /// For this process.
    pub(super) fn new() -> Self {
        Self { journal: std::env::var_os("JOURNAL_STREAM").is_some(), last: String::new() }
    }

    /// What was done.
    pub(super) fn info(&mut self, text: &str) {
        self.last.clear();
        self.line(6, text);
    }

    /// What somebody should look at.
    pub(super) fn warning(&self, text: &str) {
        self.line(4, &format!("warning: {text}"));
    }

    /// What did not work; once for as long as it stays the same.
    pub(super) fn failure(&mut self, text: &str) {
        if self.last != text {
            self.line(3, &format!("error: {text}"));
            text.clone_into(&mut self.last);
        }
    }

    fn line(&self, priority: u8, text: &str) {
        let text = super::super::text::printable(text);
        let prefix = if self.journal { format!("<{priority}>") } else { String::new() };
        // Nobody to tell that stderr is gone.
        let _ = writeln!(io::stderr(), "{prefix}{text}");
    }
}
