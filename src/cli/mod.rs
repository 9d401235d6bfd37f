//! The command line: Docker's plugin protocol, arguments, help, output and exit codes.
//!
//! Everything that faces a person or Docker's client is here, and nothing that decides. `tree` describes the commands
//! with clap, `pflag` reads words the way Docker's Go commands do, `args` turns them into plain values, `run` dispatches
//! to `commands`, whose bodies get a [`context::Context`] and return an [`failure::Exit`] or a [`failure::Failure`].

use std::env;
use std::ffi::OsStr;
use std::process::ExitCode;

pub use crate::text;

mod agent;
pub mod args;
pub mod argv;
pub mod cancel;
pub mod commands;
mod complaint;
mod complete;
pub mod context;
pub mod duration;
mod engine;
pub mod environment;
pub mod failure;
mod figures;
pub mod format;
pub mod globals;
mod help;
mod hook;
mod listening;
mod listing;
pub mod metadata;
mod offline;
pub mod output;
mod parse;
mod pflag;
pub mod prompt;
pub mod reference;
mod report;
pub mod run;
mod session;
mod soundness;
mod survey;
pub mod table;
mod tree;
mod values;
mod world;

/// The process's entry point.
pub fn main() -> ExitCode {
    // Docker asks every plugin for its metadata at each `docker --help`, `docker info` and press of TAB, so this answer
    // comes before anything else is built.
    if env::args_os().nth(1).as_deref() == Some(OsStr::new(metadata::SUBCOMMAND)) {
        return metadata::answer();
    }
    run::main(&env::args_os().collect::<Vec<_>>(), environment::Env::of_process())
}
