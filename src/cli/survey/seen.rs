//! The kernel as `ls` looks at it: who is sent over the ways, and what becomes of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::access::{Calls, Lead, Onlooker, Stranger};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::world::{Call, World};
use crate::effective::{Effort, Link, Lookup, Memo, Others, Passage, Segment};
use crate::host::whole::Whole;
use crate::inventory::{Container, NetworkMode};
use crate::net::{Family, Protocol};
use crate::policy::{RuleSource, SetFile, SourceEntry};
use crate::ruleset::{Ask, SetDirection, is_own_set};

/// Rules that all ways together may ask: some seconds' worth. Ways that are left then are unknown.
pub(in crate::cli) const RULES_MAX: usize = 30_000_000;
/// Addresses that are looked at for one that stands for a source.
const CANDIDATES: usize = 64;
/// Sides of the host that strangers come from.
const SIDES: usize = 8;
/// Blocks that the public network never carries (RFC 2544, RFC 5180): nobody lists them.
const NOBODYS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1))];

/// Everything that was seen.
pub(super) struct Seen<'a> {
    world: World,
    sets: &'a BTreeMap<String, SetFile>,
    now: Timestamp,
    /// All sources of the policy.
    sources: BTreeSet<RuleSource>,
    strangers: BTreeMap<Family, Vec<Stranger>>,
    host: BTreeMap<Family, Vec<IpAddr>>,
    standing: RefCell<HashMap<(RuleSource, Family), Option<IpAddr>>>,
    memo: Memo,
    /// Whether somebody wants to read each step.
    steps: bool,
    /// Rules that may still be asked.
    left: Cell<usize>,
}

/// Reads the kernel, and the inside of containers that packets come to past the host.
pub(super) fn world(session: &mut Session, whole: Whole) -> Result<World, Failure> {
    let mut world = World::read(session, whole, None)?;
    for (owner, addresses) in wires(session)? {
        world.enter(session, &owner, &addresses)?;
    }
    Ok(world)
}

impl<'a> Seen<'a> {
    /// Looks at it.
    pub(super) fn new(world: World, session: &'a Session, steps: bool) -> Self {
        let rules = &session.policy().rules;
        let mut seen = Self {
            sets: &session.config().sets,
            now: session.now,
            sources: rules.iter().flat_map(|rule| rule.sources.iter().cloned()).collect(),
            strangers: BTreeMap::new(),
            host: BTreeMap::new(),
            standing: RefCell::default(),
            memo: Memo::default(),
            steps,
            left: Cell::new(RULES_MAX),
            world,
        };
        let sides: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.interface.as_deref()).collect();
        seen.host = Family::ALL.map(|family| (family, seen.find_host(family))).into();
        seen.strangers = Family::ALL.map(|family| (family, seen.find_strangers(&sides, family))).into();
        seen
    }

    /// What lies in the kernel and was not read, in words.
    pub(super) fn unread(&self) -> &[String] {
        &self.world.whole.unread
    }

    /// The host's addresses that people call, one of each kind that rules tell from others.
    fn find_host(&self, family: Family) -> Vec<IpAddr> {
        let hidden = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let own: Vec<IpAddr> = self.world.addresses().filter(|own| Family::of(own) == family && !hidden(own)).collect();
        let mut blocks: Vec<(IpAddr, IpAddr)> = Vec::new();
        for ask in self.conditions(family) {
            match ask {
                Ask::Destination(block) | Ask::OriginalDestination(block) => {
                    blocks.push((block.network(), block.broadcast()));
                }
                Ask::DestinationRange(first, last) => blocks.push((*first, *last)),
                // Whatever they hold, they may hold some of them only. Our own hold what containers are bound to.
                Ask::Set { name, directions }
                    if directions.contains(&SetDirection::Dst)
                        && !is_own_set(name)
                        && self.users(name, family).is_none() =>
                {
                    return own;
                }
                _ => {}
            }
        }
        let mut kinds = BTreeSet::new();
        let mut kept = own.clone();
        kept.retain(|address| {
            let holding: BTreeSet<(IpAddr, IpAddr)> =
                blocks.iter().copied().filter(|(first, last)| (*first..=*last).contains(address)).collect();
            kinds.insert((self.world.host.device(address).map(str::to_owned), holding))
        });
        kept
    }

    /// One on each side of the host that some rule tells from others; the side of the default route comes first.
    fn find_strangers(&self, named: &BTreeSet<&str>, family: Family) -> Vec<Stranger> {
        let links: BTreeSet<&str> = self
            .conditions(family)
            .filter_map(|ask| match ask {
                Ask::In(pattern) | Ask::Out(pattern) => Some(pattern.as_str()),
                _ => None,
            })
            .collect();
        let told = |name: &str| {
            let fits = |pattern: &&str| match pattern.strip_suffix('+') {
                Some(start) => name.starts_with(start),
                None => *pattern == name,
            };
            named.contains(name) || links.iter().any(fits)
        };
        let host = &self.world.host;
        // Every link has a link-local block, also those of containers.
        let hidden = |block: &IpNet| {
            block.addr().is_multicast() || matches!(block.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local())
        };
        let of_family = |block: &IpNet| Family::of(&block.addr()) == family && !hidden(block);
        let routes = || host.routes.iter().filter(|route| of_family(&route.block));
        let outside = |name: &&str| *name != "lo" && !host.bridges.contains(*name);
        let default = routes().find(|route| route.block.prefix_len() == 0).and_then(|route| route.device.as_deref());
        let mut sides: Vec<&str> = default.into_iter().filter(outside).collect();
        for name in routes().filter_map(|route| route.device.as_deref()).filter(outside) {
            if !sides.contains(&name) && (sides.is_empty() || told(name)) {
                sides.push(name);
            }
        }
        sides.truncate(SIDES);
        sides
            .into_iter()
            .filter_map(|name| {
                let address = self.nobody(name, family)?;
                Some(Stranger { address, interface: name.to_owned() })
            })
            .collect()
    }

    /// An address behind an interface that is in no block and no set that rules name, if there is one.
    fn nobody(&self, interface: &str, family: Family) -> Option<IpAddr> {
        let routes = self.world.host.routes.iter().filter(|route| route.device.as_deref() == Some(interface));
        let blocks = routes.map(|route| route.block).filter(|block| block.prefix_len() > 0);
        let fresh = NOBODYS.into_iter().filter(|address| Family::of(address) == family);
        let ends = blocks.flat_map(|block| within(block, &[])).filter(|address| Family::of(address) == family);
        let named: Vec<IpNet> = self
            .conditions(family)
            .filter_map(|ask| match ask {
                Ask::Source(block) if block.prefix_len() > 0 => Some(*block),
                _ => None,
            })
            .collect();
        let sets: BTreeSet<&str> = self
            .conditions(family)
            .filter_map(|ask| match ask {
                Ask::Set { name, directions } if **directions == [SetDirection::Src] && !is_own_set(name) => {
                    Some(name.as_str())
                }
                _ => None,
            })
            .collect();
        let unnamed = |address: &IpAddr| {
            !named.iter().any(|block| block.contains(address))
                && !self.sources.iter().any(|source| *source != RuleSource::Any && self.is_from(source, *address))
                && !sets.iter().any(|set| self.holds(set, *address))
        };
        let mut valid = fresh
            .chain(ends)
            .filter(|address| self.comes(*address) && self.world.interface(*address) == Some(interface));
        let first = valid.next()?;
        Some(std::iter::once(first).chain(valid).take(CANDIDATES).find(unnamed).unwrap_or(first))
    }

    /// What the rules of a family ask.
    fn conditions(&self, family: Family) -> impl Iterator<Item = &Ask> {
        let tables = self.world.whole.rulesets.get(&family).into_iter().flat_map(|ruleset| ruleset.tables.values());
        let rules = tables.flat_map(BTreeMap::values).flat_map(|chain| &chain.rules);
        rules.flat_map(|rule| &rule.conditions).map(|condition| &condition.ask)
    }

    /// Whether an address can be somebody's who comes from outside.
    fn comes(&self, address: IpAddr) -> bool {
        let hidden = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        !hidden
            && !address.is_multicast()
            && !address.is_unspecified()
            && !self.world.host.is_local(&address)
            && self.world.interface(address).is_some_and(|name| name != "lo")
            && !self.world.is_inside(address)
    }

    fn holds(&self, set: &str, address: IpAddr) -> bool {
        let segment = Segment::opening(Protocol::Tcp, address, (address, 1), Link::Unknown);
        Lookup::holds(&self.world.sets, set, &[SetDirection::Src], &segment) == Some(true)
    }

    /// Of these blocks an address that no other source of the policy holds, or at least one.
    fn somebody(&self, blocks: impl Iterator<Item = IpNet>, of: Option<&RuleSource>) -> Option<IpAddr> {
        let cuts: Vec<IpNet> = self
            .sources
            .iter()
            .flat_map(|source| match source {
                RuleSource::Literal { blocks, .. } => blocks.as_slice(),
                _ => &[],
            })
            .copied()
            .collect();
        let valid = |address: &IpAddr| self.comes(*address);
        let found: Vec<IpAddr> = blocks.flat_map(|block| within(block, &cuts)).filter(valid).take(CANDIDATES).collect();
        let others = || self.sources.iter().filter(|source| **source != RuleSource::Any && Some(*source) != of);
        let alone = |address: &&IpAddr| !others().any(|source| self.is_listed(source, **address));
        found.iter().find(alone).or(found.first()).copied()
    }

    /// Whether a source lists an address, as the rules and the kernel's sets know it.
    fn is_listed(&self, source: &RuleSource, address: IpAddr) -> bool {
        match source {
            RuleSource::Any => true,
            RuleSource::Literal { blocks, .. } => blocks.iter().any(|block| block.contains(&address)),
            RuleSource::Set(name) => self.holds(&name.kernel_name(Family::of(&address)), address),
            RuleSource::Ipset(name) => self.holds(name, address),
        }
    }

    fn find(&self, source: &RuleSource, family: Family) -> Option<IpAddr> {
        let of_family = |block: &IpNet| Family::of(&block.addr()) == family;
        match source {
            RuleSource::Any => None,
            RuleSource::Literal { blocks, .. } => self.somebody(blocks.iter().copied().filter(of_family), Some(source)),
            RuleSource::Set(name) => {
                let entries = self.sets.get(name.as_str())?.entries();
                let current = entries.filter(|entry| !entry.nomatch() && !entry.is_expired(self.now));
                self.somebody(current.map(SourceEntry::block).filter(of_family).take(CANDIDATES), Some(source))
            }
            RuleSource::Ipset(name) => self
                .world
                .sets
                .somebody_in(name)
                .filter(|address| Family::of(address) == family && self.comes(*address)),
        }
    }

    /// The user's set that has a kernel name.
    fn users(&self, kernel: &str, family: Family) -> Option<&SetFile> {
        self.sets.values().find(|set| set.kernel_name(family) == kernel)
    }
}

impl Onlooker for Seen<'_> {
    fn strangers(&self, family: Family) -> &[Stranger] {
        self.strangers.get(&family).map_or(&[], Vec::as_slice)
    }

    fn standing_for(&self, source: &RuleSource, family: Family) -> Option<IpAddr> {
        let key = (source.clone(), family);
        if let Some(known) = self.standing.borrow().get(&key) {
            return *known;
        }
        let found = self.find(source, family);
        self.standing.borrow_mut().insert(key, found);
        found
    }

    fn named_by_others(&self, others: &Others, family: Family) -> Option<(String, IpAddr)> {
        let (name, address) = match others {
            Others::Block(block) if block.prefix_len() == 0 => return None,
            Others::Block(block) => {
                let whole = block.prefix_len() == block.max_prefix_len();
                let name = if whole { block.addr().to_string() } else { block.to_string() };
                (name, self.somebody(std::iter::once(*block), None))
            }
            Others::Range(first, last) => {
                let blocks = [*first, *last].map(IpNet::from).into_iter();
                (format!("{first}-{last}"), self.somebody(blocks, None))
            }
            Others::Set(name) => match self.users(name, family) {
                Some(set) => {
                    let source = RuleSource::Set(set.name().clone());
                    (source.to_string(), self.standing_for(&source, family))
                }
                None => (format!("ipset:{name}"), self.standing_for(&RuleSource::Ipset(name.clone()), family)),
            },
        };
        Some((name, address.filter(|address| Family::of(address) == family)?))
    }

    fn is_from(&self, source: &RuleSource, address: IpAddr) -> bool {
        // Whoever stands for a source by its file is one of it, also where somebody took it out of the kernel.
        let key = || (source.clone(), Family::of(&address));
        self.is_listed(source, address)
            || matches!(source, RuleSource::Set(_)) && self.standing.borrow().get(&key()) == Some(&Some(address))
    }

    fn interface(&self, address: IpAddr) -> Option<&str> {
        self.world.interface(address)
    }

    fn host(&self, family: Family) -> &[IpAddr] {
        self.host.get(&family).map_or(&[], Vec::as_slice)
    }

    fn can_follow(&self, calls: &Calls) -> bool {
        calls.lead != Lead::Wire || self.world.has_entered(&calls.owner)
    }

    fn follow(&self, calls: &Calls, to: (Protocol, IpAddr, u16), from: IpAddr, apart: bool) -> Passage {
        let (protocol, address, port) = to;
        if self.left.get() == 0 {
            return Passage::unknown("more rules than can be followed", (address, port));
        }
        // Who may come in is asked, not whether somebody waits there now.
        let heard = calls.lead == Lead::Host;
        let call = Call { lead: calls.lead, owner: &calls.owner, protocol, to: (address, port), heard };
        let passage = self.world.follow(
            &call,
            from,
            Effort { rules: self.left.get(), steps: self.steps, apart, memo: Some(&self.memo) },
        );
        self.left.set(self.left.get().saturating_sub(passage.asked));
        passage
    }
}

/// Of a block its first addresses and its last, and those beside blocks within it.
fn within(block: IpNet, cuts: &[IpNet]) -> Vec<IpAddr> {
    let (first, last) = (block.network(), block.broadcast());
    let inner = cuts.iter().filter(|cut| block.contains(*cut) && **cut != block);
    let beside = inner.flat_map(|cut| [before(cut.network()), after(cut.broadcast())]);
    let all = [before(last), after(first), Some(first), Some(last)].into_iter().chain(beside);
    all.flatten().filter(|address| block.contains(address)).collect()
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| Ipv6Addr::from(next).into()),
    }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_sub(1).map(|last| Ipv4Addr::from(last).into()),
        IpAddr::V6(v6) => u128::from(v6).checked_sub(1).map(|last| Ipv6Addr::from(last).into()),
    }
}

/// Containers that packets come to past the host, and their addresses there: those that rules speak of, and those that we
/// wrote into. What others keep in their own namespaces is not looked at: entering each of them takes its time.
fn wires(session: &Session) -> Result<Vec<(String, Vec<IpAddr>)>, Failure> {
    let inventory = session.containers()?;
    let ours = session.written_inside()?;
    let looked_at = |container: &&Container| {
        container.running
            && container.mode == NetworkMode::Own
            && (session.speaks_of(container) || ours.names(&container.id))
    };
    let addresses = |container: &Container| -> Vec<IpAddr> {
        let own = inventory.sandboxed(container);
        own.flat_map(|(endpoint, _)| Family::ALL.into_iter().filter_map(|family| endpoint.address(family))).collect()
    };
    let all =
        inventory.containers.iter().filter(looked_at).map(|container| (container.id.clone(), addresses(container)));
    Ok(all.filter(|(_, addresses)| !addresses.is_empty()).collect())
}
