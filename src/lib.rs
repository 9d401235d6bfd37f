//! docker-firewall: decides who may reach which container.
//!
//! The core (`net`, `policy`, `inventory`, `ruleset`, `resolve`, `oracle`, `compile`, `plan`, `tally`, `metrics`, `page`,
//! `graph`, `attempt`) is pure: total functions over plain data. Effects live at the rim (`docker`, `host`, `cli`). Imports go downward only;
//! `tests/layers.rs` holds that. ARCHITECTURE.md has the map.

pub mod access;
pub mod attempt;
pub mod cli;
pub mod compile;
pub mod docker;
pub mod doctor;
pub mod effective;
pub mod graph;
pub mod host;
pub mod inventory;
pub mod lint;
pub mod metrics;
pub mod net;
pub mod oracle;
pub mod page;
pub mod plan;
pub mod policy;
pub mod reconcile;
pub mod resolve;
pub mod ruleset;
pub mod tally;
pub mod template;
pub mod text;
