//! The product itself, built for the lab.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::LabError;
use crate::command::run;

/// Builds the plugin of this workspace as cargo builds it for everyday work; where it is.
pub fn built_plugin() -> Result<PathBuf, LabError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let words = ["build", "--quiet", "--package", "docker-firewall", "--bin", "docker-firewall"];
    let messages = ["--message-format", "json-render-diagnostics"];
    let said =
        run(Command::new(cargo).args(words).args(messages).current_dir(workspace), "")?.require("cargo build")?;
    // Cargo knows where its target directory is; the last artifact is the binary.
    let path = said.lines().rev().find_map(|line| line.split_once(r#""executable":""#)?.1.split('"').next());
    path.map(PathBuf::from).ok_or(LabError::Unknown { what: "artifact", name: "docker-firewall".into(), known: "" })
}
