//! The image that all containers are made of: a static busybox and a static peer.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::run;
use crate::containers::IMAGE;
use crate::engine::cache;
use crate::{Lab, LabError};

const SOURCE: &str = include_str!("bin/peer.rs");
const APPLETS: [&str; 12] = ["cat", "hostname", "ip", "kill", "ls", "nc", "ping", "ping6", "ps", "sh", "sleep", "wget"];

/// The compiled peer, made when its source has changed. It uses `std` alone, so `rustc` does, and the target's libc
/// can be linked statically without a word about it in any Cargo configuration.
pub(crate) fn peer() -> Result<PathBuf, LabError> {
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let dir = cache().join("peer");
    let binary = dir.join(format!("{:016x}", hasher.finish()));
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(&dir).map_err(LabError::io(dir.display().to_string()))?;
    // Two tests may find it missing at once: each compiles its own, and the rename settles it.
    let beside = dir.join(format!("building-{}-{:?}", std::process::id(), std::thread::current().id()));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let options = ["--edition", "2024", "--crate-name", "peer", "-C", "opt-level=2", "-C", "strip=symbols"];
    let statically = ["-C", "target-feature=+crt-static", "-o"];
    run(Command::new(rustc).args(options).args(statically).arg(&beside).arg("-"), SOURCE)?.require("compiling peer")?;
    fs::rename(&beside, &binary).map_err(LabError::io("peer"))?;
    Ok(binary)
}

/// Puts the peer on the host's own path.
pub(crate) fn install(lab: &Lab, peer: &Path) -> Result<(), LabError> {
    fs::copy(peer, lab.path("/usr/local/bin/peer")).map(drop).map_err(LabError::io("/usr/local/bin/peer"))
}

/// Makes the image in the lab's engine.
pub(crate) fn import(lab: &Lab, peer: &Path) -> Result<(), LabError> {
    let stage = lab.dir.join("image");
    let bin = stage.join("bin");
    let broken = |source| LabError::Io { what: "the image's files".to_owned(), source };
    fs::create_dir_all(&bin).map_err(broken)?;
    fs::create_dir_all(stage.join("tmp")).map_err(broken)?;
    fs::copy(lab.path("/usr/bin/busybox"), bin.join("busybox")).map_err(broken)?;
    fs::copy(peer, bin.join("peer")).map_err(broken)?;
    for applet in APPLETS {
        symlink("busybox", bin.join(applet)).map_err(broken)?;
    }
    let script = r#"set -o pipefail; tar -C "$1" -c . | docker import --change 'ENTRYPOINT ["/bin/peer"]' \
        --change 'CMD ["serve"]' - "$2""#;
    let stage = stage.display().to_string();
    lab.exec(&["bash", "-c", script, "import", &stage, IMAGE])?.require("docker import").map(drop)
}
