//! What every command body gets.

use super::cancel::Cancel;
use super::environment::Env;
use super::globals::GlobalFlags;
use super::output::Output;

/// The world of one command: how it was called and where it may write.
pub struct Context {
    /// Docker's own flags, given before the plugin's name.
    pub globals: GlobalFlags,
    /// The environment at the start.
    pub env: Env,
    /// stdout and stderr.
    pub output: Output,
    /// Whether somebody asked to stop.
    pub cancel: Cancel,
    /// How people call this program, for hints: `docker firewall` or `docker-firewall`.
    pub program: String,
}
