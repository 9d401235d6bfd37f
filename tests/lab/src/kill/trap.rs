//! The tools' stand-ins: they count the plugin's calls and strike at one of them.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::command::{Output, PATH};
use crate::{Lab, LabError};

const WRAPPER: &str = include_str!("wrapper.sh");

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The plugin is killed and the tool does not run.
    Before,
    /// The tool runs, then the plugin is killed.
    After,
    /// The tool gets half of its lines, then the plugin is killed.
    Torn,
    /// The tool fails; the plugin lives and has to undo what it did.
    Fail,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Torn => "torn",
            Self::Fail => "fail",
        })
    }
}

/// The directory of the stand-ins, the same inside and outside.
#[derive(Debug)]
pub(crate) struct Trap<'a> {
    lab: &'a Lab,
    dir: PathBuf,
}

impl<'a> Trap<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Result<Self, LabError> {
        let dir = lab.dir().join("trap");
        let trap = Self { lab, dir };
        let bin = trap.dir.join("bin");
        fs::create_dir_all(&bin).map_err(LabError::io("trap"))?;
        let text = WRAPPER.replace("@DIR@", &trap.dir.display().to_string());
        for family in ["iptables", "ip6tables"] {
            for kind in ["", "-nft", "-legacy"] {
                for verb in ["save", "restore"] {
                    trap.stand_in(&bin.join(format!("{family}{kind}-{verb}")), &text)?;
                }
            }
        }
        trap.stand_in(&bin.join("ipset"), &text)?;
        Ok(trap)
    }

    fn stand_in(&self, path: &Path, text: &str) -> Result<(), LabError> {
        let what = || format!("{} of {}", path.display(), self.lab.name());
        fs::write(path, text).map_err(LabError::io(what()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(LabError::io(what()))
    }

    /// The calls are counted from here on, and something happens at one of them. Call 0 never comes.
    pub(crate) fn arm(&self, at: usize, how: How) -> Result<(), LabError> {
        for (file, text) in [
            ("count", "0\n".to_owned()),
            ("calls", String::new()),
            ("struck", String::new()),
            ("plan", format!("{at} {how}\n")),
        ] {
            fs::write(self.dir.join(file), text).map_err(LabError::io(file))?;
        }
        Ok(())
    }

    /// The `PATH` by which a program meets the stand-ins.
    pub(crate) fn path(&self) -> String {
        format!("{}:{PATH}", self.dir.join("bin").display())
    }

    /// The calls since it was armed, in order: number, tool, arguments.
    pub(crate) fn calls(&self) -> Result<Vec<String>, LabError> {
        Ok(self.read("calls")?.lines().map(str::to_owned).collect())
    }

    /// The call that was struck; empty when the plugin never made it.
    pub(crate) fn struck(&self) -> Result<String, LabError> {
        Ok(self.read("struck")?.trim().to_owned())
    }

    fn read(&self, file: &str) -> Result<String, LabError> {
        fs::read_to_string(self.dir.join(file)).map_err(LabError::io(file.to_owned()))
    }

    /// Types a command with the stand-ins in place and the trap armed.
    pub(crate) fn spring(&self, command: &str, at: usize, how: How) -> Result<Sprung, LabError> {
        self.arm(at, how)?;
        let mut words = vec!["docker", "firewall"];
        words.extend(command.split_whitespace());
        let output = self.lab.exec_with(&[("PATH", &self.path())], &words)?;
        Ok(Sprung { output, calls: self.calls()?, struck: self.struck()? })
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Sprung {
    pub(crate) output: Output,
    /// The calls, in order: number, tool, arguments.
    pub(crate) calls: Vec<String>,
    /// The call that was struck; empty when the plugin never made it.
    pub(crate) struck: String,
}

/// Whether a call changes the kernel.
pub(crate) fn writes(call: &str) -> bool {
    call.contains("restore")
}
