//! The ways in which an administrator sets an engine up, and what each makes of the paths into a container.

use std::net::IpAddr;
use std::str::FromStr;

use super::cell::{Cell, Inbound, Way};
use super::model::Model;
use super::scenes::{CHANGES, HOST_NETWORK, MACVLAN, RULES, Scene, WAYS};
use super::target::{Mode, Network, Target};
use crate::{Lab, LabError, LabSpec, Protocol};

/// An engine's set-up, and the scene that is played on it.
#[derive(Debug)]
pub struct Variant {
    /// What it is asked for by.
    pub name: &'static str,
    /// More arguments of dockerd.
    dockerd: &'static [&'static str],
    /// Whether Docker writes IPv4 rules.
    iptables: bool,
    /// Whether Docker writes IPv6 rules.
    ip6tables: bool,
    /// Whether docker-proxy takes what no rule leads on.
    proxy: bool,
    /// Whether what a bridge forwards meets iptables; the engine's own choice if nothing is said.
    bridge_nf: Option<bool>,
    pub(crate) scene: &'static Scene,
}

const DEFAULT: Variant = Variant {
    name: "default",
    dockerd: &[],
    iptables: true,
    ip6tables: true,
    proxy: true,
    bridge_nf: None,
    scene: &RULES,
};

/// Every variant.
static ALL: [Variant; 10] = [
    DEFAULT,
    Variant { name: "no-proxy", dockerd: &["--userland-proxy=false"], proxy: false, ..DEFAULT },
    Variant { name: "no-iptables", dockerd: &["--iptables=false"], iptables: false, ip6tables: false, ..DEFAULT },
    Variant { name: "ip6tables-off", ip6tables: false, ..DEFAULT },
    Variant { name: "no-br-netfilter", bridge_nf: Some(false), ..DEFAULT },
    Variant { name: "br-netfilter", bridge_nf: Some(true), ..DEFAULT },
    Variant { name: "ways", scene: &WAYS, ..DEFAULT },
    Variant { name: "changes", scene: &CHANGES, ..DEFAULT },
    Variant { name: "host-network", scene: &HOST_NETWORK, ..DEFAULT },
    Variant { name: "macvlan", scene: &MACVLAN, ..DEFAULT },
];

impl Default for &'static Variant {
    fn default() -> Self {
        &ALL[0]
    }
}

impl FromStr for &'static Variant {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        ALL.iter().find(|variant| variant.name == text).ok_or_else(|| LabError::Unknown {
            what: "variant",
            name: text.to_owned(),
            known: Variant::NAMES,
        })
    }
}

impl Variant {
    /// The names of all, for people.
    pub const NAMES: &'static str = "default, no-proxy, no-iptables, ip6tables-off, no-br-netfilter, br-netfilter, ways, changes, host-network, \
         macvlan";

    /// A lab that is set up so.
    pub(crate) fn fit(&self, spec: LabSpec) -> LabSpec {
        let spec = spec.dockerd_args(self.dockerd.iter().copied());
        if self.ip6tables {
            return spec;
        }
        // Containers have IPv6 addresses, as they have on networks with a subnet; no rules are written for them.
        spec.without_ipv6().dockerd_args(["--ipv6", "--fixed-cidr-v6", "fd00:d0c::/64", "--ip6tables=false"])
    }

    /// Sets the host's switches, once the engine is up.
    pub(crate) fn switch(&self, lab: &Lab) -> Result<(), LabError> {
        let Some(on) = self.bridge_nf else { return Ok(()) };
        let script =
            r#"for family in ip ip6; do echo "$1" > /proc/sys/net/bridge/bridge-nf-call-${family}tables; done"#;
        lab.exec(&["sh", "-euc", script, "switch", if on { "1" } else { "0" }])?.require("br_netfilter").map(drop)
    }

    /// Whether the engine must open a cell before anything is typed, or the table would test nothing.
    pub(crate) fn must_open(&self, cell: &Cell) -> bool {
        if cell.way == Way::Outward {
            return true;
        }
        let Some(attempt) = cell.inbound else { return false };
        let networks = || self.networks(attempt.target);
        match cell.way {
            Way::Published => {
                let bound = attempt.target.bound.and_then(|address| address.parse::<IpAddr>().ok());
                let leads = |mode| matches!(mode, Mode::Nat | Mode::Unprotected);
                let led = networks().any(|network| leads(network.mode(cell.to))) && self.writes(cell.to);
                // Where no rule leads on, docker-proxy does; from IPv6 to IPv4 too, never the other way round.
                let proxied = networks().any(|network| {
                    let mode = network.mode(cell.to);
                    leads(mode) || cell.to.is_ipv6() && mode == Mode::None && network.is_led_to()
                });
                bound.is_none_or(|address| address == cell.to) && (led || self.proxy && proxied)
            }
            Way::HostNetwork => true,
            Way::Direct(name) => networks().filter(|network| network.name == name).any(|network| {
                let mode = network.mode(cell.to);
                mode == Mode::Unprotected
                    || (mode == Mode::Routed || network.trusting) && attempt.target.publishes(attempt.port)
            }),
            _ => false,
        }
    }

    /// Whether docker-proxy leads a cell's datagrams: one that it may not send on ends its session, and the client has
    /// to ask again.
    pub(crate) fn forgets(&self, cell: &Cell) -> bool {
        let led = |attempt: &Inbound| {
            self.networks(attempt.target).any(|network| network.mode(cell.to) != Mode::None) && self.writes(cell.to)
        };
        match cell.way {
            Way::LinkLocal => {
                cell.protocol == Protocol::Udp && !cell.inbound.is_some_and(|attempt| attempt.target.is_on_the_host())
            }
            Way::Published => cell.protocol == Protocol::Udp && !cell.inbound.as_ref().is_some_and(led),
            _ => false,
        }
    }

    /// Whether a session began while the kernel tracked no connections, and so may seem to have begun on the inside. Of
    /// datagrams nothing else tells the direction (SECURITY, known limits).
    pub(crate) fn is_untold(&self, cell: &Cell, model: &Model) -> bool {
        let (Way::Direct(name), Protocol::Udp, Some(attempt)) = (cell.way, cell.protocol, cell.inbound) else {
            return false;
        };
        // A namespace of its own tracks nothing before its first rules.
        let alone = self.scene.network(name).on_the_link;
        if alone { model.leaves(attempt.target) } else { model.is_reset() && !self.writes(cell.to) }
    }

    /// The path that a cell's packets take, for the figures.
    pub(crate) fn path(&self, cell: &Cell) -> String {
        let family = if cell.to.is_ipv4() { "IPv4" } else { "IPv6" };
        let Some(attempt) = cell.inbound else { return cell.way.to_string() };
        match cell.way {
            Way::Published => {
                let has = self.networks(attempt.target).any(|network| network.mode(cell.to) != Mode::None);
                let means = if has && self.writes(cell.to) { "DNAT" } else { "docker-proxy" };
                let bound = if attempt.target.bound.is_some() { ", bound to an address" } else { "" };
                format!("published{bound}, {family}, {means}")
            }
            Way::Direct(name) if self.scene.network(name).on_the_link => format!("macvlan, {family}"),
            Way::Direct(_) => format!("direct, {family}"),
            Way::HostNetwork => format!("host network, {family}"),
            Way::LinkLocal if attempt.target.is_on_the_host() => "host network, link-local".to_owned(),
            way => way.to_string(),
        }
    }

    fn networks(&self, target: &'static Target) -> impl Iterator<Item = &'static Network> {
        let made = target.networks.iter();
        made.map(|name| self.scene.network(name))
    }

    fn writes(&self, to: IpAddr) -> bool {
        if to.is_ipv4() { self.iptables } else { self.ip6tables }
    }
}
