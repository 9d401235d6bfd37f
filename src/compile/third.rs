//! The third line: a table of nftables that the agent holds, for the moments in which somebody took both of our lines away.
//!
//! It knows no policy. The last rule of ours in `security` puts a proof on what it let through ([`PROOF`]); this table comes
//! right behind it, drops what would cross to or from the engine's bridges without that proof, or reach a port that leads to
//! a container, and takes the proof away again. The kernel lets nobody but its owner change it (`flags owner`, 5.12 and
//! later), not even by `nft flush ruleset`, and takes it away when the owner ends.
//!
//! Here is its text alone, a line a transaction, in the language of nft.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Ground;
use crate::net::{Family, Protocol};
use crate::resolve::{Proof, Resolved};
use crate::ruleset::PROOF;
use crate::ruleset::names::THIRD;

/// Behind `security`, which iptables-legacy registers with 50 and iptables-nft with 150.
const PRIORITY: i32 = 160;

/// What it asks the proof of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThirdLine {
    /// Families in which the backstop leaves a proof.
    families: BTreeSet<Family>,
    /// The engine's bridges.
    bridges: BTreeSet<String>,
    /// Ports of the host that lead to containers that a rule or the default speaks of. Which of the host's addresses they
    /// are for makes no difference to who has no proof.
    ports: BTreeSet<(Protocol, u16)>,
}

/// A name that needs no care between quotes: `*` at its end would mean more than one.
fn is_plain(bridge: &str) -> bool {
    !bridge.is_empty() && bridge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte))
}

/// Elements as nft writes them.
fn elements(bridges: &BTreeSet<String>, ports: &BTreeSet<(Protocol, u16)>) -> [(&'static str, Vec<String>); 2] {
    [
        ("bridges", bridges.iter().map(|name| format!("\"{name}\"")).collect()),
        ("ports", ports.iter().map(|(protocol, port)| format!("{} . {port}", protocol.name())).collect()),
    ]
}

impl ThirdLine {
    /// The line for what the backstop judges; `None` where it leaves no proof, and nothing may ask for one.
    pub fn of(resolved: &Resolved, ground: impl Fn(Family) -> Ground) -> Option<Self> {
        let families: BTreeSet<Family> = Family::ALL.into_iter().filter(|family| ground(*family).security).collect();
        if families.is_empty() || !resolved.is_active() || resolved.proof == Proof::No {
            return None;
        }
        let bridges = resolved.inside.iter().map(|(_, bridge)| bridge).filter(|name| is_plain(name));
        let ports = resolved.host_ports.iter().filter(|port| port.is_ruled());
        Some(Self {
            families,
            bridges: bridges.cloned().collect(),
            ports: ports.map(|port| (port.protocol, port.port)).collect(),
        })
    }

    /// The transaction that puts it up, in the place of one that its owner has put up before.
    pub fn raise(&self) -> String {
        let mut text = format!("{}; delete table inet {THIRD}; {}", own(), own());
        let [bridges, ports] = elements(&self.bridges, &self.ports);
        for ((name, elements), kind) in [(bridges, "ifname"), (ports, "inet_proto . inet_service")] {
            let _ = write!(text, "; add set inet {THIRD} {name} {{ type {kind}; }}");
            if !elements.is_empty() {
                let _ = write!(text, "; add element inet {THIRD} {name} {{ {} }}", elements.join(", "));
            }
        }
        // A family in which nothing is proved is let go.
        let family = match self.families.iter().next() {
            Some(Family::V4) if self.families.len() == 1 => "meta nfproto ipv4 ",
            Some(Family::V6) if self.families.len() == 1 => "meta nfproto ipv6 ",
            _ => "",
        };
        let rules = [
            ("forward", "iifname @bridges drop"),
            ("forward", "oifname @bridges drop"),
            // What the host says to itself is nobody's business.
            ("input", "iifname != \"lo\" meta l4proto . th dport @ports drop"),
            // docker-proxy closes on its caller when it is told so, and does not hand over later what was said meanwhile.
            ("output", "oifname @bridges tcp flags & (fin | syn | rst | ack) == syn reject with tcp reset"),
            // The host's own neighbour discovery goes on.
            ("output", "oifname @bridges meta l4proto { tcp, udp, sctp } drop"),
            ("output", "oifname != \"lo\" meta l4proto . th sport @ports drop"),
        ];
        for chain in ["forward", "input", "output"] {
            let hook = format!("type filter hook {chain} priority {PRIORITY}; policy accept;");
            let _ = write!(text, "; add chain inet {THIRD} {chain} {{ {hook} }}");
            // First, for nearly everything has it: one look, and it is gone again.
            let proved = format!("meta mark & {PROOF:#x} == {PROOF:#x} meta mark set meta mark & {:#x} accept", !PROOF);
            let _ = write!(text, "; add rule inet {THIRD} {chain} {proved}");
        }
        for (chain, rule) in rules {
            let _ = write!(text, "; add rule inet {THIRD} {chain} {family}{rule}");
        }
        text
    }

    /// The transaction that makes `before`, which is up, into this; `None` when it has to be put up anew.
    pub fn change(&self, before: &Self) -> Option<String> {
        if self.families != before.families {
            return None;
        }
        let bridges = |one: &Self, other: &Self| one.bridges.difference(&other.bridges).cloned().collect();
        let ports = |one: &Self, other: &Self| one.ports.difference(&other.ports).copied().collect();
        let more = elements(&bridges(self, before), &ports(self, before));
        let fewer = elements(&bridges(before, self), &ports(before, self));
        let text = |verb: &str, (name, elements): (&str, Vec<String>)| {
            (!elements.is_empty()).then(|| format!("{verb} element inet {THIRD} {name} {{ {} }}", elements.join(", ")))
        };
        let more = more.into_iter().filter_map(|set| text("add", set));
        let fewer = fewer.into_iter().filter_map(|set| text("delete", set));
        Some(more.chain(fewer).collect::<Vec<_>>().join("; "))
    }
}

/// The transaction that takes hold of the name, so that whoever cannot have it knows before anything asks for a proof.
pub fn own() -> String {
    format!("add table inet {THIRD} {{ flags owner; }}")
}

/// The transaction that takes it down.
pub fn lower() -> String {
    format!("delete table inet {THIRD}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(families: &[Family], bridges: &[&str], ports: &[u16]) -> ThirdLine {
        ThirdLine {
            families: families.iter().copied().collect(),
            bridges: bridges.iter().map(|&name| name.to_owned()).collect(),
            ports: ports.iter().map(|port| (Protocol::Tcp, *port)).collect(),
        }
    }

    #[test]
    fn a_change_names_what_differs_and_nothing_else() {
        let before = line(&Family::ALL, &["docker0", "br-old"], &[80, 443]);
        let after = line(&Family::ALL, &["docker0", "br-new"], &[80, 443, 8080]);
        assert_eq!(
            after.change(&before).unwrap(),
            "add element inet docker-firewall bridges { \"br-new\" }; \
             add element inet docker-firewall ports { tcp . 8080 }; \
             delete element inet docker-firewall bridges { \"br-old\" }"
        );
        assert_eq!(after.change(&after).unwrap(), "");
        assert_eq!(line(&[Family::V4], &[], &[]).change(&line(&Family::ALL, &[], &[])), None);
    }

    #[test]
    fn a_family_without_proof_is_let_go() {
        let drops = |line: &ThirdLine| -> Vec<String> {
            let rules = line.raise();
            rules
                .split("; ")
                .filter(|rule| rule.contains(" drop") || rule.contains("reject"))
                .map(str::to_owned)
                .collect()
        };
        let both = drops(&line(&Family::ALL, &["docker0"], &[80]));
        assert_eq!(both.len(), 6);
        assert!(both.iter().all(|rule| !rule.contains("nfproto")));
        let one = drops(&line(&[Family::V6], &["docker0"], &[80]));
        assert!(one.len() == 6 && one.iter().all(|rule| rule.contains("meta nfproto ipv6 ")), "{one:?}");
    }

    #[test]
    fn it_is_one_line() {
        assert!(!line(&Family::ALL, &["docker0"], &[80]).raise().contains('\n'));
        assert!(!is_plain("br*") && !is_plain("a\" drop") && is_plain("br-0a_b.1"));
    }
}
