//! The services that systemd runs for us: the program's own copy, the unit files, and what systemd says of them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files::{self, FileError};
use super::tools::Tools;

/// Closes what is guarded before the engine starts.
pub const BOOT: &str = "docker-firewall-boot.service";

/// Follows the engine.
pub const AGENT: &str = "docker-firewall-agent.service";

/// The units by name, as they are installed.
pub const UNITS: [(&str, &str); 2] = [
    (BOOT, include_str!("../../install/systemd/docker-firewall-boot.service")),
    (AGENT, include_str!("../../install/systemd/docker-firewall-agent.service")),
];

/// Where the services' own copy of this program lies. The plugin may lie in somebody's home, which the services neither
/// see nor may trust.
pub const PROGRAM: &str = "/usr/local/libexec/docker-firewall";

/// This process's program, also when its file was replaced meanwhile.
const SELF: &str = "/proc/self/exe";

/// What went wrong.
#[derive(Debug, Error)]
pub enum SystemdError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// This program cannot be read.
    #[error("cannot read this program: {0}")]
    Program(io::Error),
    /// Others than root could exchange what root runs.
    #[error(
        "{} may be changed by others than root (owner {owner}, group {group}, mode {mode:o}), and root is to run a program in it",
        path.display()
    )]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// Its owner's ID.
        owner: u32,
        /// Its group's ID.
        group: u32,
        /// Its permissions.
        mode: u32,
    },
    /// `systemctl` is missing or failed.
    #[error("systemctl {command} failed: {reason}")]
    Systemctl {
        /// What was asked of it.
        command: String,
        /// What it said.
        reason: String,
    },
}

/// Whether systemd is what runs this system (`sd_booted(3)`).
pub fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The file of a unit.
pub fn unit_file(name: &str) -> PathBuf {
    Path::new("/etc/systemd/system").join(name)
}

/// Runs systemctl; what it printed.
pub fn systemctl(tools: &Tools, words: &[&str]) -> Result<String, SystemdError> {
    let failed = |reason: String| SystemdError::Systemctl { command: words.join(" "), reason };
    match tools.run("systemctl", words, "") {
        None => Err(failed("it is not installed".to_owned())),
        Some(Err(error)) => Err(failed(error.to_string())),
        Some(Ok(ran)) if ran.success => Ok(ran.stdout),
        Some(Ok(ran)) => Err(failed(ran.stderr.trim().to_owned())),
    }
}

/// One word that systemctl says of a unit (`is-enabled`, `is-active`), also when it counts as a failure.
pub fn word(tools: &Tools, verb: &str, unit: &str) -> String {
    let said = tools.run("systemctl", &[verb, unit], "").and_then(Result::ok).map(|ran| ran.stdout);
    let said = said.as_deref().map(str::trim).filter(|word| !word.is_empty());
    said.unwrap_or("unknown").to_owned()
}

/// What names one life of a service: another one after each start.
pub fn invocation(tools: &Tools, unit: &str) -> String {
    systemctl(tools, &["show", "--value", "--property", "InvocationID", unit]).unwrap_or_default().trim().to_owned()
}

/// How exposed a unit is, in systemd's own words; `None` where it does not say.
pub fn exposure(tools: &Tools, unit: &str) -> Option<String> {
    let ran = tools.run("systemd-analyze", &["security", "--no-pager", unit], "")?.ok()?;
    let (_, line) = ran.stdout.rsplit_once("Overall exposure level")?;
    Some(format!("Exposure level{}", line.lines().next()?.trim_end()))
}

/// Refuses a place for a program that others than root may write to, up to the root of the file system. Directories that
/// do not exist yet will be root's.
pub fn require_safe(program: &Path) -> Result<(), SystemdError> {
    for directory in program.ancestors().skip(1) {
        // Behind all links: that is where the program would be.
        let Ok(directory) = directory.canonicalize() else { continue };
        let unreadable = |source| FileError::Unreadable { path: directory.clone(), source };
        let metadata = fs::metadata(&directory).map_err(unreadable)?;
        let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        if owner != 0 || mode & 0o002 != 0 || (mode & 0o020 != 0 && group != 0) {
            return Err(SystemdError::Unsafe { path: directory, owner, group, mode });
        }
    }
    Ok(())
}

/// Whether the services' copy is this program.
pub fn is_current() -> bool {
    matches!((fs::read(SELF), fs::read(PROGRAM)), (Ok(own), Ok(copy)) if own == copy)
}

/// Whether the file of a unit is what this program would install.
pub fn is_unit_current(name: &str) -> bool {
    let own = UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, text)| text.as_bytes());
    own.is_some_and(|own| fs::read(unit_file(name)).is_ok_and(|there| there == own))
}

/// Copies this program to where the services run it. Answers whether it was another one, or none.
pub fn install_program() -> Result<bool, SystemdError> {
    let program = Path::new(PROGRAM);
    require_safe(program)?;
    let own = fs::read(SELF).map_err(SystemdError::Program)?;
    Ok(files::install(program, &own, 0o755)?)
}

/// Writes the unit files. Answers which were other ones, or none.
pub fn install_units() -> Result<Vec<PathBuf>, SystemdError> {
    let mut written = Vec::new();
    for (name, text) in UNITS {
        let path = unit_file(name);
        if files::install(&path, text.as_bytes(), 0o644)? {
            written.push(path);
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn programs_of_root_lie_where_only_root_writes() {
        // As root only: others own nothing that could be safe.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir_in("/var/lib").unwrap();
        let program = place.path().join("bin/program");
        require_safe(&program).unwrap();
        fs::create_dir(place.path().join("bin")).unwrap();
        for (mode, safe) in [(0o755, true), (0o775, true), (0o777, false), (0o1777, false)] {
            fs::set_permissions(place.path().join("bin"), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(require_safe(&program).is_ok(), safe, "{mode:o}");
        }
        fs::set_permissions(place.path().join("bin"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(place.path(), Some(1000), None).unwrap();
        assert!(matches!(require_safe(&program), Err(SystemdError::Unsafe { owner: 1000, .. })));
        assert!(require_safe(Path::new("/tmp/program")).is_err());
    }
}
