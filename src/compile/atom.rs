//! Rules taken apart into what one kernel rule can say, and put together again over all containers.
//!
//! An address has its own order of rules, cut into levels: level 0 is the allows before its first deny, level 1 the
//! denies that follow, level 2 the next allows, and so on. Within a level the verdict is the same, so the order cannot
//! matter; between addresses it cannot matter either, for a packet concerns one. So all addresses share the kernel
//! rules of a level, and the number of levels is the number of times that verdicts alternate, not the number of rules.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::net::{Family, PortRange, PortSet, Protocol, kernel_blocks};
use crate::policy::{Ports, RuleSource, TIMEOUT_MAX, Verdict};
use crate::resolve::{HostPort, Resolved, Sandboxed};
use crate::ruleset::{Member, SetEntry, SetKind};

/// Ranges up to this many ports are spelled out as set members; longer ones become a match in the rule.
const SPELLED_OUT: u32 = 32;
/// Up to this many members (ports times blocks) literal sources go into the same set as address and port.
const MERGED: usize = 256;

/// As what is logged whatever a kernel rule drops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Log {
    /// As denied by the rule at this place in the policy, with this ID.
    Rule(usize, String),
    /// As allowed by no rule.
    Closing,
    /// It is not.
    Nothing,
}

/// What distinguishes one kernel rule from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Place in the order; even levels allow, odd ones deny.
    pub(super) level: u16,
    /// Within a level, where the order cannot matter to packets, those come first that log, in the order of the policy:
    /// of several rules that deny a packet the first one is named.
    pub(super) log: Log,
    /// Only from this interface.
    pub(super) interface: Option<String>,
    /// Who.
    pub(super) source: Source,
    /// Which ports.
    pub(super) shape: Shape,
    /// Members expire.
    pub(super) timed: bool,
}

/// What names of sets are made of. They do not change with the place of a rule, and logging makes new ones only where a
/// rule that logs has to have its own.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = f.debug_struct("Key");
        key.field("level", &self.level).field("interface", &self.interface).field("source", &self.source);
        key.field("shape", &self.shape).field("timed", &self.timed);
        match &self.log {
            Log::Rule(_, id) => key.field("log", id),
            // Whether they log says the policy for all of them alike.
            Log::Closing | Log::Nothing => &mut key,
        };
        key.finish()
    }
}

impl Key {
    /// The verdict of its level.
    pub(super) fn verdict(&self) -> Verdict {
        if self.level.is_multiple_of(2) { Verdict::Allow } else { Verdict::Deny }
    }

    /// The kernel set, not made for this rule, that it asks for its sources.
    pub(super) fn named(&self) -> Option<&String> {
        match &self.source {
            Source::Named(name) => Some(name),
            _ => None,
        }
    }

    /// The kind of the set that holds its members.
    pub(super) fn set_kind(&self) -> SetKind {
        match (&self.source, &self.shape) {
            (Source::Merged, _) => SetKind::IpPortNet,
            (_, Shape::Spelled) => SetKind::IpPort,
            (_, Shape::HostPort | Shape::HostAddress | Shape::AnyAddress) => SetKind::NetPort,
            _ => SetKind::Ip,
        }
    }
}

/// The source half of a kernel rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Everybody.
    Any,
    /// The blocks are in the same set as address and port.
    Merged,
    /// A kernel set: a user's or another tool's.
    Named(String),
    /// A set of ours that holds these blocks.
    Blocks(Vec<IpNet>),
}

/// The port half of a kernel rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// Everything, every protocol.
    All,
    /// The set holds address and port.
    Spelled,
    /// A long range, matched by the rule.
    Range(PortRange),
    /// Came to these ports of the host.
    Published(PortRange),
    /// The set holds ports of every address of the host, and those addresses' ports that are others' as exceptions.
    HostPort,
    /// The set holds ports of whatever address, in a container's own namespace.
    AnyAddress,
    /// The set holds single addresses of the host with their ports. A set of its own: were they in the other one, the end
    /// of a member that expires would leave its address to the wider member.
    HostAddress,
}

/// All kernel rules of one family, in order, each with the members of its set.
pub(super) type Atoms = BTreeMap<Key, BTreeMap<SetEntry, Member>>;

/// Takes the rules of `family` apart, as they concern ports of the host.
pub(super) fn host_atoms(resolved: &Resolved, family: Family) -> Atoms {
    let mut atoms = Atoms::new();
    let parts: Vec<Parts> = (0..resolved.rules.len()).map(|index| Parts::of(resolved, index, family)).collect();
    let exceptions = Exceptions::of(resolved);
    for place in resolved.host_ports.iter().filter(|place| Family::of(&place.block.addr()) == family) {
        for (level, index) in levels(resolved, &place.rules) {
            parts[index].insert_host(&mut atoms, level, place, &exceptions);
        }
    }
    for (level, index) in resolved.resting.iter().flat_map(|rules| levels(resolved, rules)) {
        for source in parts[index].sources() {
            atoms.entry(parts[index].key(level, source, Shape::HostPort)).or_default();
        }
    }
    atoms
}

/// A port of the host as members of a set; the kernel takes no block of everything.
pub(super) fn host_entries(place: &HostPort) -> impl Iterator<Item = SetEntry> + '_ {
    let blocks = kernel_blocks(place.block).into_iter();
    blocks.map(|block| SetEntry::NetPort(block, place.protocol, place.port))
}

/// Single addresses of the host whose port is not its who has it on all others.
pub(super) struct Exceptions<'a>(BTreeMap<(Family, Protocol, u16), Vec<&'a HostPort>>);

impl<'a> Exceptions<'a> {
    pub(super) fn of(resolved: &'a Resolved) -> Self {
        let mut single: BTreeMap<_, Vec<&HostPort>> = BTreeMap::new();
        for place in resolved.host_ports.iter().filter(|place| !place.is_everywhere()) {
            single.entry((Family::of(&place.block.addr()), place.protocol, place.port)).or_default().push(place);
        }
        Self(single)
    }

    /// Those within `place`.
    pub(super) fn within(&self, place: &HostPort) -> impl Iterator<Item = &'a HostPort> {
        let key = (Family::of(&place.block.addr()), place.protocol, place.port);
        self.0.get(&key).filter(|_| place.is_everywhere()).into_iter().flatten().copied()
    }
}

/// The rules of one place with their levels.
fn levels<'a>(resolved: &'a Resolved, rules: &'a [usize]) -> impl Iterator<Item = (u16, usize)> + 'a {
    let mut level: u16 = 0;
    rules.iter().map(move |&index| {
        let allows = level.is_multiple_of(2);
        if allows != (resolved.rules[index].verdict == Verdict::Allow) {
            level += 1;
        }
        (level, index)
    })
}

/// Takes the rules of `family` apart.
pub(super) fn atoms(resolved: &Resolved, family: Family) -> Atoms {
    let mut atoms = Atoms::new();
    // What a rule says of sources and ports is the same for all its containers.
    let parts: Vec<Parts> = (0..resolved.rules.len()).map(|index| Parts::of(resolved, index, family)).collect();
    for place in resolved.places.iter().filter(|place| Family::of(&place.address) == family) {
        for (level, index) in levels(resolved, &place.rules) {
            parts[index].insert(&mut atoms, level, Some(place.address), &place.owner.to_string());
        }
    }
    for (level, index) in resolved.resting.iter().flat_map(|rules| levels(resolved, rules)) {
        parts[index].insert(&mut atoms, level, None, "");
    }
    insert_ingress(&mut atoms, &parts, resolved, family);
    atoms
}

/// Takes the rules of a namespace apart in which everything is the container's. `renamed` answers under which name a
/// kernel set is asked there; `None` for one that cannot be asked.
pub(super) fn sandbox_atoms(sandboxed: &Sandboxed, family: Family, renamed: impl Fn(&str) -> Option<String>) -> Atoms {
    let mut atoms = Atoms::new();
    let resolved = &sandboxed.resolved;
    let everything: Vec<usize> = (0..resolved.rules.len()).collect();
    let blocks = whole(family);
    for (level, index) in levels(resolved, &everything) {
        let mut parts = Parts::of(resolved, index, family);
        let asked = parts.named.len();
        parts.named = parts.named.iter().filter_map(|name| renamed(name)).collect();
        // Nobody listens there.
        parts.log = Log::Nothing;
        // Whom a deny means that cannot be asked, nobody knows: everybody.
        parts.any |= parts.named.len() < asked && resolved.rules[index].verdict == Verdict::Deny;
        parts.insert_whole(&mut atoms, level, &blocks, &sandboxed.owner.to_string());
    }
    atoms
}

/// Every kernel rule of `family` that may come of a rule alone, wherever its containers are: those of addresses, of ports of
/// the host and of the ingress, at every level that the order of the rules can put it on.
pub(super) fn possible(resolved: &Resolved, index: usize, family: Family) -> Atoms {
    let mut atoms = Atoms::new();
    let everything: Vec<usize> = (0..resolved.rules.len()).collect();
    // Fewer rules alternate no more often.
    let most = levels(resolved, &everything).last().map_or(0, |(level, _)| level);
    let parts = Parts::of(resolved, index, family);
    let first = u16::from(resolved.rules[index].verdict == Verdict::Deny);
    for level in (first..=most).step_by(2) {
        parts.insert(&mut atoms, level, None, "");
        for source in parts.sources() {
            let merged = match &source {
                Source::Blocks(blocks) if blocks.len() <= MERGED => Source::Merged,
                other => other.clone(),
            };
            atoms.entry(parts.key(level, merged, Shape::Spelled)).or_default();
            for shape in [Shape::HostPort, Shape::HostAddress] {
                atoms.entry(parts.key(level, source.clone(), shape)).or_default();
            }
        }
    }
    atoms
}

/// All addresses, in blocks that the kernel's sets take.
pub(super) fn whole(family: Family) -> Vec<IpNet> {
    kernel_blocks(match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
    })
}

/// Ports that share one address are judged like addresses of their own: each has its order of rules. What closes one is
/// the last of them, not the set of guarded addresses, for the other ports there may be somebody else's.
fn insert_ingress(atoms: &mut Atoms, parts: &[Parts], resolved: &Resolved, family: Family) {
    for place in resolved.ingress.iter().filter(|place| Family::of(&place.address) == family) {
        let entry = (place.address, place.protocol, place.port);
        let owner = place.owner.to_string();
        let mut level = 0;
        for (next, index) in levels(resolved, &place.rules) {
            level = next;
            parts[index].insert_port(atoms, level, entry, &owner);
        }
        if place.guarded {
            // Odd levels deny.
            let log = if resolved.log { Log::Closing } else { Log::Nothing };
            Parts::everybody(log).insert_port(atoms, level | 1, entry, &owner);
        }
    }
}

/// One rule's sources and ports in one family.
struct Parts {
    log: Log,
    interface: Option<String>,
    /// Seconds it still has.
    remaining: Option<u32>,
    any: bool,
    named: Vec<String>,
    blocks: Vec<IpNet>,
    shapes: Vec<Shape>,
    spelled: Vec<(Protocol, u16)>,
}

impl Parts {
    fn of(resolved: &Resolved, index: usize, family: Family) -> Self {
        let rule = &resolved.rules[index];
        let (shapes, spelled) = shapes(&rule.ports);
        let logs = rule.verdict == Verdict::Deny && (resolved.log || rule.log);
        let mut parts = Self {
            log: if logs { Log::Rule(index, rule.id()) } else { Log::Nothing },
            interface: rule.interface.clone(),
            remaining: resolved.remaining[index],
            any: false,
            named: Vec::new(),
            blocks: Vec::new(),
            shapes,
            spelled,
        };
        for source in &rule.sources {
            match source {
                RuleSource::Any => parts.any = true,
                RuleSource::Set(name) => parts.named.push(name.kernel_name(family)),
                RuleSource::Ipset(name) if resolved.ipsets.get(name) == Some(&family) => parts.named.push(name.clone()),
                RuleSource::Ipset(_) => {}
                RuleSource::Literal { blocks, .. } => {
                    parts.blocks.extend(blocks.iter().filter(|block| Family::of(&block.addr()) == family));
                }
            }
        }
        if parts.blocks.iter().any(|block| block.prefix_len() == 0) {
            parts.any = true;
        }
        parts.blocks = IpNet::aggregate(&parts.blocks).into_iter().flat_map(kernel_blocks).collect();
        parts.blocks.sort_unstable();
        parts.named.sort_unstable();
        parts.named.dedup();
        parts
    }

    /// Anybody, for ever.
    fn everybody(log: Log) -> Self {
        let (blocks, named, spelled) = (Vec::new(), Vec::new(), Vec::new());
        Self { log, interface: None, remaining: None, any: true, named, blocks, shapes: Vec::new(), spelled }
    }

    /// Who comes, as far as it does not depend on the ports; everybody contains all other sources of the rule.
    fn sources(&self) -> Vec<Source> {
        if self.any {
            return vec![Source::Any];
        }
        let mut sources: Vec<Source> = self.named.iter().cloned().map(Source::Named).collect();
        if !self.blocks.is_empty() {
            sources.push(Source::Blocks(self.blocks.clone()));
        }
        sources
    }

    /// Without an address only the kernel rules themselves, with sets that hold nothing.
    fn insert(&self, atoms: &mut Atoms, level: u16, address: Option<IpAddr>, owner: &str) {
        let few = self.blocks.len() * self.spelled.len() <= MERGED;
        for source in self.sources() {
            for shape in &self.shapes {
                let source = match (&source, shape) {
                    (Source::Blocks(_), Shape::Spelled) if few => Source::Merged,
                    _ => source.clone(),
                };
                let entries = |address: IpAddr| -> Vec<SetEntry> {
                    let ports = self.spelled.iter().copied();
                    match (&source, shape) {
                        (Source::Merged, _) => ports
                            .flat_map(|(protocol, port)| {
                                let entry = move |&block| SetEntry::IpPortNet(address, protocol, port, block);
                                self.blocks.iter().map(entry)
                            })
                            .collect(),
                        (_, Shape::Spelled) => {
                            ports.map(|(protocol, port)| SetEntry::IpPort(address, protocol, port)).collect()
                        }
                        _ => vec![SetEntry::Net(IpNet::from(address))],
                    }
                };
                let entries = address.map(entries).unwrap_or_default();
                self.put(atoms, self.key(level, source.clone(), shape.clone()), entries, owner);
            }
        }
    }

    /// As [`Self::insert`] where every address is the container's.
    fn insert_whole(&self, atoms: &mut Atoms, level: u16, blocks: &[IpNet], owner: &str) {
        for source in self.sources() {
            for shape in &self.shapes {
                let (shape, entries): (Shape, Vec<SetEntry>) = match shape {
                    Shape::Spelled => {
                        let ports = || self.spelled.iter();
                        let entry = |&block: &IpNet| {
                            ports().map(move |&(protocol, port)| SetEntry::NetPort(block, protocol, port))
                        };
                        (Shape::AnyAddress, blocks.iter().flat_map(entry).collect())
                    }
                    shape => (shape.clone(), blocks.iter().map(|block| SetEntry::Net(*block)).collect()),
                };
                self.put(atoms, self.key(level, source.clone(), shape), entries, owner);
            }
        }
    }

    /// For one port alone, which the rule speaks of.
    fn insert_port(&self, atoms: &mut Atoms, level: u16, entry: (IpAddr, Protocol, u16), owner: &str) {
        let (address, protocol, port) = entry;
        for source in self.sources() {
            let (source, entries) = match source {
                Source::Blocks(blocks) if blocks.len() <= MERGED => {
                    let entry = |block| SetEntry::IpPortNet(address, protocol, port, block);
                    (Source::Merged, blocks.into_iter().map(entry).collect())
                }
                source => (source, vec![SetEntry::IpPort(address, protocol, port)]),
            };
            self.put(atoms, self.key(level, source, Shape::Spelled), entries, owner);
        }
    }

    fn insert_host(&self, atoms: &mut Atoms, level: u16, place: &HostPort, exceptions: &Exceptions<'_>) {
        let shape = if place.is_everywhere() { Shape::HostPort } else { Shape::HostAddress };
        for source in self.sources() {
            let key = self.key(level, source, shape.clone());
            self.put(atoms, key.clone(), host_entries(place).collect(), &place.owner.to_string());
            let members = atoms.entry(key).or_default();
            // They stay when the rule is over, so that time makes no drift; what nothing contains, they do not change.
            for other in exceptions.within(place) {
                let member = Member {
                    timeout: self.remaining.map(|_| 0),
                    comment: Some(other.owner.to_string()),
                    nomatch: true,
                };
                members.extend(host_entries(other).map(|entry| (entry, member.clone())));
            }
        }
    }

    fn key(&self, level: u16, source: Source, shape: Shape) -> Key {
        let log = self.log.clone();
        Key { level, log, interface: self.interface.clone(), source, shape, timed: self.remaining.is_some() }
    }

    fn put(&self, atoms: &mut Atoms, key: Key, entries: Vec<SetEntry>, owner: &str) {
        let timeout = self.timeout(key.verdict());
        let members = atoms.entry(key).or_default();
        if self.remaining == Some(0) {
            // Over: the kernel let the members go by itself, and rule and set stay for the next time.
            return;
        }
        for entry in entries {
            let member = members.entry(entry).or_insert_with(|| Member {
                timeout,
                comment: Some(owner.to_owned()),
                nomatch: false,
            });
            // Two rules that end at different times share the entry until the later end; 0 is never.
            member.timeout = match (member.timeout, timeout) {
                (Some(one), Some(other)) if one != 0 && other != 0 => Some(one.max(other)),
                (Some(_), Some(_)) => Some(0),
                _ => None,
            };
        }
    }

    /// The kernel's timeout. It takes 24 days at most; a longer allow ends then unless somebody applies before, a longer
    /// deny stays until somebody applies after.
    fn timeout(&self, verdict: Verdict) -> Option<u32> {
        match (self.remaining?, verdict) {
            (seconds, _) if seconds <= TIMEOUT_MAX => Some(seconds),
            (_, Verdict::Allow) => Some(TIMEOUT_MAX),
            (_, Verdict::Deny) => Some(0),
        }
    }
}

fn shapes(ports: &Ports) -> (Vec<Shape>, Vec<(Protocol, u16)>) {
    let mut shapes = Vec::new();
    let mut spelled = Vec::new();
    if ports.container.is_none() && ports.published.is_none() {
        shapes.push(Shape::All);
    }
    for range in ports.container.iter().flat_map(PortSet::ranges) {
        if range.count() <= SPELLED_OUT {
            spelled.extend((range.first..=range.last).map(|port| (range.protocol, port)));
        } else {
            shapes.push(Shape::Range(*range));
        }
    }
    for range in ports.published.iter().flat_map(PortSet::ranges) {
        shapes.push(Shape::Published(*range));
    }
    if !spelled.is_empty() {
        shapes.push(Shape::Spelled);
    }
    (shapes, spelled)
}
