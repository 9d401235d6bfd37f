//! Being told of changes by the kernel: of rules that somebody wrote, of files that somebody edited, of
//! interfaces that come and go.

mod files;
mod links;
mod ruleset;

pub use files::FileWatch;
pub use links::LinkWatch;
pub use ruleset::{RulesetWatch, Touched};
