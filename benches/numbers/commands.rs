//! Commands as whole processes, beside what a person would type instead. The engine is made up, the kernel is real, in a
//! network namespace of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use docker_firewall::net::Family;

use crate::Result;
use crate::engine;
use crate::figure::{Bound, Figure};
use crate::wires::{CLIENT, run};
use crate::world::{BRIDGE, DOCKERS_RULES, GATEWAY, GATEWAY_V6, address, address_v6, set_text};

const PROGRAM: &str = env!("CARGO_BIN_EXE_docker-firewall");
const RECIPE_SET: &str = "create -exist recipe hash:ip family inet hashsize 1024 maxelem 65536\nflush recipe\n\
    add recipe 203.0.113.10\nadd recipe 203.0.113.11\nadd recipe 203.0.113.12\n";

/// A directory for the program's files, and the engine that it asks.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, directory) in [("CONFIG", "etc"), ("STATE", "lib"), ("RUN", "run")] {
            command.env(format!("DOCKER_FIREWALL_{name}_DIR"), self.0.path().join(directory));
        }
        command.env("DOCKER_HOST", format!("unix://{}", self.0.path().join("docker.sock").display()));
        let words_of_failure = fs::File::create(self.0.path().join("stderr"));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(words_of_failure.map_or_else(|_| Stdio::null(), Stdio::from));
        command
    }

    /// Runs the program, which has to succeed. Milliseconds.
    fn time(&self, words: &[&str]) -> Result<f64> {
        self.watched(words).map(|(time, _)| time)
    }

    /// The same, with the most memory it had, in megabytes.
    fn watched(&self, words: &[&str]) -> Result<(f64, f64)> {
        timed(&mut self.command(words)).map_err(|error| {
            let said = fs::read_to_string(self.0.path().join("stderr")).unwrap_or_default();
            format!("{error}: {said}").into()
        })
    }
}

/// Milliseconds, and the most memory in megabytes (0 of a process that lived shortly).
fn timed(command: &mut Command) -> Result<(f64, f64)> {
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut memory: f64 = 0.0;
    // A process's memory cannot be asked once it has ended; looked at often only where it lives long.
    let code = loop {
        if begun.elapsed() < Duration::from_millis(500) {
            if let Some(code) = child.try_wait()? {
                break code;
            }
            std::thread::sleep(Duration::from_micros(50));
        } else {
            memory = memory.max(peak(&status));
            if let Some(code) = child.try_wait()? {
                break code;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let time = begun.elapsed().as_secs_f64() * 1e3;
    if code.success() { Ok((time, memory)) } else { Err(format!("{command:?}: {code}").into()) }
}

/// The most memory that a process has had, in megabytes.
fn peak(status: &str) -> f64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
}

/// Docker's side of the kernel.
fn prepare() -> Result {
    let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
    if devices.lines().skip(2).any(|line| !line.trim_start().starts_with("lo:")) {
        return Err("this part writes the kernel's rules: run it by benches/run.sh, in a namespace of its own".into());
    }
    // Somebody has to be outside, or nobody is sent over the ways in.
    let devices = format!(
        "link set lo up\nlink add {BRIDGE} type bridge\naddr add {GATEWAY}/14 dev {BRIDGE}\n\
         addr add {GATEWAY_V6}/64 dev {BRIDGE} nodad\nlink set {BRIDGE} up\nlink add outside type bridge\n\
         addr add 203.0.113.1/24 dev outside\naddr add fd00:1::1/64 dev outside nodad\nlink set outside up\n"
    );
    run(&["ip", "-batch", "-"], &devices)?;
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(Path::new("/proc/sys/net").join(switch), "1")?;
    }
    run(&["iptables-nft-restore"], DOCKERS_RULES)?;
    run(&["ip6tables-nft-restore"], "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n").map(drop)
}

pub(crate) fn measure(quick: bool) -> Result<Vec<Figure>> {
    prepare()?;
    let rounds = if quick { 10 } else { 40 };
    let mut figures = vec![metadata(rounds * 4)?];
    for count in [1, 100, 1000] {
        eprintln!("commands: {count} containers");
        figures.extend(with_containers(count, rounds)?);
    }
    Ok(figures)
}

fn metadata(rounds: usize) -> Result<Figure> {
    let desk = Desk::new()?;
    let (mut values, mut base) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        values.push(desk.time(&["docker-cli-plugin-metadata"])?);
        base.push(timed(&mut Command::new("/bin/true"))?.0);
    }
    Ok(Figure::paired(
        "what docker asks every plugin (metadata)",
        "against /bin/true",
        "ms",
        &values,
        &base,
        Bound::AtMost(2.0),
    ))
}

/// The recipe's three commands, as typed.
fn recipe(script: &Path) -> Result<f64> {
    let first = Instant::now();
    timed(Command::new("ipset").arg("restore").stdin(fs::File::open(script)?))?;
    let set = ["-m", "set", "!", "--match-set", "recipe", "src", "-j", "DROP"];
    timed(Command::new("iptables").args(["-I", "DOCKER", "-i", "eth0"]).args(set))?;
    let known = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"];
    timed(Command::new("iptables").args(["-I", "DOCKER", "-i", "eth0"]).args(known))?;
    let time = first.elapsed().as_secs_f64() * 1e3;
    run(&["iptables", "-D", "DOCKER", "1"], "")?;
    run(&["iptables", "-D", "DOCKER", "1"], "")?;
    run(&["ipset", "destroy", "recipe"], "")?;
    Ok(time)
}

fn with_containers(count: usize, rounds: usize) -> Result<Vec<Figure>> {
    let desk = Desk::new()?;
    engine::start(&desk.0.path().join("docker.sock"), count)?;
    let script = desk.0.path().join("recipe.conf");
    fs::write(&script, RECIPE_SET)?;
    desk.time(&["set", "create", "friends"])?;
    desk.time(&["set", "add", "friends", "203.0.113.10", "203.0.113.11", "203.0.113.12"])?;
    let steps: [&[&str]; 7] = [
        &["allow", "c0", "--from", "friends"],
        &["ls"],
        &["rules"],
        &["plan"],
        &["set", "add", "friends", "203.0.113.20"],
        &["set", "del", "friends", "203.0.113.20"],
        &["rm", "1"],
    ];
    let mut values = vec![Vec::new(); steps.len()];
    let mut base = Vec::new();
    for _ in 0..rounds {
        base.push(recipe(&script)?);
        for (step, values) in steps.iter().zip(&mut values) {
            values.push(desk.time(step)?);
        }
    }
    let most = ls_at_most(&desk, count, rounds)?;
    desk.time(&["reset", "--force"])?;
    let with = format!("{count} containers, against the recipe's three commands");
    let figures = steps.iter().zip(&values).enumerate().map(|(index, (step, values))| {
        let bound = if index == 0 { Bound::AtMost(1.0) } else { Bound::None };
        Figure::paired(&step.join(" "), &with, "ms", values, &base, bound)
    });
    Ok(figures.chain([most]).collect())
}

/// `ls` where every container is guarded and the kernel holds Docker's rules for every port: the most that it reads.
fn ls_at_most(desk: &Desk, count: usize, rounds: usize) -> Result<Figure> {
    for (program, family) in [("iptables-nft-restore", Family::V4), ("ip6tables-nft-restore", Family::V6)] {
        run(&[program, "--noflush"], &publishing(count, family)?)?;
    }
    desk.time(&["default", "closed"])?;
    let (mut values, mut base) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let reading = ["iptables-save", "ip6tables-save", "ipset"].map(|program| {
            let mut command = Command::new(program);
            command.args((program == "ipset").then_some("save")).stdout(Stdio::null());
            timed(&mut command).map(|(time, _)| time)
        });
        base.push(reading.into_iter().sum::<Result<f64>>()?);
        values.push(desk.time(&["ls"])?);
    }
    let with = format!("{count} containers, all guarded, against iptables-save, ip6tables-save and ipset save");
    Ok(Figure::paired("ls", &with, "ms", &values, &base, Bound::None))
}

/// What Docker writes for the ports of `count` containers.
fn publishing(count: usize, family: Family) -> Result<String> {
    let (mut nat, mut filter) = ("*nat\n:DOCKER - [0:0]\n".to_owned(), "*filter\n:DOCKER - [0:0]\n".to_owned());
    writeln!(nat, "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")?;
    for number in 0..count {
        let port = 20_000 + number;
        let (to, length) = match family {
            Family::V4 => (IpAddr::V4(address(number)), 32),
            Family::V6 => (IpAddr::V6(address_v6(number)), 128),
        };
        let place = SocketAddr::new(to, 80);
        writeln!(nat, "-A DOCKER ! -i {BRIDGE} -p tcp -m tcp --dport {port} -j DNAT --to-destination {place}")?;
        writeln!(filter, "-A DOCKER -d {to}/{length} ! -i {BRIDGE} -o {BRIDGE} -p tcp -m tcp --dport 80 -j ACCEPT")?;
    }
    Ok(format!("{nat}COMMIT\n{filter}-A DOCKER ! -i {BRIDGE} -o {BRIDGE} -j DROP\nCOMMIT\n"))
}

/// Sets at growing sizes, against plain `ipset restore` of the same text.
pub(crate) fn sets(quick: bool) -> Result<Vec<Figure>> {
    prepare()?;
    let sizes: &[usize] = if quick { &[1000, 100_000] } else { &[1000, 100_000, 1_000_000] };
    let mut figures = Vec::new();
    for &size in sizes {
        eprintln!("sets: {size} entries");
        figures.extend(of_size(size, if size > 100_000 { 3 } else { 7 })?);
    }
    Ok(figures)
}

fn of_size(size: usize, rounds: usize) -> Result<Vec<Figure>> {
    let desk = Desk::new()?;
    let file = desk.0.path().join("plain.conf");
    let ours = desk.0.path().join("ours.conf");
    fs::write(&file, set_text("plain", CLIENT, size))?;
    fs::write(&ours, set_text("big", CLIENT, size))?;
    let name = ours.display().to_string();
    let more: Vec<String> = (0..100).map(|number| address(number).to_string()).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let few = desk.0.path().join("few.conf");
    let lines: Vec<String> = more.iter().map(|address| format!("add plain {address} -exist\n")).collect();
    fs::write(&few, lines.concat())?;
    let restore = |path: &Path| timed(Command::new("ipset").arg("restore").stdin(fs::File::open(path)?));
    let (mut load, mut base, mut add, mut add_base) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut memory, mut base_memory) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (time, most) = restore(&file)?;
        base.push(time);
        base_memory.push(most);
        let (time, most) = desk.watched(&["set", "import", "big", &name])?;
        load.push(time);
        memory.push(most);
        add_base.push(restore(&few)?.0);
        add.push(desk.time(&[&["set", "add", "big"][..], &more].concat())?);
        desk.time(&["set", "rm", "big"])?;
        run(&["ipset", "destroy", "plain"], "")?;
    }
    let with = format!("{size} entries, against ipset restore");
    let bound = if size >= 1_000_000 { Bound::AtMost(1.15) } else { Bound::None };
    let mut figures = vec![
        Figure::paired("set import of a new set", &with, "ms", &load, &base, bound),
        Figure::paired("set add of 100 more", &with, "ms", &add, &add_base, Bound::None),
    ];
    if base_memory.iter().all(|most| *most > 0.0) {
        figures.push(Figure::paired("peak memory of set import", &with, "MB", &memory, &base_memory, Bound::None));
    }
    Ok(figures)
}
