//! Somebody who looks at a made-up kernel, for tests of what `ls` says of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use docker_firewall::access::{Calls, Lead, Onlooker, Stranger};
use docker_firewall::effective::{
    Effort, Host, Kernel, Link, Listener, Lookup, Memo, Others, Passage, Segment, Start, inbound,
};
use docker_firewall::net::{Family, Protocol};
use docker_firewall::policy::RuleSource;
use docker_firewall::ruleset::{SetDirection, WholeRuleset};

/// A kernel, a host, and who is in the sets.
pub(crate) struct Looker<'a> {
    pub(crate) rulesets: BTreeMap<Family, WholeRuleset>,
    pub(crate) host: Host,
    pub(crate) sets: &'a dyn Lookup,
    pub(crate) strangers: BTreeMap<Family, Vec<Stranger>>,
    /// The host's addresses that people call.
    pub(crate) called: BTreeMap<Family, Vec<IpAddr>>,
    /// An address of each named source.
    pub(crate) standing: BTreeMap<(String, Family), IpAddr>,
    /// Who takes what comes to the host itself.
    pub(crate) listener: Listener,
    pub(crate) unread: Vec<String>,
    pub(crate) memo: Memo,
}

impl Looker<'_> {
    fn holds(&self, set: &str, address: IpAddr) -> bool {
        let segment = Segment::opening(Protocol::Tcp, address, (address, 1), Link::Unknown);
        self.sets.holds(set, &[SetDirection::Src], &segment) == Some(true)
    }
}

impl Onlooker for Looker<'_> {
    fn strangers(&self, family: Family) -> &[Stranger] {
        self.strangers.get(&family).map_or(&[], Vec::as_slice)
    }

    fn standing_for(&self, source: &RuleSource, family: Family) -> Option<IpAddr> {
        match source {
            RuleSource::Literal { blocks, .. } => {
                blocks.iter().map(ipnet::IpNet::addr).find(|address| Family::of(address) == family)
            }
            _ => self.standing.get(&(source.to_string(), family)).copied(),
        }
    }

    fn named_by_others(&self, others: &Others, family: Family) -> Option<(String, IpAddr)> {
        match others {
            Others::Block(block) if Family::of(&block.addr()) == family => Some((block.to_string(), block.addr())),
            _ => None,
        }
    }

    fn is_from(&self, source: &RuleSource, address: IpAddr) -> bool {
        match source {
            RuleSource::Any => true,
            RuleSource::Literal { blocks, .. } => blocks.iter().any(|block| block.contains(&address)),
            RuleSource::Set(name) => self.holds(&name.kernel_name(Family::of(&address)), address),
            RuleSource::Ipset(name) => self.holds(name, address),
        }
    }

    fn interface(&self, address: IpAddr) -> Option<&str> {
        self.host.entrance(&address)
    }

    fn host(&self, family: Family) -> &[IpAddr] {
        self.called.get(&family).map_or(&[], Vec::as_slice)
    }

    fn can_follow(&self, calls: &Calls) -> bool {
        calls.lead != Lead::Wire
    }

    fn follow(&self, calls: &Calls, to: (Protocol, IpAddr, u16), from: IpAddr, apart: bool) -> Passage {
        let listeners = |_, _, _| if calls.lead == Lead::Host { Listener::Container } else { self.listener.clone() };
        let kernel = Kernel {
            rulesets: &self.rulesets,
            host: &self.host,
            sets: self.sets,
            listeners: &listeners,
            unread: &self.unread,
            effort: Effort { steps: false, apart, memo: Some(&self.memo), ..Effort::default() },
        };
        let interface = self.interface(from).map_or(Link::Unknown, |name| Link::Named(name.to_owned()));
        let (protocol, address, port) = to;
        inbound(&kernel, &Start { source: from, interface, protocol, to: (address, port) })
    }
}
