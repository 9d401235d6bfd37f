//! A lab's life: up, held, down.
//!
//! The holder is the first process of the lab's host (`holder.sh`); it outlives every dockerd, as live-restore needs.
//! The watcher waits for a pipe from this process to close, be it by `drop`, by Ctrl-C or by SIGKILL, and takes the lab
//! away then (`down.sh`). So there is one way down, and no signal handler.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::process::Process;
use crate::spec::LabSpec;
use crate::{LabError, daemon, image, network, state};

/// A host with an engine on it, and its neighbours. Goes when dropped, unless it was made to stay.
#[derive(Debug)]
pub struct Lab {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) spec: LabSpec,
    pub(crate) holder: Process,
    watcher: Option<Child>,
    /// The process around the holder, here only to be waited for.
    outer: Option<Child>,
}

impl Lab {
    /// Makes a lab: the hosts, the engine, the image [`crate::IMAGE`]. It goes with this value or with this process.
    pub fn up(spec: LabSpec) -> Result<Self, LabError> {
        Self::make(spec, false, true)
    }

    /// The same without an engine: the hosts and what is installed there. For tests that play the engine's part.
    pub fn without_engine(spec: LabSpec) -> Result<Self, LabError> {
        Self::make(spec, false, false)
    }

    /// Makes a lab that stays until somebody calls [`Lab::down`] or `lab down`.
    pub fn up_to_stay(spec: LabSpec) -> Result<Self, LabError> {
        Self::make(spec, true, true)
    }

    /// A lab that another process made. It does not go with this value.
    pub fn attach(name: &str) -> Result<Self, LabError> {
        let known = state::read(name)?;
        let holder = fs::read_to_string(known.dir.join("holder"))
            .ok()
            .and_then(|text| Process::parse(&text))
            .filter(|holder| holder.is_alive())
            .ok_or_else(|| LabError::NoLab(name.to_owned()))?;
        Ok(Self { name: known.name, dir: known.dir, spec: known.spec, holder, watcher: None, outer: None })
    }

    fn make(spec: LabSpec, kept: bool, engine: bool) -> Result<Self, LabError> {
        if !rustix::process::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        spec.check()?;
        let peer = image::peer()?;
        let name = unique(&spec.name);
        let dir = state::base().join(&name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&dir)
            .map_err(LabError::io(dir.display().to_string()))?;
        state::write(&dir, &spec, kept)?;
        // From here on the watcher clears up whatever follows, also when this function fails halfway.
        let watcher = Watcher(Some(watch(&dir)?));
        network::lay(&name)?;
        let (outer, holder) = hold(&name, &dir, &spec)?;
        let mut lab = Self { name, dir, spec, holder, watcher: None, outer: Some(outer) };
        image::install(&lab, &peer)?;
        if engine {
            daemon::start(&lab)?;
            image::import(&lab, &peer)?;
        }
        lab.watcher = watcher.release();
        if kept {
            lab.let_go();
        }
        Ok(lab)
    }

    /// Takes the lab away now, also one that was made to stay.
    pub fn down(mut self) -> Result<(), LabError> {
        let known = state::read(&self.name)?;
        if self.watcher.is_none() {
            return known.down();
        }
        self.end();
        Ok(())
    }

    /// Its full name: what the spec says, made unique.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory, which is found at the same path inside: a place to hand files over.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it is.
    pub fn spec(&self) -> &LabSpec {
        &self.spec
    }

    /// Where a path of the lab's host is seen from outside.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        Path::new("/proc")
            .join(self.holder.pid.to_string())
            .join("root")
            .join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// The number of the host's first process, as seen from outside.
    pub fn pid(&self) -> u32 {
        self.holder.pid
    }

    /// Closes the watcher's pipe and waits until the lab is gone.
    fn end(&mut self) {
        drop(Watcher(self.watcher.take()));
        if let Some(mut outer) = self.outer.take() {
            let _ = outer.wait();
        }
    }

    /// Ends the watcher without letting it act: the lab is to stay.
    fn let_go(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
        self.outer = None;
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.watcher.is_some() {
            self.end();
        }
    }
}

/// The watcher of a lab: once let fall, the lab is gone.
struct Watcher(Option<Child>);

impl Watcher {
    fn release(mut self) -> Option<Child> {
        self.0.take()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Names differ between processes by the process's number and within one by a counter.
fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    match COUNT.fetch_add(1, Ordering::Relaxed) {
        0 => format!("{prefix}-{pid}"),
        number => format!("{prefix}-{pid}-{number}"),
    }
}

fn watch(dir: &Path) -> Result<Child, LabError> {
    Command::new("bash")
        .args(["-c", state::DOWN, "down"])
        .arg(dir)
        .arg("wait")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: Ctrl-C in the terminal is for its owner, not for it.
        .process_group(0)
        .spawn()
        .map_err(LabError::io("bash"))
}

/// Starts the holder and waits until the lab's host stands.
fn hold(name: &str, dir: &Path, spec: &LabSpec) -> Result<(Child, Process), LabError> {
    let script = dir.join("holder.sh");
    fs::write(&script, include_str!("holder.sh")).map_err(LabError::io("holder.sh"))?;
    let log = fs::File::create(dir.join("holder.log")).map_err(LabError::io("holder.log"))?;
    let mut outer = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", Client::Host.namespace(name)))
        .args([
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "bash",
        ])
        .arg(&script)
        .arg(dir)
        .arg(spec.layers())
        .args([name, spec.flavour.name()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(LabError::io("nsenter"))?;
    let mut line = String::new();
    if let Some(stdout) = outer.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(LabError::io("the holder's first line"))?;
    }
    if let Some(holder) = line.trim().parse().ok().and_then(Process::of) {
        fs::write(dir.join("holder"), holder.to_string() + "\n").map_err(LabError::io("holder"))?;
        return Ok((outer, holder));
    }
    let _ = outer.kill();
    let _ = outer.wait();
    Err(LabError::NoHolder(fs::read_to_string(dir.join("holder.log")).unwrap_or_default()))
}
