//! Where our files are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::policy::SetName;

/// The three directories. Each can be moved by an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The policy and the sets: what people edit.
    pub config_dir: PathBuf,
    /// What was applied last.
    pub state_dir: PathBuf,
    /// Lock and agent socket; gone after a reboot.
    pub run_dir: PathBuf,
}

impl Paths {
    /// The directories that the environment names, or the usual ones. An empty variable counts as none.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let directory = |variable: &str, usual: &str| {
            lookup(variable).filter(|value| !value.is_empty()).map_or_else(|| PathBuf::from(usual), PathBuf::from)
        };
        Self {
            config_dir: directory("DOCKER_FIREWALL_CONFIG_DIR", "/etc/docker-firewall"),
            state_dir: directory("DOCKER_FIREWALL_STATE_DIR", "/var/lib/docker-firewall"),
            run_dir: directory("DOCKER_FIREWALL_RUN_DIR", "/run/docker-firewall"),
        }
    }

    /// All three below one directory, as tests want them.
    pub fn below(root: &Path) -> Self {
        Self { config_dir: root.join("etc"), state_dir: root.join("lib"), run_dir: root.join("run") }
    }

    /// The policy.
    pub fn policy_file(&self) -> PathBuf {
        self.config_dir.join("policy.toml")
    }

    /// The directory of the set files.
    pub fn sets_dir(&self) -> PathBuf {
        self.config_dir.join("sets")
    }

    /// The file of one set.
    pub fn set_file(&self, name: &SetName) -> PathBuf {
        // A set's name has no slash and does not begin with a dot, so it cannot lead out of the directory.
        self.sets_dir().join(format!("{name}.conf"))
    }

    /// The rules and sets that were in force last.
    pub fn last_good(&self) -> PathBuf {
        self.state_dir.join("last-good")
    }

    /// [`Paths::last_good`] as the place of a policy and sets, to be read like the real ones.
    #[must_use]
    pub fn last_good_paths(&self) -> Self {
        Self { config_dir: self.last_good(), ..self.clone() }
    }

    /// Where the sets lie that a change is about to put into the kernel, as the place of sets to be read like the real
    /// ones. What lies there when nobody is changing anything is from one that was killed.
    #[must_use]
    pub fn pending_paths(&self) -> Self {
        Self { config_dir: self.state_dir.join("pending"), ..self.clone() }
    }

    /// What a boot needs to know before there is an engine to ask.
    pub fn boot_file(&self) -> PathBuf {
        self.state_dir.join("boot")
    }

    /// The one before it, for when it is damaged.
    pub fn boot_previous_file(&self) -> PathBuf {
        self.state_dir.join("boot.previous")
    }

    /// The attempts that were dropped, as far as they are written down.
    pub fn attempts_file(&self) -> PathBuf {
        self.state_dir.join("attempts.json")
    }

    /// Those before them.
    pub fn attempts_before_file(&self) -> PathBuf {
        self.state_dir.join("attempts.json.1")
    }

    /// The lock that the one agent holds for as long as it runs.
    pub fn agent_file(&self) -> PathBuf {
        self.run_dir.join("agent")
    }

    /// What the agent tells of itself while it runs.
    pub fn agent_record_file(&self) -> PathBuf {
        self.run_dir.join("agent.json")
    }

    /// Where the agent answers those who ask for its figures.
    pub fn agent_socket(&self) -> PathBuf {
        self.run_dir.join("agent.sock")
    }

    /// The lock that the agent holds for as long as its third line is up.
    pub fn third_line_file(&self) -> PathBuf {
        self.run_dir.join("third-line")
    }

    /// Says that an agent is installed as a service: it runs, or will after the next boot.
    pub fn agent_installed_file(&self) -> PathBuf {
        self.state_dir.join("agent")
    }

    /// The lock that whoever changes files or kernel holds.
    pub fn lock_file(&self) -> PathBuf {
        self.run_dir.join("lock")
    }

    /// Which containers' network namespaces hold rules of ours; gone after a reboot, as they are.
    pub fn sandboxes_file(&self) -> PathBuf {
        self.run_dir.join("sandboxes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_moves_each_directory() {
        let usual = Paths::from_env(|_| None);
        assert_eq!(usual.policy_file(), Path::new("/etc/docker-firewall/policy.toml"));
        assert_eq!(usual.last_good(), Path::new("/var/lib/docker-firewall/last-good"));
        assert_eq!(usual.lock_file(), Path::new("/run/docker-firewall/lock"));
        let moved = Paths::from_env(|variable| match variable {
            "DOCKER_FIREWALL_CONFIG_DIR" => Some("/x".into()),
            "DOCKER_FIREWALL_RUN_DIR" => Some(OsString::new()),
            _ => None,
        });
        assert_eq!(moved.set_file(&"ipfriends".parse().unwrap()), Path::new("/x/sets/ipfriends.conf"));
        assert_eq!((moved.run_dir, moved.state_dir), (usual.run_dir, usual.state_dir));
    }
}
