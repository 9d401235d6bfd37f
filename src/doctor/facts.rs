//! What the checks go by, as plain data that `host` and `cli` fill in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::net::{Family, Protocol};

/// The host around the engine, read without anybody's help.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What `docker firewall` is called as.
    pub program: String,
    /// Whether the policy has any rule; `None` where it cannot be read.
    pub has_rules: Option<bool>,
    /// Parts of the kernel.
    pub modules: Modules,
    /// The agent's account of itself; `None` where none runs.
    pub agent: Option<Account>,
    /// Whether what agent and boot leave behind may be read here.
    pub sees_files: bool,
    /// Whether an agent is installed, so that what it has not seen is closed.
    pub agent_installed: bool,
    /// Seconds that may pass between two of its passes.
    pub agent_tick: i64,
    /// Whether systemd runs this system.
    pub systemd: bool,
    /// Our units.
    pub units: Vec<Unit>,
    /// The services' own copy of the program, and its path.
    pub copy: (Copied, String),
    /// What a boot knows.
    pub boot: BootRecords,
    /// Who else writes rules.
    pub firewalls: Vec<Firewall>,
    /// Where our files lie.
    pub volumes: Vec<Volume>,
    /// What time it is.
    pub clock: Clock,
}

/// A kernel module, and where it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// The option with which a kernel has it, without `CONFIG_`.
    pub option: &'static str,
    /// What does not work without it.
    pub cost: &'static str,
}

/// Where a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Loaded, or part of the kernel.
    Here,
    /// On the disk: the kernel takes it when it is needed.
    Loadable,
    /// Nowhere.
    Missing,
    /// Neither the kernel nor the disk tells.
    Untold,
}

/// The modules that were looked for.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// The kernel's release.
    pub release: String,
    /// Whether the directory of this release's modules is there.
    pub directory: bool,
    /// Where each is, by name.
    pub presence: BTreeMap<&'static str, Presence>,
}

/// What stands while somebody has taken away both of our lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ThirdLine {
    /// There is no rule that it would stand for.
    #[default]
    NotNeeded,
    /// The agent holds it.
    Held,
    /// There is none, for this reason.
    Missing(String),
}

/// What the agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its version; empty where it has not said anything yet.
    pub version: String,
    /// Whether the engine answered it last.
    pub connected: bool,
    /// Why its last pass failed, if it did.
    pub failure: Option<String>,
    /// Seconds since its last pass, where that can be told.
    pub since: Option<i64>,
    /// Its third line.
    pub third_line: ThirdLine,
}

/// A copy of something of ours that was installed once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copied {
    /// There is none.
    #[default]
    Nowhere,
    /// It is what this program would install.
    Current,
    /// It is something else.
    Outdated,
}

/// A unit of systemd's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub file: Copied,
    /// What systemd says of it, as in `enabled`; `unknown` where it was not asked.
    pub enabled: String,
    /// As in `active`.
    pub active: String,
}

/// What is kept for a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootRecords {
    /// Whether one can be used.
    pub usable: bool,
    /// What is wrong with those that cannot.
    pub faults: Vec<String>,
}

/// Another firewall that is set up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Enabled in `/etc/ufw/ufw.conf`.
    Ufw,
    /// A process of that name runs.
    Firewalld,
    /// systemd starts `nftables.service`, and its file begins with `flush ruleset`, as Debian's does.
    Nftables,
    /// Rules that iptables-persistent saved.
    Persistent,
    /// `/etc/ferm/ferm.conf`, and systemd or `/etc/default/ferm` starts it.
    Ferm,
    /// `STARTUP_ENABLED=Yes` in `/etc/shorewall`.
    Shorewall,
    /// `ConfigServer` Firewall: `/etc/csf/csf.conf`, not disabled.
    Csf,
}

/// A directory of ours and the file system under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The directory.
    pub path: String,
    /// Bytes that root may still write.
    pub free: u64,
    /// New files that it still takes; `None` where it does not count them.
    pub files: Option<u64>,
    /// Mounted read-only.
    pub read_only: bool,
}

/// The wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// What it says.
    pub now: Timestamp,
    /// When we last wrote that rules are in force, by what it said then.
    pub written: Option<Timestamp>,
}

/// How packets are filtered besides by the rules that were read.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// The kind of iptables in use, and why.
    pub flavour: (String, String),
    /// The other kind, where it holds anything.
    pub other: Option<OtherKind>,
    /// Packets that only the backstop dropped since somebody last set its counters back.
    pub missed: u64,
    /// Ports of the host from which docker-proxy calls containers.
    pub proxies: Vec<ForwardedPort>,
    /// How the engine was told to write rules; `None` where its process cannot be seen.
    pub settings: Option<Settings>,
    /// The bridges.
    pub bridges: Bridges,
}

/// The kind of iptables that is not in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherKind {
    /// Such as `iptables-legacy`.
    pub name: String,
    /// Its chains that hold rules or drop, and how many rules: `filter/INPUT`, of `IPv4`.
    pub chains: Vec<(Family, String, usize)>,
}

/// One of docker-proxy's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedPort {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it listens.
    pub from: (IpAddr, u16),
    /// Whom it calls.
    pub to: (IpAddr, u16),
}

/// A switch and where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// On or off.
    pub on: bool,
    /// The file, or the command line.
    pub place: String,
}

/// How dockerd was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--iptables`, where somebody set it.
    pub iptables: Option<Setting>,
    /// `--ip6tables`.
    pub ip6tables: Option<Setting>,
}

/// Whether what stays within a bridge meets iptables; `None` where the kernel does not offer it (`br_netfilter`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// `bridge-nf-call-iptables`.
    pub v4: Option<bool>,
    /// `bridge-nf-call-ip6tables`.
    pub v6: Option<bool>,
}

/// The bridges of this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridges {
    /// See [`Calls`].
    pub calls: Calls,
    /// Their ports that lead to no other network namespace; `None` where nobody could list them.
    pub ports: Option<Vec<Port>>,
}

/// An interface that was made a port of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The bridge.
    pub bridge: String,
    /// The interface.
    pub name: String,
}

/// What strangers found who were sent, in thought, over every way into every guarded container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// How many containers were looked at; of those on the host's network each piece of their ports counts.
    pub guarded: usize,
    /// How often somebody was sent over a way.
    pub tried: usize,
    /// Those that are open and should not be: the way, and why it is open.
    pub open: Vec<String>,
    /// Those of which nobody can tell: the way, and what is in the way of an answer.
    pub unknown: Vec<String>,
}
