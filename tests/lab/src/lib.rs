//! Real Docker engines in network namespaces, with clients around them.
//!
//! A [`Lab`] is one host with one engine on it and two neighbours, `friend` and `stranger`, on its external bridge:
//!
//! ```text
//!   friend 203.0.113.10 fd00:1::10 ──┐
//!                                    br-ext 203.0.113.1 fd00:1::1  host: dockerd, its bridges, its containers
//!   stranger 203.0.113.66 fd00:1::66 ┘
//! ```
//!
//! The host has its own Debian (an overlay on a cached root), processes, mounts and network; nothing of it is seen
//! outside, no packet leaves it, and any number of labs can be up at once. A lab goes with its [`Lab`] value, with the
//! process that made it however that ends, or with `lab down` when it was made to stay.
//!
//! `tests/engines.sh` makes the cached roots; everything here needs root.
#![forbid(unsafe_code)]

mod answer;
mod client;
mod command;
mod containers;
mod daemon;
pub mod demo;
mod engine;
mod errand;
mod error;
mod exec;
mod holder;
pub mod hunt;
mod image;
pub mod kill;
mod network;
pub mod packet;
mod plugin;
mod probe;
mod process;
mod session;
mod spec;
mod state;
mod swarm;
mod systemd;
pub mod truth;
mod wire;

pub use answer::Answer;
pub use client::Client;
pub use command::Output;
pub use containers::{Addresses, IMAGE};
pub use engine::{Engine, Flavour};
pub use errand::Errand;
pub use error::LabError;
pub use exec::Saves;
pub use holder::Lab;
pub use plugin::built_plugin;
pub use probe::{PATIENCE, Probe, Protocol, Say};
pub use session::Session;
pub use spec::LabSpec;
pub use state::{Known, known, sweep};
pub use swarm::{Node, Published};
pub use systemd::Booted;
pub use wire::Tap;
