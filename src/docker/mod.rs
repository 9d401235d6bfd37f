//! The Docker engine: which one is meant, what it holds, and whether its packets pass here.
//!
//! bollard's types stay in this module; everything leaves it as [`crate::inventory`]. [`resolve_endpoint`] reads flags,
//! variables and contexts as the docker CLI does, [`Engine`] asks, [`locality`] judges.

mod api_version;
mod connection;
mod context;
mod dial_stdio;
mod endpoint;
mod engine;
mod error;
mod events;
mod glance;
mod globals;
mod host_address;
mod listener;
mod locality;
mod ports;
mod swarm;
mod translate;
mod wire;

pub use api_version::{ApiVersion, NEWEST_API, OLDEST_API};
pub use context::ContextError;
pub use endpoint::{EndpointError, EngineAddress, resolve_endpoint};
pub use engine::{ConnectOptions, Engine};
pub use error::EngineError;
pub use events::{Event, answers, follow};
pub use glance::{Glance, glance, service_names};
pub use globals::{Environment, GlobalFlags};
pub use host_address::HostError;
pub use locality::{NotHere, locality};
