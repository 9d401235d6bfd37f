//! The bodies of the commands, a file each.

// A body owns its arguments, whatever it does with them.
#![allow(clippy::needless_pass_by_value)]

pub mod allow;
pub mod apply;
pub mod completion;
pub mod default;
pub mod doctor;
pub mod explain;
pub mod graph;
pub mod log;
pub mod ls;
pub mod metrics;
pub mod plan;
pub mod reset;
pub mod restore;
pub mod rm;
pub mod rules;
pub mod service;
pub mod set;
pub mod status;
pub mod top;
pub mod version;
