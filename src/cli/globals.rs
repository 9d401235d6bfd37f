//! Docker's own flags. Docker hands them over as they were typed, before the plugin's name, and translates nothing.

use std::path::PathBuf;

use clap::Command;

use super::failure::Failure;
use super::pflag::{self, Lexed};
use super::tree;
pub use crate::docker::GlobalFlags;

/// The flags as a clap command.
pub(super) fn command() -> Command {
    Command::new("docker").args([
        tree::value("config", None, "string", "Location of client config files"),
        tree::value("context", Some('c'), "string", "Name of the context to use to connect to the daemon"),
        tree::list("host", Some('H'), "list", "Daemon socket to connect to"),
        tree::switch("debug", Some('D'), "Enable debug mode"),
        tree::value("log-level", Some('l'), "string", "Set the logging level"),
        tree::switch("tls", None, "Use TLS; implied by --tlsverify"),
        tree::switch("tlsverify", None, "Use TLS and verify the remote"),
        tree::value("tlscacert", None, "string", "Trust certs signed only by this CA"),
        tree::value("tlscert", None, "string", "Path to TLS certificate file"),
        tree::value("tlskey", None, "string", "Path to TLS key file"),
    ])
}

/// Makes plain values of what [`pflag::lex`] found; `raw` are the words it came from.
pub(super) fn read(command: &Command, lexed: &Lexed, raw: Vec<String>) -> Result<GlobalFlags, Failure> {
    let matches = pflag::matches(command, lexed)?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let path = |name: &str| text(name).map(PathBuf::from);
    let flags = GlobalFlags {
        config: path("config"),
        context: text("context"),
        hosts: matches.get_many::<String>("host").unwrap_or_default().cloned().collect(),
        debug: matches.get_one::<bool>("debug").copied().unwrap_or_default(),
        log_level: text("log-level"),
        tls: matches.get_one::<bool>("tls").copied().unwrap_or_default(),
        tlsverify: matches.get_one::<bool>("tlsverify").copied(),
        tlscacert: path("tlscacert"),
        tlscert: path("tlscert"),
        tlskey: path("tlskey"),
        raw,
    };
    // Docker's client checks both before it runs a plugin; on our own we have to.
    if flags.context.is_some() && !flags.hosts.is_empty() {
        return Err(Failure::user("conflicting options: cannot specify both --host and --context"));
    }
    let levels = ["trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"];
    if let Some(level) = &flags.log_level
        && !levels.contains(&level.to_lowercase().as_str())
    {
        return Err(Failure::user(format!("unable to parse logging level: {level}")));
    }
    Ok(flags)
}
