//! The policy: what people want, in their words. Types, the TOML document that holds it, and the set files.
//!
//! Parsing fails with the line; whatever parses is valid. Names are not looked up here: `resolve` does that.

mod document;
mod rule;
mod set_file;
mod source;
mod target;

// pub use document::{Document, DocumentError};
pub use rule::{DefaultAccess, Hook, Policy, Ports, Rule, Verdict};
// pub use set_file::{SetEntry, SetFile, SetFileError, SetKind};
pub use source::{RuleSource, SetName, SetNameError, SourceError};
pub use target::{Target, TargetError};
