//! The bodies of the commands on sets.

pub mod add;
pub mod create;
pub mod del;
pub mod export;
pub mod import;
pub mod inspect;
pub mod ls;
pub mod rm;
pub mod test;
