//! The engine's process: started, stopped, killed, all inside one holder.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Lab, LabError};

/// How long a dockerd may take to answer. Two starting at once on a small machine need a few seconds.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Runs in the host: the cgroup is the host's, so that no container is started in the caller's; the parent is the
/// holder, so that the engine outlives the call.
const LAUNCH: &str = r#"
log=$1; shift
echo 0 > /sys/fs/cgroup/init/cgroup.procs
setsid dockerd "$@" >> "$log" 2>&1 < /dev/null &
echo $!"#;

/// Sends a signal and waits for the end; silent about an engine that is not there.
const END: &str = r#"
pid=$(cat /run/docker.pid 2> /dev/null) || exit 0
kill -"$1" "$pid" 2> /dev/null || exit 0
while [ -d "/proc/$pid" ]; do sleep 0.01; done"#;

impl Lab {
    /// Starts the engine with the arguments of the spec and waits until it answers.
    pub fn start_engine(&self) -> Result<(), LabError> {
        start(self)
    }

    /// Starts the engine without waiting for it: for tests that watch what happens meanwhile.
    pub fn launch_engine(&self) -> Result<(), LabError> {
        launch(self).map(drop)
    }

    /// Stops the engine as systemd does, and waits for its end.
    pub fn stop_engine(&self) -> Result<(), LabError> {
        self.exec(&["sh", "-c", END, "end", "TERM"])?.require("stopping dockerd").map(drop)
    }

    /// Kills the engine as the kernel does when memory runs out. Its containers stay.
    pub fn kill_engine(&self) -> Result<(), LabError> {
        self.exec(&["sh", "-c", END, "end", "KILL"])?.require("killing dockerd").map(drop)
    }

    /// Replaces the arguments that the spec gave; in force from the next start.
    pub fn set_dockerd_args<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, args: I) {
        self.spec.dockerd_args = args.into_iter().map(Into::into).collect();
    }

    /// Whether the engine answers.
    pub fn engine_answers(&self) -> bool {
        ping(self).is_some()
    }

    /// The engine's socket, to be used from outside.
    pub fn socket(&self) -> PathBuf {
        self.path("/run/docker.sock")
    }

    /// All that the engine logged so far.
    pub fn engine_log(&self) -> String {
        fs::read_to_string(self.dir.join("engine.log")).unwrap_or_default()
    }
}

pub(crate) fn start(lab: &Lab) -> Result<(), LabError> {
    let before = lab.engine_log().lines().count();
    let pid = launch(lab)?;
    let process = lab.path(format!("/proc/{pid}"));
    let end = Instant::now() + START;
    while ping(lab).is_none() {
        if Instant::now() > end || !process.exists() {
            let log = lab.engine_log();
            return Err(LabError::NoEngine(excerpt(&log.lines().skip(before).collect::<Vec<_>>())));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// What tells why dockerd ended: its last lines, or its first where it goes on to print its usage.
fn excerpt(lines: &[&str]) -> String {
    let (first, last) = lines.split_at(lines.len().min(5));
    let last = &last[last.len().saturating_sub(10)..];
    [first, last].concat().join("\n")
}

fn launch(lab: &Lab) -> Result<String, LabError> {
    let log = lab.dir.join("engine.log").display().to_string();
    let args = lab.spec.all_args();
    let mut words = vec!["sh", "-c", LAUNCH, "launch", &log];
    words.extend(args.iter().map(String::as_str));
    lab.exec(&words)?.require("starting dockerd")
}

fn ping(lab: &Lab) -> Option<()> {
    let mut socket = UnixStream::connect(lab.socket()).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    socket.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").ok()?;
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).ok()?;
    answer.ends_with(b" 200").then_some(())
}
