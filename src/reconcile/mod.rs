//! The pass: what is on disk and in Docker becomes what is in the kernel. The CLI and the agent both call it.

mod apply;
mod config;
mod ledger;
mod pass;

pub use apply::{Applied, ApplyError, Undone, apply, observe};
pub use config::{Config, ConfigError};
pub use ledger::{Draft, Ledger};
pub use pass::{Pass, kernel_names, port_owners, remembered, remembered_ingress, sets_only, user_sets};
