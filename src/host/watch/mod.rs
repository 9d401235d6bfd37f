//! Being told of changes by the kernel: of rules that somebody wrote, of files that somebody edited.

mod files;
mod ruleset;

pub use files::FileWatch;
pub use ruleset::RulesetWatch;
