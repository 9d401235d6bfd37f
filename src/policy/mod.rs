//! The policy: what people want, in their words. Types, the TOML document that holds it, and the set files.
//!
//! Parsing fails with the line; whatever parses is valid. Names are not looked up here: `resolve` does that.

mod document;
mod field;
mod nearest;
mod rule;
mod set_file;
mod shell;
mod source;
mod target;

pub use document::{DOCUMENT_MAX, Document, DocumentError, Problem, ROOT_KEYS, RULE_KEYS};
pub use field::{COMMENT_MAX, FieldError, check_comment, check_interface};
pub use nearest::nearest;
pub use rule::{DefaultAccess, Hook, Policy, Ports, Rule, Unseen, Verdict};
pub use set_file::{EntryError, SetFile, SetFileError, SourceEntry, TIMEOUT_MAX};
pub use shell::shell_word;
pub use source::{RuleSource, SetName, SetNameError, SourceError};
pub use target::{Target, TargetError};
