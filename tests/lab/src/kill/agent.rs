//! The agent killed at its work: in its first pass, mending what somebody flushed, following a container.
//!
//! It is started again each time, and has to come to the same end as if nobody had killed it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::run::{Run, difference};
use super::trap::{How, writes};
use crate::LabError;

/// How long the agent may take for anything: more than a tick.
const LIMIT: Duration = Duration::from_secs(20);
/// How long it makes no call before it counts as idle.
const QUIET: Duration = Duration::from_millis(300);
const LOG: &str = "/tmp/agent.log";
const SECOND: &str = "taker";

/// What the agent is killed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// The policy was edited while no agent ran.
    FirstPass,
    /// Somebody took our jump away; the backstop is left.
    Flushed,
    /// A container comes back with another address, and somebody else has got the old one.
    Moved,
}

impl Scene {
    fn name(self) -> &'static str {
        match self {
            Self::FirstPass => "agent, first pass",
            Self::Flushed => "agent, flushed chain",
            Self::Moved => "agent, moved container",
        }
    }
}

/// All of them, with the closing of unseen addresses that an installed agent brings.
pub(super) fn scenes(run: &mut Run<'_>, tell: &mut dyn FnMut(&str)) -> Result<(), LabError> {
    run.hammer.during("installing the agent".to_owned());
    run.shell("touch /var/lib/docker-firewall/agent; docker firewall apply")?;
    run.keep()?;
    for scene in [Scene::FirstPass, Scene::Flushed, Scene::Moved] {
        let line = run.scene(scene)?;
        tell(&line);
    }
    Ok(())
}

impl Run<'_> {
    fn scene(&mut self, scene: Scene) -> Result<String, LabError> {
        self.hammer.during(format!("{}, not struck", scene.name()));
        let old = self.state()?;
        let agent = self.play(scene, 0, How::Before)?;
        self.settle(scene)?;
        let calls = self.trap.calls()?;
        let new = self.state()?;
        self.finish(scene, &agent)?;
        let last = calls.iter().rposition(|call| writes(call)).map_or(0, |index| index + 1);
        let (runs, wrong) = (self.report.runs, self.report.wrong.len());
        if last == 0 {
            self.report.wrong.push(format!("{}: nothing was written", scene.name()));
        }
        let mut written = 0_usize;
        for (index, call) in calls.iter().enumerate().take(last + 1) {
            written += usize::from(writes(call));
            let long = self.long;
            // Containers take seconds to move.
            let every = long || scene != Scene::Moved || written.is_multiple_of(4);
            let hows = [How::Before, How::After, How::Torn, How::Fail].into_iter().filter(|how| match how {
                How::Before => long && scene != Scene::Moved || writes(call) && every,
                How::After => writes(call) && every,
                // The kernel takes tables whole; sets it takes line by line.
                How::Torn => writes(call) && call.contains("ipset") && (long || scene != Scene::Moved),
                How::Fail => long && writes(call) && scene != Scene::Moved,
            });
            let hows: Vec<How> = hows.collect();
            self.report.points += usize::from(!hows.is_empty());
            for how in &hows {
                self.back_to(&old, scene != Scene::Moved)?;
                self.strike_agent(scene, index + 1, *how, &new)?;
            }
        }
        self.back_to(&old, scene != Scene::Moved)?;
        let (runs, wrong) = (self.report.runs - runs, self.report.wrong.len() - wrong);
        Ok(format!("{}: {} calls; {runs} runs, {wrong} wrong", scene.name(), calls.len()))
    }

    fn strike_agent(&mut self, scene: Scene, at: usize, how: How, new: &str) -> Result<(), LabError> {
        let during = format!("{}, {how} call {at}", scene.name());
        self.hammer.during(during.clone());
        let mut agent = self.play(scene, at, how)?;
        self.report.runs += 1;
        let mut in_force = false;
        let begun = Instant::now();
        while self.trap.struck()?.is_empty() && begun.elapsed() < Duration::from_secs(3) {
            sleep(Duration::from_millis(10));
        }
        // Events come in crowds of other sizes now and then: then the call comes with the next tick, or never.
        let late = self.trap.struck()?.is_empty();
        if late {
            in_force = self.settle(scene)?;
        }
        let struck = self.trap.struck()?;
        self.struck.insert(during.clone(), struck.clone());
        let what = format!("{during} ({struck})");
        if struck.is_empty() {
            self.report.missed += 1;
        } else if how != How::Fail {
            let gone = self.wait(|run| Ok(!run.lives(&agent)?))?;
            if !gone {
                self.report.wrong.push(format!("{what}: the agent lives"));
            }
            // It gets no second blow.
            self.trap.arm(0, How::Before)?;
            agent = self.start_agent()?;
            in_force = self.settle(scene)?;
        } else if !late {
            in_force = self.settle(scene)?;
        }
        self.trap.arm(0, How::Before)?;
        if !in_force {
            let plan = self.lab.docker(&["firewall", "plan"])?;
            self.report.wrong.push(format!("{what}: started again, and not in force: {}", plan.said()));
        }
        self.leftovers()?;
        let state = self.state()?;
        // Docker's own rules come in another order when containers restart.
        if scene != Scene::Moved && state != new {
            self.report.wrong.push(format!("{what}: another end than unstruck: {}", difference(new, &state)));
        }
        self.finish(scene, &agent)
    }

    /// Plays the scene with the trap armed; the agent's process ID. It may be dead by then.
    fn play(&mut self, scene: Scene, at: usize, how: How) -> Result<String, LabError> {
        if scene == Scene::FirstPass {
            let rule =
                "[[rule]]\nverdict = \"allow\"\ntarget = \"plain\"\nfrom = [\"198.51.100.7\", \"2001:db8::7\"]\n";
            self.shell(&format!("printf '\\n%s' '{rule}' >> /etc/docker-firewall/policy.toml"))?;
            self.trap.arm(at, how)?;
            return self.start_agent();
        }
        self.trap.arm(0, How::Before)?;
        let agent = self.start_agent()?;
        self.settle(scene)?;
        self.trap.arm(at, how)?;
        match scene {
            Scene::FirstPass => {}
            Scene::Flushed => self.shell("iptables -F DOCKER-USER; ip6tables -F DOCKER-USER")?,
            Scene::Moved => {
                self.shell("docker stop -t 0 web")?;
                self.lab.run(SECOND, &[], &["udp=9"])?;
                self.shell("docker start web")?;
                self.lab.wait_ready("web")?;
            }
        }
        Ok(agent)
    }

    /// Ends the agent, and puts containers back to where they were, unguarded by none.
    fn finish(&mut self, scene: Scene, agent: &str) -> Result<(), LabError> {
        self.hammer.during(format!("{}, going back", scene.name()));
        if scene == Scene::Moved {
            self.shell(&format!("docker rm -f {SECOND}; docker restart -t 0 web"))?;
            self.lab.wait_ready("web")?;
            self.settle(scene)?;
        }
        self.shell(&format!("kill -TERM {agent}"))?;
        if !self.wait(|run| Ok(!run.lives(agent)?))? {
            self.report.wrong.push(format!("{}: it does not stop", scene.name()));
        }
        Ok(())
    }

    /// Waits until everything is in force and the agent rests.
    fn settle(&mut self, scene: Scene) -> Result<bool, LabError> {
        let in_force = self.wait(|run| Ok(run.lab.docker(&["firewall", "plan"])?.success()))?;
        let mut calls = self.trap.calls()?.len();
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            sleep(QUIET);
            let now = self.trap.calls()?.len();
            if now == calls {
                break;
            }
            calls = now;
        }
        if !in_force {
            self.hammer.during(format!("{}, not in force", scene.name()));
        }
        Ok(in_force)
    }

    fn start_agent(&self) -> Result<String, LabError> {
        let script = format!("setsid docker-firewall agent >> {LOG} 2>&1 & echo $!");
        let output = self.lab.exec_with(&[("PATH", &self.trap.path())], &["sh", "-c", &script])?;
        output.require("docker-firewall agent")
    }

    fn lives(&self, agent: &str) -> Result<bool, LabError> {
        // One that nobody has waited for yet is dead all the same.
        let script = format!("grep -qs '^State:[[:space:]][^ZX]' /proc/{agent}/status");
        Ok(self.lab.exec(&["sh", "-c", &script])?.success())
    }

    fn wait(&mut self, is_true: impl Fn(&Self) -> Result<bool, LabError>) -> Result<bool, LabError> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if is_true(self)? {
                return Ok(true);
            }
            sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    fn shell(&self, script: &str) -> Result<(), LabError> {
        self.lab.exec(&["sh", "-c", script])?.require(script).map(drop)
    }
}
