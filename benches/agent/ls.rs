//! Measures `ls`: from the start of the process until it has ended and its table has been read, while the kernel holds
//! Docker's rules and ours for every container.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::engine::{BRIDGE, Engine, FIRST, host_port};
use super::{Result, command};

/// Containers, and entries of the set that the rule asks.
const SCENES: [(usize, u32); 5] = [(1, 3), (10, 3), (100, 3), (1000, 3), (1000, 500_000)];

/// Prints a line for each scene: milliseconds of `rounds` runs.
pub(crate) fn measure(rounds: usize) -> Result {
    println!(
        "{:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "containers", "set", "lines", "p50 ms", "p99 ms", "max ms", "requests"
    );
    for (count, entries) in SCENES {
        scene(count, entries, rounds)?;
    }
    Ok(())
}

fn scene(count: usize, entries: u32, rounds: usize) -> Result {
    let place = tempfile::tempdir()?;
    let engine = Engine::start(&place.path().join("docker.sock"), count)?;
    docker_writes(count)?;
    let members: Vec<String> = (0..entries).map(|at| Ipv4Addr::from(0x6400_0000 + at).to_string()).collect();
    fs::write(place.path().join("members"), members.join("\n") + "\n")?;
    run(place.path(), "set create office")?;
    run(place.path(), &format!("set import office {}", place.path().join("members").display()))?;
    run(place.path(), "default closed")?;
    run(place.path(), "allow * --from office")?;
    let mut times = Vec::new();
    let (mut lines, before) = (0, engine.requests());
    for _ in 0..rounds {
        let begun = Instant::now();
        let output = run(place.path(), "ls")?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        lines = String::from_utf8(output.stdout)?.lines().count();
        // Both families of each port, and the headings; nothing is remarked where the kernel holds what the policy says.
        if lines != 2 * count + 1 || !output.stderr.is_empty() {
            return Err(format!("{lines} lines, {}", String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    times.sort_by(f64::total_cmp);
    // The nearest rank.
    let rank = |share: usize| times[(times.len() * share).div_ceil(100).max(1) - 1];
    let requests = (engine.requests() - before) / rounds;
    println!(
        "{count:>10} {entries:>8} {lines:>8} {:>8.1} {:>8.1} {:>8.1} {requests:>9}",
        rank(50),
        rank(99),
        rank(100)
    );
    run(place.path(), "reset --force")?;
    Ok(())
}

/// What Docker writes for the ports of `count` containers.
fn docker_writes(count: usize) -> Result {
    let (mut nat, mut filter) = ("*nat\n:DOCKER -\n".to_owned(), "*filter\n:DOCKER -\n".to_owned());
    for number in 0..count {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::from(FIRST)) + u32::try_from(number)?);
        let port = host_port(number);
        writeln!(nat, "-A DOCKER ! -i {BRIDGE} -p tcp -m tcp --dport {port} -j DNAT --to-destination {address}:80")?;
        writeln!(filter, "-A DOCKER -d {address}/32 ! -i {BRIDGE} -o {BRIDGE} -p tcp -m tcp --dport 80 -j ACCEPT")?;
    }
    writeln!(filter, "-A DOCKER ! -i {BRIDGE} -o {BRIDGE} -j DROP")?;
    let mut restore = Command::new("iptables-restore").args(["--noflush"]).stdin(Stdio::piped()).spawn()?;
    restore.stdin.take().ok_or("no stdin")?.write_all(format!("{nat}COMMIT\n{filter}COMMIT\n").as_bytes())?;
    if restore.wait()?.success() { Ok(()) } else { Err("iptables-restore failed".into()) }
}

fn run(place: &Path, words: &str) -> Result<Output> {
    let output = command(place).args(words.split(' ')).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
