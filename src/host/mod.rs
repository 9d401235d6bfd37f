//! The host: its kernel through the tools it has, its files and locks. Effects live here and in `docker/` only.

pub mod backstop;
pub mod files;
pub mod firewalls;
pub mod flavour;
pub mod headers;
pub mod interfaces;
pub mod kernel;
pub mod listeners;
pub mod lock;
pub mod membership;
pub mod namespace;
pub mod nft;
pub mod observe;
pub mod paths;
pub mod privileges;
pub mod proxies;
pub mod routes;
pub mod service;
pub mod signature;
pub mod systemd;
pub mod tools;
pub mod watch;
pub mod whole;
