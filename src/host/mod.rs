//! Being written.

pub mod files;
pub mod lock;
pub mod paths;
