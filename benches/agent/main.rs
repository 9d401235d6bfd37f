//! Measures the agent: from a container's start written to the engine's socket until the kernel holds its new address, its
//! memory, and its processor time at rest and under events. The engine is made up, the kernel is real: run it by
//! `benches/agent.sh`, which gives it a network namespace of its own.

#![allow(missing_docs, reason = "a program")]

mod engine;
mod probe;

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use engine::{BRIDGE, Engine, GATEWAY};
use probe::Probe;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const POLICY: &str = "version = 1\ndefault = \"closed\"\n\n[[rule]]\nverdict = \"allow\"\ntarget = [\"*\"]\nfrom = [\"203.0.113.0/24\"]\n";

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().map(String::as_str) != Some("measure") {
        // `cargo bench` and `cargo test --benches` start it bare, on the host's own network.
        println!("run benches/agent.sh");
        return Ok(());
    }
    let number = |at: usize, usual: u64| arguments.get(at).and_then(|word| word.parse().ok()).unwrap_or(usual);
    let (restarts, rest) = (number(1, 100), Duration::from_secs(number(2, 60)));
    prepare()?;
    println!(
        "{:>10} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10} {:>12}",
        "containers", "p50 ms", "p99 ms", "max ms", "RSS MB", "own MB", "CPU rest", "CPU 10 ev/s"
    );
    for count in [10, 100, 1000] {
        measure(count, restarts, rest)?;
    }
    Ok(())
}

fn run(program: &str, words: &str) -> Result<String> {
    let output = Command::new(program).args(words.split(' ')).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{program} {words} failed").into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The engine's side of the kernel.
fn prepare() -> Result {
    run("ip", "link set lo up")?;
    run("ip", &format!("link add {BRIDGE} type bridge"))?;
    run("ip", &format!("address add {}/{} dev {BRIDGE}", GATEWAY.0, GATEWAY.1))?;
    run("ip", &format!("link set {BRIDGE} up"))?;
    for words in ["-N DOCKER", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER"] {
        run("iptables", words)?;
    }
    Ok(())
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    fn start(place: &Path) -> Result<Self> {
        // Another build can be measured side by side.
        let program = std::env::var_os("DOCKER_FIREWALL_PROGRAM");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_docker-firewall").into()));
        for (name, directory) in [("CONFIG", "etc"), ("STATE", "lib"), ("RUN", "run")] {
            command.env(format!("DOCKER_FIREWALL_{name}_DIR"), place.join(directory));
        }
        command.env("DOCKER_HOST", format!("unix://{}", place.join("docker.sock").display()));
        let log = fs::File::create(place.join("log"))?;
        Ok(Self(command.arg("agent").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?))
    }

    /// Memory in megabytes: resident, and of that what is its own alone. The rest is the program's file, which the kernel
    /// drops and reads again as it likes.
    fn memory(&self) -> Result<[f64; 2]> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id()))?;
        let of = |what: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(what)).ok_or("no such line in smaps_rollup")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok([of("Rss:")?, of("Private_Dirty:")?])
    }

    /// Processor time so far, of the agent and the tools it ran, in seconds.
    fn processor(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        // utime, stime, cutime, cstime (proc(5)), in ticks of which a second has a hundred.
        let ticks = fields.split_ascii_whitespace().skip(11).take(4).map(str::parse::<f64>);
        Ok(ticks.sum::<std::result::Result<f64, _>>()? / 100.0)
    }

    fn share(&self, during: Duration, mut act: impl FnMut() -> Result) -> Result<f64> {
        let (before, begun) = (self.processor()?, Instant::now());
        while begun.elapsed() < during {
            act()?;
        }
        Ok((self.processor()? - before) * 100.0 / begun.elapsed().as_secs_f64())
    }
}

fn measure(count: usize, restarts: u64, rest: Duration) -> Result {
    let place = tempfile::tempdir()?;
    fs::create_dir(place.path().join("etc"))?;
    fs::write(place.path().join("etc/policy.toml"), POLICY)?;
    let engine = Engine::start(&place.path().join("docker.sock"), count)?;
    let agent = Agent::start(place.path())?;
    let told = measured(&engine, &agent, count, restarts, rest);
    if told.is_err() {
        eprintln!("{}", fs::read_to_string(place.path().join("log"))?);
    }
    told
}

/// The set of the allow rule, once it is there. The rule has one of ports of the host too, which no address alone is in.
fn allowing(probe: &Probe) -> Result<Option<String>> {
    let sets = run("ipset", "list -n")?;
    let first = Ipv4Addr::from(engine::FIRST);
    let holds = |name: &&str| name.starts_with("df4-allow-") && probe.holds(name, first).unwrap_or(false);
    // Of twins the second, which is written last.
    Ok(sets.lines().rfind(holds).map(str::to_owned))
}

fn measured(engine: &Engine, agent: &Agent, count: usize, restarts: u64, rest: Duration) -> Result {
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
    sleep(Duration::from_secs(2));
    let asked = engine.requests();
    let mut times = Vec::new();
    for round in 0..restarts {
        let number = usize::try_from(round)? * 7 % count;
        let (written, address) = engine.restart(number, Duration::from_millis(300));
        while !probe.holds(&set, address)? {
            if written.elapsed() > Duration::from_secs(20) {
                return Err(format!("c{number} got {address}, and {set} does not hold it").into());
            }
            sleep(Duration::from_micros(200));
        }
        times.push(written.elapsed().as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(100));
    }
    times.sort_by(f64::total_cmp);
    // The nearest rank.
    let rank = |share: usize| times[(times.len() * share).div_ceil(100).max(1) - 1];
    let asked = engine.requests() - asked;
    sleep(Duration::from_secs(1));
    let idle = agent.share(rest, || {
        sleep(Duration::from_millis(100));
        Ok(())
    })?;
    let [resident, own] = agent.memory()?;
    let mut number = 0;
    // A restart has two moments at which the agent hears of something.
    let busy = agent.share(rest / 3, || {
        number = (number + 1) % count;
        engine.restart(number, Duration::from_millis(100));
        sleep(Duration::from_millis(100));
        Ok(())
    })?;
    println!(
        "{count:>10} {:>8.1} {:>8.1} {:>8.1} {resident:>9.1} {own:>9.1} {idle:>8.2} % {busy:>10.2} %   {:.1} requests a restart",
        rank(50),
        rank(99),
        rank(100),
        f64::from(u32::try_from(asked)?) / f64::from(u32::try_from(restarts)?),
    );
    Ok(())
}
