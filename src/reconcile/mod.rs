//! The pass: what is on disk and in Docker becomes what is in the kernel. The CLI and the agent both call it.

mod apply;
mod config;
mod pass;

pub use apply::{Applied, ApplyError, Undone, apply, observe};
pub use config::{Config, ConfigError};
pub use pass::{Pass, kernel_names, port_owners, remembered, user_sets};
