//! The pass: what is on disk and in Docker becomes what is in the kernel. The CLI and the agent both call it.

mod apply;

pub use apply::{Applied, ApplyError, Undone, apply, observe};
