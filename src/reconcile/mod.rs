//! The pass: what is on disk and in Docker becomes what is in the kernel. The CLI and the agent both call it.

mod apply;
mod boot;
mod config;
mod ledger;
mod pass;
mod sandbox;
mod standing;

pub use apply::{Applied, ApplyError, Site, Undone, apply, apply_all, observe};
pub use boot::{Boot, Closed, close};
pub use config::{Config, ConfigError};
pub use ledger::{Draft, Ledger};
pub use pass::{Pass, port_owners, remembered, remembered_ingress, sandbox_owner, sets_only, user_sets};
pub use sandbox::{Record, Sandbox, SandboxError, Sandboxes};
pub use standing::{Change, Standing, Terms};
