//! What decides which engine is meant: the docker CLI's global flags and the environment, as plain data.
//!
//! `cli/` fills [`GlobalFlags`]; the main function makes one [`Environment`]. Nothing below reads the process's own.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The docker CLI's global flags, which a plugin finds before its own name and must read itself
/// (docker/cli `cli/flags/options.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalFlags {
    /// `--config`: the directory of `config.json` and of the contexts.
    pub config: Option<PathBuf>,
    /// `-c`, `--context`.
    pub context: Option<String>,
    /// `-H`, `--host`, each time it was given.
    pub hosts: Vec<String>,
    /// `-D`, `--debug`.
    pub debug: bool,
    /// `-l`, `--log-level`.
    pub log_level: Option<String>,
    /// `--tls`.
    pub tls: bool,
    /// `--tlsverify`; given at all, even as `=false`, it switches TLS on.
    pub tlsverify: Option<bool>,
    /// `--tlscacert`.
    pub tlscacert: Option<PathBuf>,
    /// `--tlscert`.
    pub tlscert: Option<PathBuf>,
    /// `--tlskey`.
    pub tlskey: Option<PathBuf>,
    /// The same flags verbatim and in order, for the `docker` that is started as a go-between.
    pub raw: Vec<String>,
}

/// The variables that matter here.
const NAMES: [&str; 9] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_API_VERSION",
    "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND",
    "HOME",
];

/// The environment variables that matter, and the name this program was called by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    own_command: Option<String>,
}

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        let mut variables: BTreeMap<String, String> =
            NAMES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
        // A systemd unit has no HOME; docker then asks the user database, and so does this.
        if !variables.contains_key("HOME")
            && let Some(home) = std::env::home_dir()
        {
            variables.insert("HOME".to_owned(), home.to_string_lossy().into_owned());
        }
        let own_command = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
        Self { variables, own_command }
    }

    /// The same with one variable more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same, called as `command`.
    #[must_use]
    pub fn called_as(mut self, command: &str) -> Self {
        self.own_command = Some(command.to_owned());
        self
    }

    /// The variable, unless it is unset or empty: docker makes no difference between the two.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The configuration directory: `--config`, `DOCKER_CONFIG`, `~/.docker`.
    pub(super) fn config_dir(&self, flags: &GlobalFlags) -> Option<PathBuf> {
        flags
            .config
            .clone()
            .or_else(|| self.get("DOCKER_CONFIG").map(PathBuf::from))
            .or_else(|| self.get("HOME").map(|home| PathBuf::from(home).join(".docker")))
    }

    /// The docker CLI to start: the one that started this plugin, else whichever `PATH` has.
    pub(super) fn docker_command(&self) -> String {
        // While completing, docker names the plugin itself in this variable (docker/cli cli/cobra.go swaps os.Args):
        // starting that would start this program again and again.
        self.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND")
            .filter(|command| self.own_command.as_deref() != Some(*command))
            .unwrap_or("docker")
            .to_owned()
    }

    /// Whether TLS is asked for (docker/cli `cli/flags/options.go`).
    pub(super) fn wants_tls(&self, flags: &GlobalFlags) -> bool {
        flags.tls
            || flags.tlsverify.is_some()
            || self.get("DOCKER_TLS").is_some()
            || self.get("DOCKER_TLS_VERIFY").is_some()
    }
}
