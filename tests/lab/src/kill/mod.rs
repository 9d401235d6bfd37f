//! The plugin killed at every point of its work, on a real kernel, with a stranger trying the door all the while.
//!
//! Whatever call of a tool it dies at: nobody gets in whom both the old and the new policy keep out, and the next
//! `apply` leads to one of the two and leaves nothing to do.

mod agent;
mod hammer;
mod run;
mod trap;

pub use hammer::{Hammer, Successes};
pub use run::{Report, run};
