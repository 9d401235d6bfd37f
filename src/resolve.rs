//! Names become addresses: a policy and an inventory give, for every container address, the rules that speak of it.
//!
//! Nothing is decided here and nothing is looked up outside the arguments. What a name does not mean is a [`Finding`];
//! the caller decides whether that is an error (a rule being written) or a remark (a container that is away).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::inventory::{Container, Inventory, NetworkMode};
use crate::lint::{self, Finding};
use crate::net::{Family, Protocol};
use crate::policy::{DefaultAccess, Hook, Policy, Rule, Target};

mod boot;
mod host;
mod ingress;
mod sandbox;
mod selecting;
mod unseen;

pub use boot::{BootRecord, BootRecordError};
pub use host::{NAMED_PORTS_MAX, NamedPorts, contested, host_ports, named_count, named_ports};
pub use ingress::{
    IngressMemory, IngressOwner, IngressPort, SHARED, rule_selects_service, selects_service, services, speaks_of,
};
pub use sandbox::{Interface, Sandboxed, needs_sandbox, sandboxed};
use selecting::Selecting;
pub use unseen::Following;

/// What rules are resolved against.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The engine's containers and networks.
    pub inventory: &'a Inventory,
    /// Names of our sets.
    pub sets: &'a BTreeSet<String>,
    /// Kernel sets of other tools that a rule may name, with their families.
    pub ipsets: &'a BTreeMap<String, Family>,
    /// Addresses that the kernel holds rules for, with the container they were written for. One that has
    /// stopped most likely gets its address back, before anybody can write rules again.
    pub remembered: &'a BTreeMap<IpAddr, Owner>,
    /// The same for published ports of swarm services.
    pub ingress: &'a IngressMemory,
    /// Whether somebody follows what comes and goes.
    pub following: Following,
    /// The present moment, for expiry.
    pub now: Timestamp,
}

/// Whether the backstop leaves a proof on what it judged, for the third line that an agent holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Nobody asks for it, and nobody would take it away again.
    #[default]
    No,
    /// An agent can hold the line: wherever there are rules.
    Wanted,
    /// The line is up: also where there are no rules any more, for until it is down it drops whatever carries none.
    Asked,
}

/// Whose address or port it is: what the kernel keeps as the comment of a set's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The container's name.
    pub name: String,
    /// The first 12 digits of its ID, which outlive a change of its name.
    pub id: String,
}

impl Owner {
    /// The owner that a container is.
    pub fn of(container: &Container) -> Self {
        Self { name: container.name.clone(), id: container.id.chars().take(12).collect() }
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(comment: &str) -> Option<Self> {
        let (name, id) = comment.rsplit_once(' ')?;
        let is_id = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Self { name: name.to_owned(), id: id.to_owned() })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.id)
    }
}

/// One container address and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// Who has it, or had it when it stopped.
    pub owner: Owner,
    /// The container's ports that Docker publishes, sorted.
    pub published: Vec<(Protocol, u16)>,
    /// Indices into [`Resolved::rules`], in order.
    pub rules: Vec<usize>,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
}

/// One port of the host that leads to a container, and what is said of it. docker-proxy answers there whatever the
/// kernel does not rewrite: an IPv6 client of an IPv4-only container, everybody with `iptables=false`. Or a container on
/// the host's network does, if a rule says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The host address, or everything of the family.
    pub block: IpNet,
    /// The protocol.
    pub protocol: Protocol,
    /// The host's port.
    pub port: u16,
    /// Who has it, or will have it when it starts again.
    pub owner: Owner,
    /// Indices into [`Resolved::rules`] of the rules that speak of this port, in order.
    pub rules: Vec<usize>,
    /// Whether what no rule allows is dropped.
    pub guarded: bool,
    /// Whether somebody may open connections from it: a process on the host's network, or anybody while its container
    /// is stopped. docker-proxy, which holds it otherwise, only answers.
    pub calls: bool,
    /// Whether a rule's word makes it one: it is, or will be, that of a container on the host's network.
    pub named: bool,
}

impl HostPort {
    /// Whether anything is judged there; if not, it is an exception from a wider one.
    pub fn is_ruled(&self) -> bool {
        self.guarded || !self.rules.is_empty()
    }

    /// Whether it is for every address of its family.
    pub fn is_everywhere(&self) -> bool {
        self.block.prefix_len() == 0
    }
}

/// A policy with its names resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The policy's rules; numbers are indices plus one.
    pub rules: Vec<Rule>,
    /// Addresses that a rule or the default speaks of, sorted.
    pub places: Vec<Place>,
    /// Ports of the host that lead to those containers, sorted.
    pub host_ports: Vec<HostPort>,
    /// Published ports of swarm services that a rule or the default speaks of, sorted.
    pub ingress: Vec<IngressPort>,
    /// Whole subnets that are guarded, when the default is closed or an agent follows: a container started later is
    /// closed at once.
    pub closed: Vec<IpNet>,
    /// Every address that was seen, with a word on whose it is; what no rule speaks of is an exception from `closed` when
    /// the default is open. `None` when nobody follows: then what was not seen is nothing special.
    pub seen: Option<BTreeMap<IpAddr, String>>,
    /// Combinations of rules that nothing at all has at the moment and that something may have the next, when somebody
    /// follows: kernel rules for them stay, so that a container which comes back changes members of sets and nothing else.
    pub resting: Vec<Vec<usize>>,
    /// For containers that no allow rule selects.
    pub default: DefaultAccess,
    /// Where containers live: subnet and bridge.
    pub inside: Vec<(IpNet, String)>,
    /// Seconds that the rule of each index still has, 0 when it is over; `None` without an expiry. What is over keeps its
    /// place without members, as in the kernel, where the members have gone by themselves: time makes no drift.
    pub remaining: Vec<Option<u32>>,
    /// Kernel sets of other tools that exist, with their families.
    pub ipsets: BTreeMap<String, Family>,
    /// Where the rules hang.
    pub hook: Hook,
    /// Whoever is kept out is logged. What a rule denies is also where only the rule says so.
    pub log: bool,
    /// Whether the backstop leaves a proof; whoever knows of an agent says so.
    pub proof: Proof,
    /// What did not fit.
    pub findings: Vec<Finding>,
}

impl Resolved {
    /// Whether anything of ours must be in the kernel's tables.
    pub fn is_active(&self) -> bool {
        !self.rules.is_empty() || !self.closed.is_empty()
    }

    /// The same without any log, for a kernel that cannot.
    #[must_use]
    pub fn muted(mut self) -> Self {
        self.log = false;
        self.rules.iter_mut().for_each(|rule| rule.log = false);
        self
    }
}

/// The container whose network `container` uses: itself, or the one named by `--network container:X`.
pub fn network_owner<'a>(inventory: &'a Inventory, container: &'a Container) -> Option<&'a Container> {
    let mut owner = container;
    // Docker refuses cycles; eight steps are more than it allows to nest.
    for _ in 0..8 {
        match &owner.mode {
            NetworkMode::Container(other) => owner = inventory.container(other)?,
            _ => return Some(owner),
        }
    }
    None
}

/// Whether `target` means `container`.
pub fn selects(target: &Target, container: &Container, inventory: &Inventory) -> bool {
    match target {
        Target::All => true,
        Target::Container(name) => container.name == *name,
        Target::Service(project, service) => {
            container.compose_service().is_some_and(|own| own == format!("{project}/{service}"))
        }
        Target::SwarmService(name) => container.swarm_service() == Some(name),
        Target::Label(key, None) => container.labels.get(key).is_some(),
        Target::Label(key, Some(value)) => container.labels.get(key) == Some(value.as_str()),
        Target::Network(name) => container
            .endpoints
            .iter()
            .any(|endpoint| inventory.network(&endpoint.network).is_some_and(|network| network.name == *name)),
    }
}

/// Whether any target of `rule` means `container`.
pub fn rule_selects(rule: &Rule, container: &Container, inventory: &Inventory) -> bool {
    rule.targets.iter().any(|target| selects(target, container, inventory))
}

/// Seconds from `now` until `expires`, rounded up; 0 when it is past.
fn seconds_left(expires: Timestamp, now: Timestamp) -> u32 {
    let millis = expires.as_millisecond().saturating_sub(now.as_millisecond());
    if millis <= 0 { 0 } else { u32::try_from((millis + 999) / 1000).unwrap_or(u32::MAX) }
}

/// The addresses of a container that the host forwards to.
fn addresses<'a>(inventory: &'a Inventory, container: &'a Container) -> impl Iterator<Item = IpAddr> + 'a {
    inventory
        .forwarded(container)
        .flat_map(|(endpoint, _)| Family::ALL.into_iter().filter_map(|family| endpoint.address(family)))
}

/// What a binding's host address covers: itself, or its whole family when unspecified.
pub fn host_block(address: IpAddr) -> IpNet {
    if address.is_unspecified() { Family::of(&address).everything() } else { IpNet::from(address) }
}

/// Resolves every rule, and says what does not fit.
pub fn resolve(policy: &Policy, facts: &Facts<'_>) -> Resolved {
    let mut findings = lint::findings(policy, facts);
    let mut resolved = place(policy, facts);
    findings.append(&mut resolved.findings);
    Resolved { findings, ..resolved }
}

/// Resolves every rule. What is found is only what cannot be decided.
pub fn place(policy: &Policy, facts: &Facts<'_>) -> Resolved {
    let inventory = facts.inventory;
    let mut places: BTreeMap<IpAddr, Place> = BTreeMap::new();
    let mut owners: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
    let closes_unseen = facts.following.closes(policy.unseen);
    let selecting = Selecting::new(&policy.rules);

    // Those that run come last: an address is theirs, even if one that is stopped had it.
    let (running, stopped): (Vec<_>, Vec<_>) = inventory.containers.iter().partition(|container| container.running);
    for container in &running {
        for address in addresses(inventory, container) {
            owners.entry(address).or_default().insert(&container.name);
        }
    }
    for container in stopped.into_iter().chain(running) {
        let rules = selecting.of(container, inventory);
        // An expired allow keeps its container guarded: access that ends must not open the door to everybody.
        let guarded = policy.guards(rules.iter().map(|&i| &policy.rules[i]));
        if rules.is_empty() && !guarded {
            continue;
        }
        let own: Vec<IpAddr> = if container.running {
            addresses(inventory, container).collect()
        } else {
            let was_its = |(address, owner): &(&IpAddr, &Owner)| {
                container.id.starts_with(&owner.id) && !owners.contains_key(*address)
            };
            facts.remembered.iter().filter(was_its).map(|(address, _)| *address).collect()
        };
        // While somebody follows, whoever gets the address next does not get its rules, not even for a moment.
        let resting = closes_unseen && !container.running;
        let (rules, guarded) = if resting { (Vec::new(), true) } else { (rules, guarded) };
        let mut published: Vec<(Protocol, u16)> = container
            .bindings
            .iter()
            .filter(|binding| binding.host_port.is_some())
            .map(|binding| (binding.protocol, binding.container_port))
            .collect();
        published.sort_unstable();
        published.dedup();
        for address in own {
            let (published, rules) = (published.clone(), rules.clone());
            let place = Place { address, owner: Owner::of(container), published, rules, guarded };
            places.insert(address, place);
        }
    }
    let mut ingress = ingress::ports(policy, facts, &|address| owners.contains_key(address));
    let mut findings = Vec::new();
    // A container that claims the address where a swarm's ports arrive claims all of them.
    ingress.retain(|one| {
        let Some(names) = owners.get_mut(&one.address) else { return true };
        names.insert(SHARED);
        places.entry(one.address).or_insert_with(|| one.closed_place());
        false
    });
    for (address, names) in owners.into_iter().filter(|(_, names)| names.len() > 1) {
        // Nobody can say whose rules hold, so nobody comes in; addresses without any rule stay as they are.
        if let Some(place) = places.get_mut(&address) {
            place.rules.clear();
            place.guarded = true;
            let containers = names.into_iter().map(str::to_owned).collect();
            findings.push(Finding::SharedAddress { address, containers });
        }
    }

    let forwarded = || inventory.networks.iter().filter(|network| network.forwarded());
    let mut inside: Vec<(IpNet, String)> = forwarded()
        .filter_map(|network| Some((network.bridge.clone()?, network)))
        .flat_map(|(bridge, network)| network.subnets.iter().map(move |subnet| (subnet.trunc(), bridge.clone())))
        .collect();
    inside.sort();
    let mut closed = Vec::new();
    if policy.default == DefaultAccess::Closed || (closes_unseen && !policy.rules.is_empty()) {
        closed = forwarded().flat_map(|network| network.subnets.iter().map(IpNet::trunc)).collect();
        closed.sort();
    }
    let resolved = Resolved {
        remaining: policy.rules.iter().map(|rule| rule.expires.map(|at| seconds_left(at, facts.now))).collect(),
        rules: policy.rules.clone(),
        places: places.into_values().collect(),
        host_ports: host::host_ports(policy, inventory),
        ingress,
        seen: closes_unseen.then(|| unseen::seen(facts)),
        resting: if closes_unseen { unseen::resting(policy, inventory) } else { Vec::new() },
        closed,
        default: policy.default,
        inside,
        ipsets: facts.ipsets.clone(),
        hook: policy.hook,
        log: policy.log,
        proof: Proof::No,
        findings,
    };
    if closes_unseen && facts.following == Following::Blind { resolved.blinded() } else { resolved }
}
