//! Being told by the kernel: of rules that somebody wrote, of files that somebody edited, of interfaces that come and
//! go, of packets that a rule drops.

mod drops;
mod files;
mod links;
mod ruleset;

pub use drops::{DropWatch, Dropped};
pub use files::FileWatch;
pub use links::LinkWatch;
pub use ruleset::{RulesetWatch, Touched};
