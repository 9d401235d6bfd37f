//! The truth table: who reaches what, expected beside observed, by real connections on a real engine.
//!
//! Expected is what Docker itself opens (the baseline, observed before anything is typed) and the policy's model lets
//! pass. So a cell that Docker keeps closed must stay closed whatever the rules say.

mod baseline;
mod cell;
mod explained;
mod figures;
mod foreign;
mod listed;
mod live;
mod look;
mod model;
mod run;
mod scenes;
mod script;
mod target;
mod variant;
mod world;

pub use explained::Explained;
pub use figures::Figures;
pub use run::{Report, run};
pub use variant::Variant;
