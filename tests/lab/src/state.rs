//! What is written down about a lab, so that other processes can find it, use it and take it away.
//!
//! Each lab has a directory below [`base`]; in it `state` (this module's), `holder` (the first process) and the logs.
//! `state` is written before anything else is made, so that whatever is ever left behind can be found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::LabError;
use crate::process::Process;
use crate::spec::LabSpec;

pub(crate) const DOWN: &str = include_str!("down.sh");

/// A lab of this machine, up or left behind.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its full name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    /// What it is.
    pub spec: LabSpec,
    /// Whether it stays when its owner ends.
    pub kept: bool,
    owner: Option<Process>,
}

impl Known {
    /// Whether somebody still wants it: it was made to stay, or its owner lives.
    pub fn is_wanted(&self) -> bool {
        self.kept || self.owner.is_some_and(Process::is_alive)
    }

    /// Takes it away: processes, namespaces, files.
    pub fn down(&self) -> Result<(), LabError> {
        let status = Command::new("bash")
            .args(["-c", DOWN, "down"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .status()
            .map_err(LabError::io("down.sh"))?;
        if status.success() && !self.dir.exists() { Ok(()) } else { Err(LabError::NoLab(self.name.clone())) }
    }
}

/// Where the labs' directories are. On disk, because images and logs go there.
pub(crate) fn base() -> PathBuf {
    std::env::var_os("DOCKER_FIREWALL_LAB_DIR")
        .map_or_else(|| PathBuf::from("/var/tmp/docker-firewall-lab"), PathBuf::from)
}

/// Writes down a lab that is about to be made by this process.
pub(crate) fn write(dir: &Path, spec: &LabSpec, kept: bool) -> Result<(), LabError> {
    let owner = Process::of(std::process::id()).map(|owner| owner.to_string()).unwrap_or_default();
    let args: String = spec.dockerd_args.iter().flat_map(|argument| ["arg=", argument, "\n"]).collect();
    let text = format!(
        "engine={}\nflavour={}\nipv6={}\ntools={}\nkept={kept}\nowner={owner}\nprefix={}\n{args}",
        spec.engine, spec.flavour, spec.ipv6, spec.tools, spec.name
    );
    fs::write(dir.join("state"), text).map_err(LabError::io("state"))
}

pub(crate) fn read(name: &str) -> Result<Known, LabError> {
    let dir = base().join(name);
    let text = fs::read_to_string(dir.join("state")).map_err(|_| LabError::NoLab(name.to_owned()))?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let spec = LabSpec {
        engine: value("engine").parse()?,
        flavour: value("flavour").parse()?,
        dockerd_args: text.lines().filter_map(|line| line.strip_prefix("arg=")).map(str::to_owned).collect(),
        ipv6: value("ipv6") == "true",
        tools: value("tools") == "true",
        name: value("prefix").to_owned(),
    };
    let (kept, owner) = (value("kept") == "true", Process::parse(value("owner")));
    Ok(Known { name: name.to_owned(), dir, spec, kept, owner })
}

/// Every lab of this machine, by name.
pub fn known() -> Vec<Known> {
    let entries = fs::read_dir(base()).into_iter().flatten().flatten();
    let mut labs: Vec<Known> =
        entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| read(name).ok())).collect();
    labs.sort_by(|one, other| one.name.cmp(&other.name));
    labs
}

/// Takes away the labs that nobody wants any more; says which. A lab's own watcher does this; it may have been killed.
pub fn sweep() -> Result<Vec<String>, LabError> {
    let mut swept = Vec::new();
    for lab in known().into_iter().filter(|lab| !lab.is_wanted()) {
        lab.down()?;
        swept.push(lab.name);
    }
    Ok(swept)
}
