//! The truth table: who reaches what, expected beside observed, by real connections on a real engine.
//!
//! Expected is what Docker itself opens (the baseline, observed before anything is typed) and the policy's model lets
//! pass. So a cell that Docker keeps closed must stay closed whatever the rules say.

mod cell;
mod foreign;
mod live;
mod model;
mod run;
mod script;
mod world;

pub use run::{Report, run};
