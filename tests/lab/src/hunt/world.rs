//! The host that is hunted on: containers that are guarded and some that are not, rules, the agent.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::stranger::is_guarded;
use super::volley::Target;
use crate::{Client, Flavour, Lab, LabError, LabSpec, Protocol};

/// What an event may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trait {
    /// An agent runs.
    Agent,
    /// iptables writes to `nf_tables`.
    Nft,
    /// Other programs that write rules are installed.
    Tools,
}

/// The containers that are always there and that the friend may reach.
pub(super) const STANDING: &[&str] = &["web", "four", "six"];

const SCRIPT: &str = include_str!("world.sh");

const CONTAINERS: &str = r"
mkdir -p /run/heard
web
peer db -p 8180:80 -p 5453:53/udp -- tcp=80 udp=53
docker network create --subnet 172.28.0.0/24 four
peer four --network four -p 8280:80 -p 5553:53/udp -- tcp=80 udp=53
docker network create --ipv6 --subnet 172.27.0.0/24 --subnet fd00:6::/64 six
peer six --network six -p 8480:80 -p 5653:53/udp -- tcp=80 udp=53
docker network create --subnet 172.29.0.0/24 swap
swapped open-swap
peer open-always -p 8580:80 -p 5853:53/udp -- tcp=80 udp=53
until [ $(grep -c ^up /run/heard/log) = 6 ]; do sleep 0.05; done";

const POLICY: &str = r"
docker-firewall set create ipfriends
docker-firewall set add ipfriends 203.0.113.10 fd00:1::10
docker-firewall allow web four six --from ipfriends
docker-firewall allow db --from 198.51.100.1
docker-firewall allow label:tier=shop --pending --from ipfriends";

/// As `service install` leaves it where systemd keeps the agent.
const FOLLOWED: &str = r#"touch "$STATE/agent"; agent_start; until_true grep -q "kernel written" "$LOG""#;

/// The host, and who follows it.
pub(super) struct World {
    pub lab: Lab,
    pub agent: bool,
    /// One moment on both clocks: peers write down the time of day.
    epoch: (SystemTime, Instant),
    /// How many lines of the peers' record were read.
    read: usize,
    ups: Vec<(String, Instant)>,
}

impl World {
    /// Makes it. Without an agent there is no backstop either.
    pub(super) fn make(spec: LabSpec, plugin: &std::path::Path, agent: bool) -> Result<Self, LabError> {
        let lab = Lab::up(spec)?;
        lab.install_plugin(plugin)?;
        let epoch = (SystemTime::now(), Instant::now());
        let world = Self { lab, agent, epoch, read: 0, ups: Vec::new() };
        let arguments = world.lab.spec().all_args().join(" ");
        world.lab.feed(&arguments, &["sh", "-c", "cat > /run/dockerd-args"])?.require("dockerd's arguments")?;
        world.script(CONTAINERS)?;
        world.script(POLICY)?;
        world.script(if agent { FOLLOWED } else { "unhook" })?;
        Ok(world)
    }

    /// Runs a script on the host.
    pub(super) fn script(&self, text: &str) -> Result<String, LabError> {
        self.lab.exec(&["timeout", "120", "bash", "-c", &format!("{SCRIPT}\n{text}\n")])?.require(text)
    }

    pub(super) fn has(&self, what: Trait) -> bool {
        match what {
            Trait::Agent => self.agent,
            Trait::Nft => self.lab.spec().flavour == Flavour::Nft,
            Trait::Tools => self.lab.spec().tools,
        }
    }

    /// All the ways in that the stranger tries.
    pub(super) fn ways(&self) -> Result<Vec<Target>, LabError> {
        let hosts = [Client::Host.v4(), Client::Host.v6()];
        let mut ways = Vec::new();
        for to in hosts {
            let tcp = [8080, 8443, 8180, 8280, 8480, 8580, 8680, 8780, 8980];
            ways.extend(tcp.map(|port| Target::new(Protocol::Tcp, to, port)));
            for port in [5353, 5453, 5553, 5653, 5753, 5853] {
                let once = Target::new(Protocol::Udp, to, port);
                ways.extend([once.clone(), Target { standing: true, ..once }]);
            }
        }
        let straight = ["172.17.0.2", "172.17.0.3", "172.17.0.4", "172.17.0.5", "172.17.0.6"];
        let others = ["172.28.0.2", "172.27.0.2", "172.29.0.2", "172.29.0.9", "172.30.0.2", "fd00:6::2"];
        let own = ["web", "db"].map(|name| self.lab.addresses(name, "bridge"));
        let mut addresses: Vec<_> = straight.iter().chain(&others).filter_map(|text| text.parse().ok()).collect();
        for found in own {
            addresses.extend(found?.v6);
        }
        for to in addresses {
            ways.extend([Target::new(Protocol::Tcp, to, 80), Target::new(Protocol::Udp, to, 53)]);
        }
        Ok(ways)
    }

    /// What the friend uses, and whose it is.
    pub(super) fn services() -> Vec<Target> {
        let (v4, v6) = (Client::Host.v4(), Client::Host.v6());
        let services = [
            (Protocol::Tcp, v4, 8080, "web"),
            (Protocol::Tcp, v6, 8080, "web"),
            (Protocol::Udp, v4, 5353, "web"),
            (Protocol::Udp, v6, 5353, "web"),
            (Protocol::Tcp, v4, 8280, "four"),
            (Protocol::Tcp, v6, 8280, "four"),
            (Protocol::Udp, v6, 5553, "four"),
            (Protocol::Tcp, v6, 8480, "six"),
            (Protocol::Tcp, v4, 8680, "shop-1"),
            (Protocol::Tcp, v4, 8780, "shop-swap"),
            (Protocol::Tcp, v4, 8980, "shop-made"),
        ];
        services.map(|(protocol, to, port, peer)| Target { peer, ..Target::new(protocol, to, port) }).to_vec()
    }

    /// Whether docker-proxy carries it: IPv6 to a container that has none.
    pub(super) fn is_proxied(target: &Target) -> bool {
        target.to.is_ipv6() && target.peer == "four"
    }

    /// Reads what peers wrote down since the last time: the stranger's words that guarded ones received.
    pub(super) fn read_record(&mut self) -> Result<Vec<String>, LabError> {
        let text = self.lab.exec(&["cat", "/run/heard/log"])?.require("the peers' record")?;
        let mut heard = Vec::new();
        for line in text.lines().skip(self.read) {
            self.read += 1;
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["up", name, at] => {
                    let at = Duration::from_nanos(at.parse().unwrap_or_default());
                    let since = (UNIX_EPOCH + at).duration_since(self.epoch.0).unwrap_or_default();
                    self.ups.push(((*name).to_owned(), self.epoch.1 + since));
                }
                ["heard", name, word, _] if is_guarded(name) => heard.push(format!("{name} received {word}")),
                _ => {}
            }
        }
        Ok(heard)
    }

    /// When a container was last up, if that was after a moment.
    pub(super) fn up_since(&self, name: &str, moment: Instant) -> Option<Instant> {
        self.ups.iter().rev().find(|(who, at)| who == name && *at >= moment).map(|(_, at)| *at)
    }
}
