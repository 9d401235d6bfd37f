//! The files alone, for commands that only read them.

use super::complaint;
use super::context::Context;
use super::failure::Failure;
use crate::host::paths::Paths;
use crate::reconcile::Config;

/// Where our files are, as the environment says.
pub(super) fn paths(ctx: &Context) -> Paths {
    Paths::from_env(|name| ctx.env.get(name).map(std::ffi::OsStr::to_owned))
}

/// Policy and sets.
pub(super) fn config(ctx: &Context) -> Result<Config, Failure> {
    Config::load(&paths(ctx)).map_err(|error| complaint::config(&error))
}
