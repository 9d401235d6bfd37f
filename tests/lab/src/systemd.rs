//! A host that boots: systemd as the first process, with the engine's own unit and whatever else is installed. Only the
//! root of the newest engine has it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{Output, run};
use crate::{Lab, LabError};

/// How long systemd may take until it answers.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A running systemd. Falls when dropped.
#[derive(Debug)]
pub struct Booted<'a> {
    lab: &'a Lab,
    outer: Child,
    /// Its number as the lab's host sees it.
    pid: String,
}

impl Lab {
    /// Boots systemd on the host, whose engine must be stopped. Answers as soon as it can be asked, while units start.
    pub fn boot(&self) -> Result<Booted<'_>, LabError> {
        let script = self.dir.join("systemd.sh");
        fs::write(&script, include_str!("systemd.sh")).map_err(LabError::io("systemd.sh"))?;
        let known = self.dir.join("systemd");
        let _ = fs::remove_file(&known);
        let log = fs::File::create(self.dir.join("systemd.log")).map_err(LabError::io("systemd.log"))?;
        let words = ["sh", &script.display().to_string(), &self.dir.display().to_string()];
        let outer = self
            .command(&words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(LabError::io("systemd"))?;
        let mut booted = Booted { lab: self, outer, pid: String::new() };
        let end = Instant::now() + START;
        loop {
            fs::read_to_string(&known).unwrap_or_default().trim().clone_into(&mut booted.pid);
            if !booted.pid.is_empty() && booted.exec(&["systemctl", "list-jobs"])?.success() {
                return Ok(booted);
            }
            if Instant::now() > end {
                return Err(LabError::NoHolder(fs::read_to_string(self.dir.join("systemd.log")).unwrap_or_default()));
            }
            thread::sleep(POLL);
        }
    }
}

impl Booted<'_> {
    /// A command there.
    pub fn command(&self, words: &[&str]) -> Command {
        let enter = ["nsenter", "--target", &self.pid, "--mount", "--pid", "--cgroup", "--"];
        self.lab.command(&[&enter, words].concat())
    }

    /// Runs a command there to its end.
    pub fn exec(&self, words: &[&str]) -> Result<Output, LabError> {
        run(&mut self.command(words), "")
    }

    /// Runs a line of shell there that has to succeed; its stdout.
    pub fn shell(&self, script: &str) -> Result<String, LabError> {
        self.exec(&["sh", "-c", script])?.require(script)
    }

    /// Cuts the power: everything ends at once, and what the kernel held of rules, sets and bridges is to be lost by who
    /// calls.
    pub fn cut(mut self) -> Result<(), LabError> {
        self.fall();
        Ok(())
    }

    fn fall(&mut self) {
        if !self.pid.is_empty() {
            // The first process of a process namespace takes all others with it.
            let _ = self.lab.exec(&["kill", "-9", &self.pid]);
        }
        let _ = self.outer.wait();
    }
}

impl Drop for Booted<'_> {
    fn drop(&mut self) {
        self.fall();
    }
}
