//! The ways in which a firewall can be laid out for N containers, of which the friends may reach one port.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use docker_firewall::compile::{Ground, ThirdLine};
use docker_firewall::host::kernel::{self, HostKernel, KernelError};
use docker_firewall::host::nft::Nft;
use docker_firewall::host::tools::Tools;
use docker_firewall::net::Family;
use docker_firewall::reconcile::{self, Pass};
use docker_firewall::resolve::Proof;
use docker_firewall::ruleset::{Dump, Table};

use crate::Result;
use crate::figure::so_many;
use crate::wires::{CLIENT, PORT, Wires, run};
use crate::world::{self, DOCKERS_RULES, FRIENDS, World, address};

/// Which iptables writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Nft,
    Legacy,
}

impl Flavour {
    pub(crate) const ALL: [Self; 2] = [Self::Nft, Self::Legacy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

/// A layout, of so many containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Docker's own rules and nothing else: the baseline.
    Docker,
    /// This program's, with so many entries in the set of friends.
    Ours { containers: usize, friends: usize },
    /// The same with the third line that an agent holds.
    Third(usize),
    /// Two rules a container: who may, and nobody else. What is known passes before.
    Linear(usize),
    /// As ufw-docker lays them: `DOCKER-USER` asks `ufw-user-forward`, a rule a container, then closes private networks.
    UfwDocker(usize),
    /// As whalewall lays them: a map from addresses to a chain a container. nft only.
    Whalewall(usize),
    /// Where the cost comes from: an empty chain called from the `security` table, which Docker alone does not use.
    EmptyHook,
    /// One rule in `DOCKER-USER` that asks the set of friends and drops nobody.
    OneRule,
    /// This program's rules where there is no `security` table: one line of defence.
    OneLine(usize),
}

impl Layout {
    pub(crate) fn name(self) -> String {
        let of = |count| so_many(count, "container");
        match self {
            Self::Docker => "Docker alone".to_owned(),
            Self::Ours { containers, friends: 1 } => format!("docker-firewall, {}", of(containers)),
            Self::Ours { containers, friends } => {
                format!("docker-firewall, {}, {}", of(containers), so_many(friends, "friend"))
            }
            Self::Third(count) => format!("docker-firewall with the agent's third line, {}", of(count)),
            Self::EmptyHook => "limit: an empty chain called from security".to_owned(),
            Self::OneRule => "limit: one rule that asks one set".to_owned(),
            Self::OneLine(count) => format!("limit: docker-firewall without backstop, {}", of(count)),
            Self::Linear(count) => format!("linear rules, {}", of(count)),
            Self::UfwDocker(count) => format!("ufw-docker's layout, {}", of(count)),
            Self::Whalewall(count) => format!("whalewall's layout, {}", of(count)),
        }
    }

    /// The container that is asked: the middle one, so that a linear search is half through.
    pub(crate) fn target(self) -> std::net::Ipv4Addr {
        match self {
            Self::Docker | Self::EmptyHook | Self::OneRule => address(0),
            Self::Ours { containers: count, .. }
            | Self::Third(count)
            | Self::OneLine(count)
            | Self::Linear(count)
            | Self::UfwDocker(count)
            | Self::Whalewall(count) => address(count / 2),
        }
    }

    /// Whether strangers get through, for nobody is kept out.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Docker | Self::EmptyHook | Self::OneRule)
    }

    /// Whether this is the program as it is installed, and not a part of it.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours { .. } | Self::Third(_))
    }

    /// Writes it in this network namespace; whoever owns its third line has to live as long as it.
    pub(crate) fn load(self, wires: &Wires, flavour: Flavour) -> Result<Option<Nft>> {
        wires.at_router(|| {
            restore(flavour, DOCKERS_RULES)?;
            restore(flavour, &wires.publishing(self.target()))?;
            // The engine makes DOCKER-USER in both families.
            run(
                &[&format!("ip6tables-{}-restore", flavour.name())],
                "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n",
            )?;
            match self {
                Self::Docker => {}
                Self::Ours { containers, friends } => drop(ours(containers, friends, Proof::No, true)?),
                Self::Third(containers) => return ours(containers, 1, Proof::Wanted, true),
                Self::OneLine(containers) => drop(ours(containers, 1, Proof::No, false)?),
                Self::EmptyHook => restore(flavour, "*security\n:EMPTY - [0:0]\n-A FORWARD -j EMPTY\nCOMMIT\n")?,
                Self::OneRule => {
                    run(&["ipset", "restore"], &world::set_text(FRIENDS, CLIENT, 1))?;
                    restore(
                        flavour,
                        &format!("*filter\n-A DOCKER-USER -m set --match-set {FRIENDS} src -j RETURN\nCOMMIT\n"),
                    )?;
                }
                Self::Linear(count) => restore(flavour, &linear(count))?,
                Self::UfwDocker(count) => restore(flavour, &ufw_docker(count))?,
                Self::Whalewall(count) => drop(run(&["nft", "-f", "-"], &whalewall(count))?),
            }
            Ok(None)
        })
    }
}

fn restore(flavour: Flavour, text: &str) -> Result {
    run(&[&format!("iptables-{}-restore", flavour.name()), "--noflush"], text).map(drop)
}

/// By the program's own pass, plan and apply.
fn ours(containers: usize, friends: usize, proof: Proof, backstop: bool) -> Result<Option<Nft>> {
    let set = world::set_file(CLIENT, friends)?;
    let world = World {
        policy: world::friends_only()?,
        sets: BTreeMap::from([(FRIENDS.to_owned(), set)]),
        inventory: world::inventory(containers)?,
    };
    apply(&world, proof, backstop)
}

/// A kernel whose `security` table nobody sees.
struct Kernel {
    host: HostKernel,
    security: bool,
}

impl kernel::Kernel for Kernel {
    fn observe(&mut self, members: &(dyn Fn(&str) -> bool + Sync)) -> std::result::Result<Dump, KernelError> {
        let mut dump = self.host.observe(members)?;
        dump.tables.retain(|(_, table), _| self.security || *table != Table::Security);
        Ok(dump)
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> std::result::Result<(), KernelError> {
        self.host.restore_rules(family, text)
    }

    fn restore_sets(&mut self, text: &str) -> std::result::Result<(), KernelError> {
        self.host.restore_sets(text)
    }
}

/// Puts a world in force in this thread's network namespace.
fn apply(world: &World, proof: Proof, backstop: bool) -> Result<Option<Nft>> {
    let pass = Pass { proof, ..world.pass() };
    let users = pass.users();
    let mut kernel = Kernel { host: HostKernel::new(Tools::from_env()), security: backstop };
    let before = reconcile::observe(&mut kernel, &users)?;
    let state = reconcile::apply(&mut kernel, &users, &before, &|state| pass.desired(state), &|| false)?.state;
    let Some(line) = ThirdLine::of(&pass.resolved(&state), |family| Ground::of(&state, family)) else {
        return Ok(None);
    };
    let mut nft = Nft::start(&Tools::from_env(), || {})?;
    nft.run(&line.raise())?;
    Ok(Some(nft))
}

fn linear(count: usize) -> String {
    let mut text = "*filter\n-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n".to_owned();
    for number in 0..count {
        let address = address(number);
        let _ =
            write!(text, "-A DOCKER-USER -s {CLIENT} -d {address} -j RETURN\n-A DOCKER-USER -d {address} -j DROP\n");
    }
    text + "COMMIT\n"
}

/// After ufw-docker's `after.rules`; `ufw route allow` writes a rule a protocol.
fn ufw_docker(count: usize) -> String {
    let mut text = "*filter\n:ufw-user-forward - [0:0]\n:ufw-docker-logging-deny - [0:0]\n\
        -A DOCKER-USER -j ufw-user-forward\n-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n\
        -A DOCKER-USER -m conntrack --ctstate INVALID -j DROP\n-A DOCKER-USER -i br-ffffffffffff -o br-ffffffffffff -j ACCEPT\n"
        .to_owned();
    for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] {
        let _ = writeln!(text, "-A DOCKER-USER -j RETURN -s {private}");
    }
    for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] {
        let _ = writeln!(text, "-A DOCKER-USER -j ufw-docker-logging-deny -m conntrack --ctstate NEW -d {private}");
    }
    text.push_str("-A DOCKER-USER -j RETURN\n-A ufw-docker-logging-deny -j DROP\n");
    for number in 0..count {
        for protocol in ["tcp", "udp"] {
            let _ = writeln!(
                text,
                "-A ufw-user-forward -s {CLIENT} -d {} -p {protocol} --dport {PORT} -j ACCEPT",
                address(number)
            );
        }
    }
    text + "COMMIT\n"
}

/// After whalewall's `base.go` and `create.go`.
fn whalewall(count: usize) -> String {
    let mut text = "table ip filter {\n map whalewall-container-addrs {\n  type ipv4_addr : verdict\n }\n".to_owned();
    for number in 0..count {
        let address = address(number);
        let _ = writeln!(text, " chain whalewall-c{number} {{");
        for protocol in ["tcp", "udp"] {
            let _ = write!(
                text,
                "  ip saddr {CLIENT} ip daddr {address} {protocol} dport {PORT} ct state new,established counter accept\n  \
                 ip saddr {address} ip daddr {CLIENT} {protocol} sport {PORT} ct state established counter accept\n"
            );
        }
        text.push_str("  counter drop\n }\n");
    }
    text.push_str(
        " chain whalewall {\n  ip saddr vmap @whalewall-container-addrs\n  ip daddr vmap @whalewall-container-addrs\n }\n}\n",
    );
    text.push_str("add element ip filter whalewall-container-addrs {\n");
    for number in 0..count {
        let _ = writeln!(text, "{} : jump whalewall-c{number},", address(number));
    }
    text + "}\ninsert rule ip filter DOCKER-USER counter jump whalewall\n"
}
