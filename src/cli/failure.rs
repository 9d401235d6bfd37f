//! How a command ends: well, or with a message, hints and an exit code.

use std::process::ExitCode;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exit {
    /// All went well: 0.
    #[default]
    Success,
    /// Some of several things failed and each has been reported already: 1.
    SomeFailed,
    /// `plan` and the dry runs: there is something to do: 2.
    ThingsToDo,
    /// `explain`: nobody gets through: 3.
    Denied,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::SomeFailed => 1,
            Self::ThingsToDo => 2,
            Self::Denied => 3,
        }
    }
}

/// Whose fault it is, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A flag that does not exist, lacks its value or has a bad one: 125, as Docker's own commands say.
    Usage,
    /// Anything else that the user asked for and that cannot be: a name that means nothing, too few arguments.
    User,
    /// Possible, but not done, because it would be unsafe or was not confirmed.
    Refused,
    /// The engine, the kernel, a tool or a file did not do its part.
    Environment,
    /// A fault of this program.
    Internal,
    /// Ctrl-C, a signal or Docker's client asked to stop: 130.
    Cancelled,
}

/// Why a command failed and what to type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What failed: a sentence in lower case without a full stop. Empty: it has been said already.
    pub message: String,
    /// Lines printed below it, as they are.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without hints.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// A bad flag.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// Something the user asked for that cannot be.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(FailureKind::User, message)
    }

    /// Something that would be unsafe.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, message)
    }

    /// Something around us failed.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Environment, message)
    }

    /// A fault of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, message)
    }

    /// Stopped on request; the message says what became of the change in hand.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Cancelled, message)
    }

    /// Adds a line to be printed below the message.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self.kind {
            FailureKind::Usage => 125,
            FailureKind::Cancelled => 130,
            FailureKind::User | FailureKind::Refused | FailureKind::Environment | FailureKind::Internal => 1,
        }
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(failure.code())
    }
}
