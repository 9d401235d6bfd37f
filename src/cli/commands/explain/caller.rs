//! Who comes: addresses, and those that stand for a block or a set.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::cli::args::SourceArg;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::world::World;
use crate::policy::RuleSource;

/// More addresses than people will wait for; said when there are more.
const ADDRESSES_MAX: usize = 4096;

/// One address, and what it was named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) source: String,
    pub(super) address: IpAddr,
}

/// The addresses to be tried.
pub(super) fn callers(session: &Session, world: &World, sources: &[SourceArg]) -> Result<Vec<Caller>, Failure> {
    let mut callers = Vec::new();
    for source in sources {
        let blocks: Vec<IpNet> = match &source.source {
            // RFC 2544's and RFC 5180's, which the public network never carries: nobody lists them.
            RuleSource::Any => vec![
                IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)).into(),
                IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1)).into(),
            ],
            RuleSource::Literal { blocks, .. } => blocks.clone(),
            RuleSource::Set(name) => {
                let Some(set) = session.config().sets.get(name.as_str()) else {
                    return Err(Failure::user(format!("there is no set {name}"))
                        .hinted("`docker firewall set ls` lists sets; addresses are written as such"));
                };
                set.entries()
                    .filter(|entry| !entry.nomatch() && !entry.is_expired(session.now))
                    .map(crate::policy::SourceEntry::block)
                    .collect()
            }
            RuleSource::Ipset(name) => {
                return Err(Failure::user(format!("ipset:{name} is another tool's: name an address"))
                    .hinted(format!("`ipset list {name}` lists its entries")));
            }
        };
        let named = |address| Caller { source: source.source.to_string(), address };
        callers.extend(standing_for(session, world, &blocks).into_iter().map(named));
    }
    if callers.is_empty() {
        return Err(Failure::user("the set is empty: nobody comes"));
    }
    if callers.len() > ADDRESSES_MAX {
        return Err(Failure::user(format!("{} addresses are too many to try: name fewer", callers.len())));
    }
    Ok(callers)
}

/// Refuses callers that are no callers.
pub(super) fn check(world: &World, callers: &[Caller]) -> Result<(), Failure> {
    for caller in callers {
        let address = caller.address;
        if world.host.is_local(&address) {
            return Err(Failure::user(format!("{address} is this host itself, whose own packets no rule judges")));
        }
        let hidden = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if hidden && world.named.is_none() {
            return Err(Failure::user(format!("{address} means nothing without a link: add --interface NAME")));
        }
        if world.interface(address).is_none() {
            let text = format!("no route of this host leads to {address}, so nobody can tell where it comes in");
            return Err(Failure::user(text).hinted("Say it: --interface NAME"));
        }
    }
    Ok(())
}

/// Of each block its ends, and the first addresses of every block within it that rules of anybody, our sets and routes
/// know, and those after it: in between, nothing that they say changes. What other tools' sets hold is not listed.
fn standing_for(session: &Session, world: &World, blocks: &[IpNet]) -> Vec<IpAddr> {
    let wide = blocks.iter().any(|block| block.prefix_len() < block.max_prefix_len());
    let mut cuts: BTreeSet<IpAddr> = BTreeSet::new();
    if wide {
        let mut cut = |first: IpAddr, last: IpAddr| cuts.extend([Some(first), successor(last)].into_iter().flatten());
        let literal = |source: &RuleSource| match source {
            RuleSource::Literal { blocks, .. } => blocks.clone(),
            _ => Vec::new(),
        };
        let rules = session.policy().rules.iter().flat_map(|rule| rule.sources.iter().flat_map(literal));
        let sets = session.config().sets.values().flat_map(|set| set.entries().map(crate::policy::SourceEntry::block));
        for block in rules.chain(sets) {
            cut(block.network(), block.broadcast());
        }
        for (first, last) in world.told_apart() {
            cut(first, last);
        }
    }
    let mut seen = BTreeSet::new();
    let mut addresses = Vec::new();
    for block in blocks {
        // The host's own packets are nobody's who comes.
        let inside = cuts.range(block.network()..=block.broadcast()).copied();
        let inner = inside.filter(|address| !world.host.is_local(address));
        for address in [block.network(), block.broadcast()].into_iter().chain(inner) {
            if seen.insert(address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// The address after it.
fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| Ipv6Addr::from(next).into()),
    }
}
