//! An administrator's desk: a lab with the plugin in it, commands typed by the line, and a look at what they changed.

// Not every file of tests uses all of it.
#![allow(dead_code)]

use std::net::IpAddr;

use lab::{Client, Engine, Flavour, Lab, LabError, LabSpec, Output, Protocol, built_plugin};

pub type Result<T = ()> = std::result::Result<T, LabError>;

/// Where policy and sets are.
pub const CONFIG: &str = "/etc/docker-firewall";
/// The policy.
pub const POLICY: &str = "/etc/docker-firewall/policy.toml";

/// Kernel and files, without what changes by itself: counters, dates, seconds that run down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World(pub Vec<String>);

/// One process for all of it: tests look often.
const LOOK: &str = "iptables-save; ip6tables-save; ipset save
    find /etc/docker-firewall /var/lib/docker-firewall -type f -exec sha256sum {} + 2>/dev/null | sort -k 2";

/// A lab whose docker knows the command `firewall`.
pub struct Desk {
    pub lab: Lab,
}

impl Desk {
    pub fn up(engine: Engine, flavour: Flavour, name: &str) -> Result<Self> {
        let plugin = built_plugin()?;
        let lab = Lab::up(LabSpec::new(engine).flavour(flavour).name(name))?;
        lab.install_plugin(&plugin)?;
        Ok(Self { lab })
    }

    /// `docker firewall` with these words.
    pub fn words(&self, words: &[&str]) -> Result<Output> {
        let mut all = vec!["firewall"];
        all.extend(words);
        self.lab.docker(&all)
    }

    /// The same with the words of a line.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.words(&line.split(' ').collect::<Vec<_>>())
    }

    /// A line that has to succeed; its stdout.
    pub fn done(&self, line: &str) -> Result<String> {
        self.run(line)?.require(line)
    }

    /// A line that has to succeed; all it says.
    pub fn told(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        let said = format!("{}{}", output.stdout, output.stderr);
        output.require(line)?;
        Ok(said)
    }

    /// A line that has to fail with `code`, to say each of `says`, and to change nothing.
    pub fn refused(&self, line: &str, code: i32, says: &[&str]) -> Result {
        self.refused_words(&line.split(' ').collect::<Vec<_>>(), code, says)
    }

    /// The same for words that no line holds.
    pub fn refused_words(&self, words: &[&str], code: i32, says: &[&str]) -> Result {
        let mut all = vec!["docker", "firewall"];
        all.extend(words);
        self.refused_command(&[], &all, code, says)
    }

    /// The same for any command.
    pub fn refused_command(&self, env: &[(&str, &str)], command: &[&str], code: i32, says: &[&str]) -> Result {
        let before = self.world()?;
        let output = self.lab.exec_with(env, command)?;
        assert_eq!(output.code, code, "{command:?}: {output:?}");
        for text in says {
            assert!(output.stderr.contains(text), "{command:?} does not say {text:?}:\n{}", output.stderr);
        }
        // No trace of a program that lost its footing, and no half of a command's own words.
        for text in ["panicked", "Error {", "RUST_BACKTRACE"] {
            assert!(!output.stderr.contains(text), "{command:?}: {}", output.stderr);
        }
        assert_eq!(self.world()?, before, "{command:?} changed something");
        Ok(())
    }

    /// A line that changes nothing, whatever it prints; its output.
    pub fn idle(&self, line: &str) -> Result<Output> {
        let before = self.world()?;
        let output = self.run(line)?;
        assert_eq!(self.world()?, before, "{line:?} changed something");
        Ok(output)
    }

    pub fn world(&self) -> Result<World> {
        Ok(World(steady(&self.lab.exec(&["sh", "-c", LOOK])?.require("a look at the world")?)))
    }

    /// A line of shell on the lab's host that has to succeed; its stdout.
    pub fn shell(&self, script: &str) -> Result<String> {
        self.lab.exec(&["sh", "-c", script])?.require(script)
    }

    /// Writes a file of the lab's host.
    pub fn write(&self, path: &str, text: &str) -> Result {
        self.lab.feed(text, &["sh", "-c", &format!("cat > '{path}'")])?.require(path).map(drop)
    }

    /// Whether a TCP connection to a port of the host, by IPv4 or IPv6, is answered by `who`.
    pub fn reaches(&self, client: Client, to: IpAddr, port: u16, who: &str) -> Result<bool> {
        let answer = self.lab.tcp(client, to, port)?;
        let reached = answer.peer() == Some(who);
        assert!(reached || !answer.reached(), "{client} reached somebody else at {to} {port}: {answer}");
        Ok(reached)
    }

    /// Asserts for both families who of the two neighbours is answered.
    pub fn only(&self, port: u16, who: &str, friend: bool, stranger: bool) -> Result {
        for to in [Client::Host.v4(), Client::Host.v6()] {
            for (client, wanted) in [(Client::Friend, friend), (Client::Stranger, stranger)] {
                assert_eq!(self.reaches(client, to, port, who)?, wanted, "{client} to {to} port {port}");
            }
        }
        Ok(())
    }

    /// Whether a datagram is answered.
    pub fn answers_udp(&self, client: Client, to: IpAddr, port: u16) -> Result<bool> {
        Ok(self.lab.probe(&lab::Probe::new(client, Protocol::Udp, to, port))?.reached())
    }

    /// Takes everything of ours away, files included.
    pub fn clear(&self) -> Result {
        self.done("reset --force")?;
        self.shell(&format!("rm -rf {CONFIG} /var/lib/docker-firewall")).map(drop)
    }
}

/// Lines of a save without comments, counters and running seconds.
fn steady(save: &str) -> Vec<String> {
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    save.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let line = line.split(" [").next().unwrap_or(line);
            let mut words: Vec<&str> = line.split(' ').collect();
            for at in 1..words.len() {
                let counts = ["packets", "bytes"].contains(&words[at - 1]);
                if (counts || words[at - 1] == "timeout" && words[at] != "0") && number(words[at]) {
                    words[at] = "N";
                }
            }
            words.join(" ")
        })
        .collect()
}

/// Runs `all` on the newest engine and on the oldest with the old iptables.
#[macro_export]
macro_rules! on_both_ends {
    ($all:path, $name:literal) => {
        #[test]
        #[ignore = "needs root and the engines of tests/engines.sh"]
        fn engine_28_5() -> desk::Result {
            $all(&desk::Desk::up(lab::Engine::V28_5, lab::Flavour::Nft, $name)?)
        }

        #[test]
        #[ignore = "needs root and the engines of tests/engines.sh"]
        fn engine_20_10_legacy() -> desk::Result {
            $all(&desk::Desk::up(lab::Engine::V20_10, lab::Flavour::Legacy, $name)?)
        }
    };
}
