//! Commands run on the lab's host, and what its kernel holds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::client::Client;
use crate::command::{Output, PATH, run};
use crate::{Lab, LabError};

/// What the host's kernel holds, as its own tools print it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saves {
    /// `iptables-save`.
    pub v4: String,
    /// `ip6tables-save`.
    pub v6: String,
    /// `ipset save`.
    pub ipset: String,
}

impl Lab {
    /// A command on the lab's host, ready to be run, spawned or given an environment. Of the caller's environment it
    /// has nothing but the terminal's name.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid().to_string()])
            .args(["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--"])
            .args(words)
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/root"), ("LANG", "C.UTF-8")])
            .envs(std::env::var_os("TERM").map(|term| ("TERM", term)));
        command
    }

    /// A command of a client's network namespace, with the files and processes of the lab's host.
    pub fn command_as(&self, client: Client, words: &[&str]) -> Command {
        let net = format!("--net=/run/netns/{}", client.namespace(&self.name));
        let mut command = Command::new("nsenter");
        command
            .args([&net, "nsenter", "--target", &self.pid().to_string()])
            .args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--"])
            .args(words)
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/root"), ("LANG", "C.UTF-8")]);
        command
    }

    /// Runs a command on the lab's host to its end.
    pub fn exec(&self, words: &[&str]) -> Result<Output, LabError> {
        run(&mut self.command(words), "")
    }

    /// The same with more in its environment.
    pub fn exec_with(&self, environment: &[(&str, &str)], words: &[&str]) -> Result<Output, LabError> {
        run(self.command(words).envs(environment.iter().copied()), "")
    }

    /// The same with text on its stdin.
    pub fn feed(&self, input: &str, words: &[&str]) -> Result<Output, LabError> {
        run(&mut self.command(words), input)
    }

    /// Runs a command in a client's network namespace.
    pub fn exec_as(&self, client: Client, words: &[&str]) -> Result<Output, LabError> {
        run(&mut self.command_as(client, words), "")
    }

    /// Runs `docker` with these words.
    pub fn docker(&self, words: &[&str]) -> Result<Output, LabError> {
        let mut all = vec!["docker"];
        all.extend(words);
        self.exec(&all)
    }

    /// Installs a binary as the plugin `docker firewall` and as the command `docker-firewall`.
    pub fn install_plugin(&self, binary: &Path) -> Result<(), LabError> {
        for inside in ["/root/.docker/cli-plugins/docker-firewall", "/usr/local/bin/docker-firewall"] {
            let target = self.path(inside);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(LabError::io(inside))?;
            }
            // Renamed into place: an agent may be running from the old file.
            let beside = target.with_extension("new");
            fs::copy(binary, &beside).map_err(LabError::io(binary.display().to_string()))?;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).map_err(LabError::io(inside))?;
            fs::rename(&beside, &target).map_err(LabError::io(inside))?;
        }
        Ok(())
    }

    /// What the host's kernel holds, by the tools of the lab's flavour.
    pub fn save(&self) -> Result<Saves, LabError> {
        let text = |words: &[&str]| self.exec(words)?.require(words[0]);
        Ok(Saves { v4: text(&["iptables-save"])?, v6: text(&["ip6tables-save"])?, ipset: text(&["ipset", "save"])? })
    }
}
