//! Rules taken apart into what one kernel rule can say, and put together again over all containers.
//!
//! An address has its own order of rules, cut into levels: level 0 is the allows before its first deny, level 1 the
//! denies that follow, level 2 the next allows, and so on. Within a level the verdict is the same, so the order cannot
//! matter; between addresses it cannot matter either, for a packet concerns one. So all addresses share the kernel
//! rules of a level, and the number of levels is the number of times that verdicts alternate, not the number of rules.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::net::{Family, PortRange, PortSet, Protocol, kernel_blocks};
use crate::policy::{Ports, RuleSource, Verdict};
use crate::resolve::Resolved;
use crate::ruleset::{Member, SetEntry, SetKind};

/// Ranges up to this many ports are spelled out as set members; longer ones become a match in the rule.
const SPELLED_OUT: u32 = 32;
/// Up to this many members (ports times blocks) literal sources go into the same set as address and port.
const MERGED: usize = 256;

/// What distinguishes one kernel rule from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Place in the order; even levels allow, odd ones deny.
    pub(super) level: u16,
    /// Only from this interface.
    pub(super) interface: Option<String>,
    /// Who.
    pub(super) source: Source,
    /// Which ports.
    pub(super) shape: Shape,
    /// Members expire.
    pub(super) timed: bool,
}

impl Key {
    /// The verdict of its level.
    pub(super) fn verdict(&self) -> Verdict {
        if self.level.is_multiple_of(2) { Verdict::Allow } else { Verdict::Deny }
    }

    /// The kind of the set that holds its members.
    pub(super) fn set_kind(&self) -> SetKind {
        match (&self.source, &self.shape) {
            (Source::Merged, _) => SetKind::IpPortNet,
            (_, Shape::Spelled) => SetKind::IpPort,
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
}

/// All kernel rules of one family, in order, each with the members of its set.
pub(super) type Atoms = BTreeMap<Key, BTreeMap<SetEntry, Member>>;

/// Takes the rules of `family` apart.
pub(super) fn atoms(resolved: &Resolved, family: Family) -> Atoms {
    let mut atoms = Atoms::new();
    // What a rule says of sources and ports is the same for all its containers.
    let parts: Vec<Parts> = (0..resolved.rules.len()).map(|index| Parts::of(resolved, index, family)).collect();
    // A rule whose sources are all of the other family has no kernel rules here, but keeps its place in no level either.
    for place in resolved.places.iter().filter(|place| Family::of(&place.address) == family) {
        let mut level = 0;
        for &index in &place.rules {
            let rule = &resolved.rules[index];
            let allows = level % 2 == 0;
            if allows != (rule.verdict == Verdict::Allow) {
                level += 1;
            }
            parts[index].insert(&mut atoms, level, place.address, &place.container);
        }
    }
    atoms
}

/// One rule's sources and ports in one family.
struct Parts {
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
        let mut parts = Self {
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
                RuleSource::Set(name) => parts.named.push(user_set_name(name.as_str(), family)),
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

    fn insert(&self, atoms: &mut Atoms, level: u16, address: IpAddr, container: &str) {
        if self.any {
            // Everybody contains all other sources of the rule.
            self.insert_from(atoms, level, address, container, &Source::Any);
            return;
        }
        for name in &self.named {
            self.insert_from(atoms, level, address, container, &Source::Named(name.clone()));
        }
        if self.blocks.is_empty() {
            return;
        }
        let merged = self.blocks.len() * self.spelled.len() <= MERGED;
        for shape in &self.shapes {
            let source = match shape {
                Shape::Spelled if merged => Source::Merged,
                _ => Source::Blocks(self.blocks.clone()),
            };
            self.insert_shape(atoms, level, address, container, &source, shape);
        }
    }

    fn insert_from(&self, atoms: &mut Atoms, level: u16, address: IpAddr, container: &str, source: &Source) {
        for shape in &self.shapes {
            self.insert_shape(atoms, level, address, container, source, shape);
        }
    }

    fn insert_shape(&self, atoms: &mut Atoms, level: u16, address: IpAddr, container: &str, source: &Source, shape: &Shape) {
        let key = Key {
            level,
            interface: self.interface.clone(),
            source: source.clone(),
            shape: shape.clone(),
            timed: self.remaining.is_some(),
        };
        let entries: Vec<SetEntry> = match (source, shape) {
            (Source::Merged, _) => self
                .spelled
                .iter()
                .flat_map(|&(protocol, port)| {
                    self.blocks.iter().map(move |&block| SetEntry::IpPortNet(address, protocol, port, block))
                })
                .collect(),
            (_, Shape::Spelled) => {
                self.spelled.iter().map(|&(protocol, port)| SetEntry::IpPort(address, protocol, port)).collect()
            }
            _ => vec![SetEntry::Net(IpNet::from(address))],
        };
        let members = atoms.entry(key).or_default();
        for entry in entries {
            let member = members.entry(entry).or_insert_with(|| Member {
                timeout: self.remaining,
                comment: Some(container.to_owned()),
                nomatch: false,
            });
            // Two rules that end at different times share the entry until the later end.
            member.timeout = member.timeout.max(self.remaining);
        }
    }
}

/// The kernel's name of one half of a user's set.
pub(super) fn user_set_name(name: &str, family: Family) -> String {
    match family {
        Family::V4 => name.to_owned(),
        Family::V6 => format!("{name}-v6"),
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
