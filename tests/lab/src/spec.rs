//! What a lab shall be.

use std::ffi::OsString;

use crate::LabError;
use crate::engine::{Engine, Flavour};

/// What a lab shall be: the engine, its flavour of iptables, its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabSpec {
    /// The engine to run.
    pub engine: Engine,
    /// The kernel interface that `iptables` stands for on the host.
    pub flavour: Flavour,
    /// More arguments for dockerd, behind the lab's own.
    pub dockerd_args: Vec<String>,
    /// Whether containers get IPv6 addresses and ip6tables rules. On unless said otherwise.
    pub ipv6: bool,
    /// Whether ufw, firewalld and netfilter-persistent are installed on the host (`tests/engines.sh --tools`).
    pub tools: bool,
    /// The beginning of the lab's name; the rest makes it unique.
    pub name: String,
}

impl LabSpec {
    /// A lab with IPv6, iptables-nft and no arguments of its own.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            flavour: Flavour::default(),
            dockerd_args: Vec::new(),
            ipv6: true,
            tools: false,
            name: "lab".to_owned(),
        }
    }

    /// With other programs that write rules installed.
    #[must_use]
    pub fn with_tools(mut self) -> Self {
        self.tools = true;
        self
    }

    /// What the host's file system stands on: directories as overlayfs wants them, the uppermost first.
    pub(crate) fn layers(&self) -> OsString {
        let mut layers = OsString::new();
        if self.tools {
            layers.push(self.engine.tools());
            layers.push(":");
        }
        layers.push(self.engine.root());
        layers
    }

    /// With the other flavour of iptables.
    #[must_use]
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// With more arguments for dockerd.
    #[must_use]
    pub fn dockerd_args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.dockerd_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// As engines before 27 are out of the box: IPv6 on the wire, none in the containers.
    #[must_use]
    pub fn without_ipv6(mut self) -> Self {
        self.ipv6 = false;
        self
    }

    /// With a name that tells which test made it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// All of dockerd's arguments.
    pub fn all_args(&self) -> Vec<String> {
        let mut args = if self.ipv6 { self.engine.ipv6_args() } else { Vec::new() };
        args.extend(self.dockerd_args.iter().cloned());
        args
    }

    pub(crate) fn check(&self) -> Result<(), LabError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if self.name.is_empty() || self.name.len() > 20 || !self.name.chars().all(fits) {
            return Err(LabError::BadName(self.name.clone()));
        }
        let root = self.engine.root();
        if !root.join("etc/lab-recipe").is_file() {
            return Err(LabError::NoRoot { engine: self.engine.name(), path: root });
        }
        let tools = self.engine.tools();
        if self.tools && !tools.join("etc/lab-tools").is_file() {
            return Err(LabError::NoTools { engine: self.engine.name(), path: tools });
        }
        Ok(())
    }
}
