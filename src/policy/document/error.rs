//! What is wrong with a policy file, and where.

use std::fmt;

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; 0 when the problem has no place (the file as a whole, a rule not written yet).
    pub line: usize,
    /// The column in characters, counted from 1; 0 when there is none.
    pub column: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.message) } else { write!(f, "line {}: {}", self.line, self.message) }
    }
}

/// Everything wrong with a policy file, in the order of its lines; one line each when printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct DocumentError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl DocumentError {
    /// A problem of the whole.
    pub(super) fn whole(message: String) -> Self {
        Self { problems: vec![Problem { line: 0, column: 0, message }] }
    }

    fn lines(&self) -> String {
        self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}
