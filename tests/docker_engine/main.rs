//! The engine as it is spoken to: recorded answers, hostile ones, and the way through the docker CLI.
#![allow(clippy::unwrap_used, clippy::panic)]

mod canned;
mod dial_stdio;
mod fake;
mod hostile;
mod made_up;
mod recorded;
mod swarm;
