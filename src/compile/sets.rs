//! The sets that the chains ask, and their names.
//!
//! A name is a function of what the rule asks, never of who is in it, so members come and go without a rule changing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use sha2::{Digest, Sha256};

use super::atom::{Atoms, Exceptions, Key, Shape, Source, host_entries, whole};
use crate::net::{Family, kernel_blocks};
use crate::policy::{DefaultAccess, Hook};
use crate::resolve::{HostPort, Owner, Resolved, SHARED, Sandboxed};
use crate::ruleset::{IpSet, Member, SetEntry, SetKind, SetShape};

/// Members a set takes at least; the kernel's own default.
const MAXELEM: u32 = 65536;

/// The set of ours that means `what`.
pub(super) fn own(what: &str, family: Family) -> String {
    format!("{}{what}", prefix(family))
}

/// `df4-` or `df6-`.
fn prefix(family: Family) -> &'static str {
    match family {
        Family::V4 => "df4-",
        Family::V6 => "df6-",
    }
}

/// Where containers live: subnet and bridge.
pub(super) fn inside(family: Family) -> String {
    own("inside", family)
}

/// Addresses that mean something on one link only: with these neighbours find one another in IPv6.
pub(super) fn link() -> String {
    own("link", Family::V6)
}

/// Addresses that any rule or the default speaks of.
pub fn ruled(family: Family) -> String {
    own("ruled", family)
}

/// Addresses for which what no rule allows is dropped.
pub fn guarded(family: Family) -> String {
    own("guarded", family)
}

/// Addresses of Docker's networks that were not seen yet.
pub fn unseen(family: Family) -> String {
    own("unseen", family)
}

/// Ports of the host that lead to containers that a rule or the default speaks of.
pub fn host(family: Family) -> String {
    own("host", family)
}

/// Those of them for which what no rule allows is dropped.
pub fn host_guarded(family: Family) -> String {
    own("host-guarded", family)
}

/// Those of them that docker-proxy listens on, and nobody calls from.
pub fn host_answers(family: Family) -> String {
    own("host-answers", family)
}

/// Addresses and ports that Docker publishes, of containers that a rule or the default speaks of.
pub(super) fn published(family: Family) -> String {
    own("published", family)
}

fn digest(text: &str) -> String {
    let mut name = String::with_capacity(10);
    for byte in Sha256::digest(text.as_bytes()).iter().take(5) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The set of one kernel rule's members.
pub(super) fn of_key(key: &Key, family: Family) -> String {
    let verdict = if key.level.is_multiple_of(2) { "allow" } else { "deny" };
    format!("{}{verdict}-{}", prefix(family), digest(&format!("{key:?}")))
}

/// Whether a set of that name is a single kernel rule's, or its twin: which of these there are depends on who has which
/// rules.
pub fn is_of_rule(name: &str) -> bool {
    let kinds = ["allow-", "deny-", "from-"];
    Family::ALL.into_iter().any(|family| {
        name.strip_prefix(prefix(family)).is_some_and(|rest| kinds.iter().any(|kind| rest.starts_with(kind)))
    })
}

/// The set of literal source blocks; `level` keeps allows and denies apart.
pub(super) fn of_blocks(blocks: &[IpNet], key: &Key, family: Family) -> String {
    format!("{}from-{}", prefix(family), digest(&format!("{} {blocks:?}", key.level % 2)))
}

pub(super) fn set(kind: SetKind, family: Family, timed: bool, members: BTreeMap<SetEntry, Member>) -> IpSet {
    let wanted = u32::try_from(members.len()).unwrap_or(u32::MAX / 2);
    let maxelem = MAXELEM.max(wanted.checked_next_power_of_two().unwrap_or(wanted));
    let shape =
        SetShape { kind, family, hashsize: 1024, maxelem, timeout: timed.then_some(0), comment: true, counters: false };
    IpSet { shape, members: members.into_iter().collect() }
}

/// The same, with members that count. Only what closes asks such a set, so that nobody's packets pay for it but those that
/// are dropped.
fn counting(kind: SetKind, family: Family, members: BTreeMap<SetEntry, Member>) -> IpSet {
    let mut counting = set(kind, family, false, members);
    counting.shape.counters = true;
    counting
}

fn owned(owner: &Owner) -> Member {
    Member { comment: Some(owner.to_string()), ..Member::default() }
}

/// All sets of one family.
pub(super) fn sets(resolved: &Resolved, atoms: &Atoms, host_atoms: &Atoms, family: Family) -> BTreeMap<String, IpSet> {
    let mut sets = BTreeMap::new();
    let places = || resolved.places.iter().filter(|place| Family::of(&place.address) == family);
    let closed: BTreeMap<SetEntry, Member> = resolved
        .closed
        .iter()
        .filter(|subnet| Family::of(&subnet.addr()) == family)
        .flat_map(|subnet| kernel_blocks(*subnet))
        .map(|block| (SetEntry::Net(block), Member::default()))
        .collect();

    let mut ruled_members = closed.clone();
    ruled_members.extend(places().map(|place| (SetEntry::Net(place.address.into()), owned(&place.owner))));
    let ingress = resolved.ingress.iter().map(|one| one.address).filter(|address| Family::of(address) == family);
    let shared = Member { comment: Some(SHARED.to_owned()), ..Member::default() };
    ruled_members.extend(ingress.map(|address| (SetEntry::Net(address.into()), shared.clone())));
    except_seen(&mut ruled_members, resolved, family);
    sets.insert(ruled(family), set(SetKind::Net, family, false, ruled_members));

    let mut guarded_members = closed.clone();
    let guarded_places = places().filter(|place| place.guarded);
    guarded_members.extend(guarded_places.map(|place| (SetEntry::Net(place.address.into()), owned(&place.owner))));
    except_seen(&mut guarded_members, resolved, family);
    sets.insert(guarded(family), counting(SetKind::Net, family, guarded_members));

    if let Some(seen) = &resolved.seen {
        let mut members = closed;
        members.extend(but(seen, family));
        sets.insert(unseen(family), set(SetKind::Net, family, false, members));
    }

    sets.insert(inside(family), inside_set(resolved, family));

    if family == Family::V6 {
        // RFC 4291: link-local unicast, and multicast of link-local scope.
        let blocks = [(0xfe80, 10), (0xff02, 16)]
            .map(|(first, length)| Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length));
        let members = blocks.map(|block| (SetEntry::Net(block.into()), Member::default())).into();
        sets.insert(link(), set(SetKind::Net, family, false, members));
    }

    // Only the literal rules ask; elsewhere Docker's own rules see to it.
    if resolved.hook == Hook::Docker {
        let ports = places().flat_map(|place| place.published.iter().map(move |port| (place, *port)));
        let members = ports
            .map(|(place, (protocol, port))| (SetEntry::IpPort(place.address, protocol, port), owned(&place.owner)))
            .collect();
        sets.insert(published(family), set(SetKind::IpPort, family, false, members));
    }

    let exceptions = Exceptions::of(resolved);
    let host_members = |belongs: &dyn Fn(&HostPort) -> bool| host_members(resolved, &exceptions, family, belongs);
    sets.insert(host(family), set(SetKind::NetPort, family, false, host_members(&HostPort::is_ruled)));
    sets.insert(host_guarded(family), counting(SetKind::NetPort, family, host_members(&|place| place.guarded)));

    let answering = |place: &HostPort| place.is_ruled() && !place.calls;
    sets.insert(host_answers(family), set(SetKind::NetPort, family, false, host_members(&answering)));

    add_asked(&mut sets, atoms.iter().chain(host_atoms), family, Key::set_kind);
    sets
}

/// Addresses that were seen, as exceptions from the networks that hold them.
fn but(seen: &BTreeMap<IpAddr, String>, family: Family) -> impl Iterator<Item = (SetEntry, Member)> {
    seen.iter().filter(move |(address, _)| Family::of(address) == family).map(|(address, owner)| {
        let member = Member { comment: Some(owner.clone()), nomatch: true, ..Member::default() };
        (SetEntry::Net((*address).into()), member)
    })
}

/// What was seen, and has no entry of its own, stays as Docker left it.
fn except_seen(members: &mut BTreeMap<SetEntry, Member>, resolved: &Resolved, family: Family) {
    for seen in resolved.seen.iter().filter(|_| resolved.default == DefaultAccess::Open) {
        for (entry, member) in but(seen, family) {
            members.entry(entry).or_insert(member);
        }
    }
}

/// Where packets come from that are not judged.
fn inside_set(resolved: &Resolved, family: Family) -> IpSet {
    let members = resolved
        .inside
        .iter()
        .filter(|(subnet, _)| Family::of(&subnet.addr()) == family)
        .flat_map(|(subnet, bridge)| kernel_blocks(*subnet).into_iter().map(move |block| (block, bridge)))
        .map(|(block, bridge)| (SetEntry::NetIface(block, bridge.clone()), Member::default()))
        .collect();
    set(SetKind::NetIface, family, false, members)
}

/// The sets of single rules.
fn add_asked<'a>(
    sets: &mut BTreeMap<String, IpSet>,
    atoms: impl Iterator<Item = (&'a Key, &'a BTreeMap<SetEntry, Member>)>,
    family: Family,
    kind: impl Fn(&Key) -> SetKind,
) {
    for (key, members) in atoms {
        sets.insert(of_key(key, family), set(kind(key), family, key.timed, members.clone()));
        if let Source::Blocks(blocks) = &key.source {
            let members = blocks.iter().map(|block| (SetEntry::Net(*block), Member::default())).collect();
            sets.insert(of_blocks(blocks, key, family), set(SetKind::Net, family, false, members));
        }
    }
}

/// The name of the copy of a kernel set in a container's namespace: sets are each namespace's own.
pub(super) fn copy_of(name: &str, family: Family) -> String {
    format!("{}of-{}", prefix(family), digest(name))
}

/// All sets of one family in a container's own namespace, without the copies.
pub(super) fn sandbox_sets(sandboxed: &Sandboxed, atoms: &Atoms, family: Family) -> BTreeMap<String, IpSet> {
    let everything = |there: bool| {
        let blocks = whole(family).into_iter().filter(|_| there);
        set(SetKind::Net, family, false, blocks.map(|block| (SetEntry::Net(block), owned(&sandboxed.owner))).collect())
    };
    let mut sets = BTreeMap::from([
        (ruled(family), everything(true)),
        (guarded(family), everything(sandboxed.guarded)),
        (inside(family), inside_set(&sandboxed.resolved, family)),
    ]);
    // Whole families are blocks, which sets of addresses do not hold.
    add_asked(&mut sets, atoms.iter(), family, |key| match key.shape {
        Shape::AnyAddress => SetKind::NetPort,
        _ => SetKind::Net,
    });
    sets
}

/// The ports of the host that belong, and as exceptions those addresses within them that do not.
fn host_members(
    resolved: &Resolved,
    exceptions: &Exceptions<'_>,
    family: Family,
    belongs: &dyn Fn(&HostPort) -> bool,
) -> BTreeMap<SetEntry, Member> {
    let here = |place: &&HostPort| Family::of(&place.block.addr()) == family && belongs(place);
    let mut members = BTreeMap::new();
    for place in resolved.host_ports.iter().filter(here) {
        members.extend(host_entries(place).map(|entry| (entry, owned(&place.owner))));
        for other in exceptions.within(place).filter(|other| !belongs(other)) {
            let member = Member { nomatch: true, ..owned(&other.owner) };
            members.extend(host_entries(other).map(|entry| (entry, member.clone())));
        }
    }
    members
}
