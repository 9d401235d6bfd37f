//! The agent: from a container's start written to the engine's socket until the kernel holds its new address, a whole pass,
//! its memory, and its processor time at rest and under events. The engine is made up, the kernel is real.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use docker_firewall::host::systemd::{AGENT, UNITS};
use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::engine::Engine;
use crate::figure::{Bound, Figure, as_f64, median, quantile, so_many};
use crate::ground::prepare;
use crate::probe::Probe;
use crate::process::{Desk, kilobytes};
use crate::wires::run;
use crate::world::address;

const POLICY: &str = "version = 1\ndefault = \"closed\"\n\n[[rule]]\nverdict = \"allow\"\ntarget = [\"*\"]\nfrom = [\"203.0.113.0/24\"]\n";
/// The heading of its table.
const TABLE: &str = "an engine that is made up, a real kernel";
/// What is given to the agent before it is measured, so that it is at rest.
const SETTLE: Duration = Duration::from_secs(1);

/// How much of everything.
struct Effort {
    restarts: usize,
    passes: usize,
    rest: Duration,
}

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    prepare()?;
    let mut figures = Vec::new();
    for count in [10, 100, 1000, 10_000] {
        eprintln!("agent: {count} containers");
        let effort = if quick {
            // Of 10,000, which have no bound, fewer: each takes longer.
            let (restarts, passes) = if count > 1000 { (3, 1) } else { (30, 5) };
            Effort { restarts, passes, rest: Duration::from_secs(4) }
        } else {
            Effort { restarts: 200, passes: 15, rest: Duration::from_secs(60) }
        };
        figures.extend(of_size(count, &effort)?);
    }
    Ok(figures)
}

struct Agent {
    child: Child,
    desk: Desk,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// Memory in megabytes: resident, and of that what is its own alone. The rest is the program's file, which the kernel
    /// drops and reads again as it likes.
    fn memory(&self) -> Result<[f64; 2]> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        Ok(["Rss:", "Private_Dirty:"].map(|name| kilobytes(&text, name) / 1024.0))
    }

    /// Processor time so far, in seconds: the agent's own to the nanosecond, and that of the tools it ran, in ticks.
    fn processor(&self) -> Result<f64> {
        let mut own = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            own += text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / 1e9;
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        // cutime and cstime (proc(5)), in ticks of which a second has a hundred.
        let ticks = fields.split_ascii_whitespace().skip(13).take(2).map(str::parse::<f64>);
        Ok(own + ticks.sum::<std::result::Result<f64, _>>()? / 100.0)
    }

    /// The share of a processor that it takes while `act` is done again and again, in percent.
    fn share(&self, during: Duration, mut act: impl FnMut() -> Result) -> Result<f64> {
        let (before, begun) = (self.processor()?, Instant::now());
        while begun.elapsed() < during {
            act()?;
        }
        Ok((self.processor()? - before) * 100.0 / begun.elapsed().as_secs_f64())
    }

    /// Its account of itself.
    fn record(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&fs::read_to_string(self.desk.path().join("run/agent.json"))?)?)
    }

    /// Waits for the passes with which it begins.
    fn wait_for_rest(&self) -> Result {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(120) {
            // It writes the first one after its first pass.
            let before = self.record().ok();
            let pass = before.as_ref().and_then(|record| record["LastPassMs"].as_f64()).unwrap_or_default();
            sleep(SETTLE + Duration::from_secs_f64(2.0 * pass / 1000.0));
            if before.is_some() && self.record().ok() == before {
                return Ok(());
            }
        }
        Err("the agent finds no rest".into())
    }

    /// Milliseconds of a pass that reads everything, as the agent gives them.
    fn whole_pass(&self) -> Result<f64> {
        let passes = |record: &serde_json::Value| record["FullPasses"].as_u64();
        let before = passes(&self.record()?);
        kill_process(Pid::from_child(&self.child), Signal::HUP)?;
        let begun = Instant::now();
        loop {
            sleep(Duration::from_millis(5));
            let record = self.record()?;
            if passes(&record) > before {
                return record["LastPassMs"].as_f64().ok_or_else(|| "no LastPassMs".into());
            }
            if begun.elapsed() > Duration::from_secs(30) {
                return Err("no pass after SIGHUP".into());
            }
        }
    }
}

fn of_size(count: usize, effort: &Effort) -> Result<Vec<Figure>> {
    let desk = Desk::new()?;
    fs::create_dir(desk.path().join("etc"))?;
    fs::write(desk.path().join("etc/policy.toml"), POLICY)?;
    let engine = Engine::start(&desk.path().join("docker.sock"), count)?;
    let child = desk.command(&["agent"]).envs(memory_settings()).spawn()?;
    let agent = Agent { child, desk };
    let result = agent.desk.told(measured(&engine, &agent, count, effort));
    drop(agent);
    // What one agent leaves in the kernel is not the next one's.
    leave()?;
    result
}

/// What its unit says of memory.
fn memory_settings() -> Option<(&'static str, &'static str)> {
    let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == AGENT)?;
    let settings = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    settings.into_iter().find(|(name, _)| *name == "GLIBC_TUNABLES")
}

/// Takes our rules and sets away, as `reset` would.
fn leave() -> Result {
    let desk = Desk::new()?;
    Engine::start(&desk.path().join("docker.sock"), 0)?;
    desk.time(&["reset", "--force"]).map(drop)
}

/// The set of the allow rule, once it is there. The rule has one of ports of the host too, which no address alone is in.
fn allowing(probe: &Probe) -> Result<Option<String>> {
    let sets = run(&["ipset", "list", "-n"], "")?;
    let holds = |name: &&str| name.starts_with("df4-allow-") && probe.holds(name, address(0)).unwrap_or(false);
    // Of twins the second, which is written last.
    Ok(sets.lines().rfind(holds).map(str::to_owned))
}

/// Milliseconds until the set holds the address of a container that restarted.
fn restarted(engine: &Engine, probe: &Probe, set: &str, number: usize) -> Result<f64> {
    let (written, address): (Instant, Ipv4Addr) = engine.restart(number, Duration::from_millis(150));
    while !probe.holds(set, address)? {
        if written.elapsed() > Duration::from_secs(20) {
            return Err(format!("c{number} got {address}, and {set} does not hold it").into());
        }
        sleep(Duration::from_micros(100));
    }
    Ok(written.elapsed().as_secs_f64() * 1000.0)
}

fn measured(engine: &Engine, agent: &Agent, count: usize, effort: &Effort) -> Result<Vec<Figure>> {
    if !engine.wait_for_follower() {
        return Err("the agent does not follow the engine".into());
    }
    let probe = Probe::open()?;
    let begun = Instant::now();
    let set = loop {
        match allowing(&probe)? {
            Some(set) => break set,
            None if begun.elapsed() > Duration::from_secs(60) => return Err("no set of the allow rule".into()),
            None => sleep(Duration::from_millis(50)),
        }
    };
    agent.wait_for_rest()?;
    let (mut times, asked) = (Vec::new(), engine.requests());
    for round in 0..effort.restarts {
        times.push(restarted(engine, &probe, &set, round * 7 % count)?);
        sleep(Duration::from_millis(50));
    }
    let asked = as_f64(engine.requests() - asked) / as_f64(effort.restarts);
    let passes = (0..effort.passes).map(|_| agent.whole_pass()).collect::<Result<Vec<f64>>>()?;
    sleep(SETTLE);
    let rest = agent.share(effort.rest, || {
        sleep(Duration::from_millis(100));
        Ok(())
    })?;
    let [resident, own] = agent.memory()?;
    let mut number = 0;
    // A restart has two moments at which the agent hears of something.
    let busy = agent.share(effort.rest.min(Duration::from_secs(20)), || {
        number = (number + 1) % count;
        engine.restart(number, Duration::from_millis(100));
        sleep(Duration::from_millis(100));
        Ok(())
    })?;
    let column = so_many(count, "container");
    let figure = |row: &str, unit, value, bound| Figure::alone([TABLE, row, &column], unit, value, bound);
    // The bounds are for 1,000; of what does not grow with the size they are for all.
    let within = |most| if count <= 1000 { Bound::Within(most) } else { Bound::None };
    Ok(vec![
        figure("container's start to its address in force, median", "ms", median(&times), Bound::None),
        figure(
            "container's start to its address in force, 99th percentile",
            "ms",
            quantile(&times, 0.99),
            within(50.0),
        ),
        figure("whole pass, where nothing is to be done, median", "ms", median(&passes), Bound::None),
        figure("requests to the engine for one restart", "", asked, Bound::None),
        figure("resident memory at rest, the program's file included", "MB", resident, within(12.0)),
        figure("memory of its own at rest", "MB", own, Bound::None),
        figure("processor at rest", "%", rest, within(0.5)),
        figure("processor at ten events a second", "%", busy, Bound::None),
    ])
}
