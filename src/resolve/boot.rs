//! What a boot needs to know before there is an engine to ask: where containers live, which ports of the host lead to
//! them, and whom the rules guard.
//!
//! Addresses of single containers are not in it: the engine gives them out anew, and most likely otherwise. So nothing
//! changes here when containers come and go, and at boot nobody is let in: every known subnet is closed until somebody
//! has seen who lives there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{HostPort, IngressOwner, IngressPort, Owner, Resolved};
use crate::net::{Family, Protocol};
use crate::policy::Hook;

/// The first line; a number other than this one is another program's text.
const HEADER: &str = "docker-firewall boot record 1";

/// What the last line begins with: the digest of all before it.
const SUM: &str = "sum ";

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootRecord {
    /// Whether Docker's chains were in iptables-legacy.
    pub legacy: bool,
    /// Where the rules hung.
    pub hook: Hook,
    /// The families in which `FORWARD` called `DOCKER-USER`.
    pub docker_user: BTreeSet<Family>,
    /// Where containers live: subnet and bridge, sorted. Empty when no rule and no default guards anything.
    pub inside: Vec<(IpNet, String)>,
    /// Containers that rules or the default speak of: an old name must count until the rules say the new one.
    pub owners: Vec<Owner>,
    /// Ports of the host that lead to those, without rules.
    pub host_ports: Vec<HostPort>,
    /// Published ports of swarm services, without rules.
    pub ingress: Vec<IngressPort>,
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BootRecordError {
    /// Another version's.
    #[error("its first line is not \"{HEADER}\"")]
    Version,
    /// Half a file, or an edited one.
    #[error("it is torn or was edited: its last line is not the digest of the lines before")]
    Torn,
    /// A line that says nothing known.
    #[error("line {0} is not understood")]
    Line(usize),
}

impl BootRecord {
    /// What of `resolved` a boot needs.
    pub fn of(resolved: &Resolved, legacy: bool, docker_user: BTreeSet<Family>) -> Self {
        if !resolved.is_active() {
            return Self { legacy, hook: resolved.hook, docker_user, ..Self::default() };
        }
        let mut owners = BTreeMap::new();
        for owner in resolved.places.iter().map(|place| &place.owner) {
            owners.insert(owner.id.clone(), owner.clone());
        }
        let closed_port = |port: &HostPort| HostPort { rules: Vec::new(), guarded: port.is_ruled(), ..port.clone() };
        let closed_service = |one: &IngressPort| IngressPort { rules: Vec::new(), guarded: true, ..one.clone() };
        Self {
            legacy,
            hook: resolved.hook,
            docker_user,
            inside: resolved.inside.clone(),
            owners: owners.into_values().collect(),
            host_ports: resolved.host_ports.iter().map(closed_port).collect(),
            ingress: resolved.ingress.iter().map(closed_service).collect(),
        }
    }

    /// Puts in the place of what `earlier` says, a part of this, what `later` says; what both say is left as it is.
    pub fn replace(&mut self, earlier: &Self, later: Self) {
        let place = |port: &HostPort| (port.block, port.protocol, port.port);
        let gone: BTreeSet<&str> = earlier.owners.iter().map(|owner| &*owner.id).collect();
        let stays: BTreeSet<String> = later.owners.iter().map(|owner| owner.id.clone()).collect();
        self.owners.retain(|owner| !gone.contains(&*owner.id) || stays.contains(&owner.id));
        for owner in later.owners.into_iter().filter(|owner| !earlier.owners.contains(owner)) {
            match self.owners.binary_search_by(|known| known.id.cmp(&owner.id)) {
                Ok(at) => self.owners[at] = owner,
                Err(at) => self.owners.insert(at, owner),
            }
        }
        for port in earlier.host_ports.iter().filter(|port| !later.host_ports.contains(port)) {
            if let Ok(at) = self.host_ports.binary_search_by_key(&place(port), place) {
                self.host_ports.remove(at);
            }
        }
        for port in later.host_ports.into_iter().filter(|port| !earlier.host_ports.contains(port)) {
            match self.host_ports.binary_search_by_key(&place(&port), place) {
                Ok(at) => self.host_ports[at] = port,
                Err(at) => self.host_ports.insert(at, port),
            }
        }
        (self.inside, self.hook) = (later.inside, later.hook);
    }

    /// Whether there is anything to close.
    pub fn is_active(&self) -> bool {
        !self.inside.is_empty() || !self.host_ports.is_empty()
    }

    /// Everything known closed and nobody let in.
    pub fn closed(&self) -> Resolved {
        let mut closed: Vec<IpNet> = self.inside.iter().map(|(subnet, _)| *subnet).collect();
        closed.sort();
        closed.dedup();
        Resolved {
            host_ports: self.host_ports.clone(),
            ingress: self.ingress.clone(),
            closed,
            // What somebody saw before does not count any more.
            seen: Some(BTreeMap::new()),
            inside: self.inside.clone(),
            hook: self.hook,
            ..Resolved::default()
        }
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Result<Self, BootRecordError> {
        if text.lines().next() != Some(HEADER) {
            return Err(BootRecordError::Version);
        }
        let (body, sum) = text.rsplit_once(SUM).ok_or(BootRecordError::Torn)?;
        if sum.strip_suffix('\n') != Some(digest(body).as_str()) {
            return Err(BootRecordError::Torn);
        }
        let mut record = Self::default();
        for (index, line) in body.lines().enumerate().skip(1) {
            record.read(line).ok_or(BootRecordError::Line(index + 1))?;
        }
        Ok(record)
    }

    fn read(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        let mut words = rest.split(' ');
        match kind {
            "iptables" => self.legacy = flag(words.next(), "legacy", "nft")?,
            "hook" => {
                self.hook = Hook::ALL.into_iter().find(|hook| hook.name() == rest)?;
            }
            "docker-user" => {
                self.docker_user.insert(Family::ALL.into_iter().find(|family| family.to_string() == rest)?);
            }
            "inside" => self.inside.push((next(&mut words)?, words.next()?.to_owned())),
            "owner" => self.owners.push(Owner::parse(rest)?),
            "port" => {
                let (block, protocol, port) = (next(&mut words)?, next(&mut words)?, next(&mut words)?);
                let guarded = flag(words.next(), "closed", "left")?;
                let (calls, named) = match words.next()? {
                    "answers" => (false, false),
                    "calls" => (true, false),
                    "named" => (true, true),
                    _ => return None,
                };
                let owner = Owner::parse(&words.collect::<Vec<_>>().join(" "))?;
                self.host_ports.push(HostPort {
                    block,
                    protocol,
                    port,
                    owner,
                    rules: Vec::new(),
                    guarded,
                    calls,
                    named,
                });
            }
            "ingress" => self.ingress.push(IngressPort {
                address: next::<IpAddr>(&mut words)?,
                protocol: next::<Protocol>(&mut words)?,
                port: next(&mut words)?,
                owner: IngressOwner::parse(&words.collect::<Vec<_>>().join(" "))?,
                rules: Vec::new(),
                guarded: true,
            }),
            _ => return None,
        }
        Some(())
    }
}

fn next<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    words.next()?.parse().ok()
}

fn flag(word: Option<&str>, yes: &str, no: &str) -> Option<bool> {
    let word = word?;
    (word == yes || word == no).then_some(word == yes)
}

fn digest(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Display for BootRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = format!("{HEADER}\niptables {}\n", if self.legacy { "legacy" } else { "nft" });
        writeln!(body, "hook {}", self.hook)?;
        for family in &self.docker_user {
            writeln!(body, "docker-user {family}")?;
        }
        for (subnet, bridge) in &self.inside {
            writeln!(body, "inside {subnet} {bridge}")?;
        }
        for owner in &self.owners {
            writeln!(body, "owner {owner}")?;
        }
        for HostPort { block, protocol, port, guarded, calls, named, owner, .. } in &self.host_ports {
            let guarded = if *guarded { "closed" } else { "left" };
            let whose = match (calls, named) {
                (false, _) => "answers",
                (true, false) => "calls",
                (true, true) => "named",
            };
            writeln!(body, "port {block} {protocol} {port} {guarded} {whose} {owner}")?;
        }
        for IngressPort { address, protocol, port, owner, .. } in &self.ingress {
            writeln!(body, "ingress {address} {protocol} {port} {owner}")?;
        }
        writeln!(f, "{body}{SUM}{}", digest(&body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Ports, Rule, RuleSource, Target, Verdict};
    use crate::resolve::Place;

    fn rule() -> Rule {
        Rule {
            verdict: Verdict::Allow,
            targets: vec![Target::All],
            ports: Ports::default(),
            sources: vec![RuleSource::Any],
            interface: None,
            expires: None,
            comment: None,
            pending: false,
            log: false,
            line: None,
        }
    }

    fn resolved() -> Resolved {
        let owner = Owner { name: "web".to_owned(), id: "0123456789ab".to_owned() };
        let port = |block: &str, rules: Vec<usize>, guarded, (calls, named)| HostPort {
            block: block.parse().unwrap(),
            protocol: Protocol::Tcp,
            port: 8080,
            owner: owner.clone(),
            rules,
            guarded,
            calls,
            named,
        };
        Resolved {
            rules: vec![rule()],
            places: vec![Place {
                address: "172.17.0.2".parse().unwrap(),
                owner: owner.clone(),
                published: Vec::new(),
                rules: vec![0],
                guarded: true,
            }],
            host_ports: vec![
                port("0.0.0.0/0", vec![0], true, (false, false)),
                port("192.0.2.1/32", vec![], false, (true, true)),
                port("::/0", vec![0], false, (true, false)),
            ],
            ingress: vec![IngressPort {
                address: "172.18.0.2".parse().unwrap(),
                protocol: Protocol::Udp,
                port: 53,
                owner: IngressOwner { service: "dns".to_owned(), target: Some(5353) },
                rules: vec![0],
                guarded: false,
            }],
            inside: vec![("172.17.0.0/16".parse().unwrap(), "docker0".to_owned())],
            ..Resolved::default()
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        let record = BootRecord::of(&resolved(), true, Family::ALL.into());
        assert_eq!(BootRecord::parse(&record.to_string()), Ok(record.clone()), "{record}");
        let nothing = BootRecord::of(&Resolved::default(), false, BTreeSet::new());
        assert_eq!(BootRecord::parse(&nothing.to_string()), Ok(nothing.clone()));
        assert!(record.is_active() && !nothing.is_active());
    }

    #[test]
    fn lets_nobody_in() {
        let closed = BootRecord::of(&resolved(), false, BTreeSet::new()).closed();
        assert!(closed.is_active());
        assert_eq!(closed.closed, ["172.17.0.0/16".parse().unwrap()]);
        // What no rule spoke of stays an exception; what any rule spoke of is closed.
        assert_eq!(closed.host_ports.iter().map(|port| port.guarded).collect::<Vec<_>>(), [true, false, true]);
        assert!(closed.host_ports.iter().all(|port| port.rules.is_empty()));
        assert!(closed.ingress.iter().all(|one| one.rules.is_empty() && one.guarded));
    }

    #[test]
    fn half_of_it_is_none() {
        let text = BootRecord::of(&resolved(), false, Family::ALL.into()).to_string();
        for end in 0..text.len() {
            assert!(BootRecord::parse(&text[..end]).is_err(), "{end}");
        }
        for (old, new) in [("8080", "8081"), ("record 1", "record 2"), ("closed", "left"), ("\nsum", "\nport\nsum")] {
            assert!(BootRecord::parse(&text.replacen(old, new, 1)).is_err(), "{old}");
        }
        let body = format!("{HEADER}\nweather fine\n");
        assert_eq!(BootRecord::parse(&format!("{body}{SUM}{}\n", digest(&body))), Err(BootRecordError::Line(2)));
    }
}
