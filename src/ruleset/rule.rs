//! One iptables rule of the kinds that we write, and the names of our chains.

use std::fmt;

use crate::net::{Family, PortRange, Protocol};

/// Names of our chains and of the chains that call them.
pub mod names {
    /// Called from the hooks; sends guarded traffic to the two below.
    pub const MAIN: &str = "DOCKER-FIREWALL";
    /// Packets to a container.
    pub const TO: &str = "DOCKER-FIREWALL-TO";
    /// Packets from a container.
    pub const FROM: &str = "DOCKER-FIREWALL-FROM";
    /// The part of [`FROM`] that judges answers: the later rules, mirrored, and the final drop.
    pub const BACK: &str = "DOCKER-FIREWALL-BACK";
    /// The end of [`TO`] where what no rule allows is logged: tells, and drops.
    pub const CLOSED: &str = "DOCKER-FIREWALL-CLOSED";
    /// Called from INPUT; sends packets to ports that lead to containers to the next one.
    pub const HOST: &str = "DOCKER-FIREWALL-HOST";
    /// Packets to a published port that docker-proxy answers on the host, or to one that rules name.
    pub const HOST_TO: &str = "DOCKER-FIREWALL-HOST-TO";
    /// The end of [`HOST_TO`] where that is logged.
    pub const HOST_CLOSED: &str = "DOCKER-FIREWALL-HOST-CLOSED";
    /// Called from OUTPUT.
    pub const HOST_OUT: &str = "DOCKER-FIREWALL-HOST-OUT";
    /// What docker-proxy sends back.
    pub const HOST_FROM: &str = "DOCKER-FIREWALL-HOST-FROM";
    /// The part of [`HOST_FROM`] that judges answers.
    pub const HOST_BACK: &str = "DOCKER-FIREWALL-HOST-BACK";
    /// The last of ours in `security`: puts the proof on what it let through ([`super::PROOF`]).
    pub const PASS: &str = "DOCKER-FIREWALL-PASS";
    /// What is forwarded while no set can be trusted.
    pub const BLIND: &str = "DOCKER-FIREWALL-BLIND";
    /// What comes to the host meanwhile.
    pub const BLIND_IN: &str = "DOCKER-FIREWALL-BLIND-IN";
    /// What the host sends meanwhile.
    pub const BLIND_OUT: &str = "DOCKER-FIREWALL-BLIND-OUT";
    /// To a container: answers and nothing else.
    pub const BLIND_TO: &str = "DOCKER-FIREWALL-BLIND-TO";
    /// From a container: calls and nothing else.
    pub const BLIND_FROM: &str = "DOCKER-FIREWALL-BLIND-FROM";
    /// From INPUT of a container's own network namespace.
    pub const IN: &str = "DOCKER-FIREWALL-IN";
    /// From OUTPUT of a container's own network namespace.
    pub const OUT: &str = "DOCKER-FIREWALL-OUT";
    /// Every chain of ours begins so, and none of anybody else's.
    pub const PREFIX: &str = "DOCKER-FIREWALL";
    /// The engine's documented place for users' rules.
    pub const DOCKER_USER: &str = "DOCKER-USER";
    /// The engine's own chain of published ports.
    pub const DOCKER: &str = "DOCKER";
    /// Built-in chain of forwarded packets.
    pub const FORWARD: &str = "FORWARD";
    /// Built-in chain of packets to the host itself.
    pub const INPUT: &str = "INPUT";
    /// Built-in chain of packets from the host itself.
    pub const OUTPUT: &str = "OUTPUT";
    /// The nftables table, of the family `inet`, that the agent holds as its third line.
    pub const THIRD: &str = "docker-firewall";
    /// The comment on those of our rules that lie in a foreign chain, and the kernel's table of how often which source
    /// was logged.
    pub const MARK: &str = "docker-firewall";
}

/// The bit of a packet's mark that says that the backstop judged it: set by the last rule of ours in `security`, asked
/// and taken away again by the agent's own table right behind it, so that nobody else ever sees it.
///
/// Bits that others are known to use: Kubernetes 0x4000 and 0x8000, CNI's portmap and netavark 0x2000, Calico and Weave
/// those from 0x10000, Tailscale 0xff0000, Cilium 0x0f00; people's own marks are small numbers.
pub const PROOF: u32 = 0x1000;

/// An iptables table that we write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Where Docker's chains are.
    Filter,
    /// Runs after `filter`; the backstop.
    Security,
}

impl Table {
    /// Both, in the order in which the kernel asks them.
    pub const ALL: [Self; 2] = [Self::Filter, Self::Security];

    /// iptables' name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Security => "security",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which side of the packet a set dimension is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetDirection {
    /// Source address, source port or incoming interface.
    Src,
    /// Destination address, destination port or outgoing interface.
    Dst,
}

/// One condition of a rule. A rule holds them in the order in which `iptables-save` prints them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// `-i NAME`.
    InInterface(String),
    /// `-o NAME`.
    OutInterface(String),
    /// `-p tcp -m tcp --dport FIRST[:LAST]`.
    DestinationPorts(PortRange),
    /// `-p tcp -m tcp --sport FIRST[:LAST]`.
    SourcePorts(PortRange),
    /// `-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN`: a TCP packet that opens nothing.
    TcpNotSyn,
    /// `-p ipv6-icmp -m icmp6 --icmpv6-type N`.
    Icmp6(u8),
    /// `-p PROTOCOL` alone.
    Protocol(Protocol),
    /// `-m conntrack --ctstate RELATED`.
    Related,
    /// `-m conntrack --ctstate NEW`.
    New,
    /// `-m conntrack --ctdir ORIGINAL`.
    Original,
    /// `-m conntrack --ctdir REPLY`.
    Reply,
    /// `-m conntrack --ctstate DNAT`: the destination was rewritten, so it came to a published port.
    Dnat,
    /// `-m conntrack ! --ctstate DNAT`.
    NotDnat,
    /// `-m conntrack --ctstate INVALID,NEW,UNTRACKED`: of no known connection.
    Unknown,
    /// `-m hashlimit ...`: this family's source was not logged too often. Of rules that log only, for nothing may be
    /// decided by it; and last, for the kernel drops a packet that it has no room to count (kernel: `hashlimit_mt_common`).
    Seldom(Family),
    /// `-m conntrack --ctstate DNAT --ctorigdstport FIRST[:LAST]` after `-p PROTOCOL`: came to this published port.
    Published(PortRange),
    /// `-m set [!] --match-set NAME DIRECTIONS`.
    Set {
        /// Kernel name.
        name: String,
        /// Matches what is not in it.
        negated: bool,
        /// One a dimension.
        directions: Vec<SetDirection>,
    },
    /// `-m comment --comment TEXT`; one word of letters, digits and `-`, so that it needs no quotes.
    Comment(String),
}

/// What a rule does with a packet that meets all its conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Back to the calling chain: Docker's rules decide.
    Return,
    /// Gone.
    Drop,
    /// Gone, and its sender is told at once: `REJECT --reject-with tcp-reset`. Of `filter` only, for TCP only (kernel:
    /// `ipt_REJECT.c`).
    Reset,
    /// Through, past the rest of this table.
    Accept,
    /// `NFLOG`: told to whoever listens to [`LOG_GROUP`](super::LOG_GROUP), with this word; and on with the next rule.
    Log(String),
    /// Sets this one bit of the packet's mark and goes on: `MARK --set-xmark BIT/BIT`.
    Mark(u32),
    /// Call a chain and come back.
    Jump(String),
    /// Enter a chain for good: its end returns to our caller's caller.
    Goto(String),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// All must hold; empty matches everything.
    pub matches: Vec<Match>,
    /// Then this.
    pub action: Action,
}

impl Rule {
    /// A rule from its parts.
    pub fn new(matches: impl Into<Vec<Match>>, action: Action) -> Self {
        Self { matches: matches.into(), action }
    }
}
