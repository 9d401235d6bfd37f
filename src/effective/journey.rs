//! The whole way: hook by hook, table by table, with the turns that the host gives it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::apart::Apart;
use super::host::{Host, Listener};
use super::judge::Judge;
use super::memo::Memo;
use super::passage::{Answer, Cause, Passage, Place, Step};
use super::segment::{Link, Lookup, Segment, Tracking};
use super::walk::{Ending, Log, Verdict, walk};
use crate::net::{Family, Protocol};
use crate::ruleset::{NewPort, WholeRuleset};

/// The kernel and the host, as they were read.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    /// The rules of each family; one that is missing has none.
    pub rulesets: &'a BTreeMap<Family, WholeRuleset>,
    /// The host.
    pub host: &'a Host,
    /// Asks sets.
    pub sets: &'a dyn Lookup,
    /// Asks who listens on a port of the host.
    pub listeners: &'a dyn Fn(Protocol, IpAddr, u16) -> Listener,
    /// What lies in the kernel besides and was not read: it may drop what is let through here, and may lead elsewhere what
    /// comes to the host.
    pub unread: &'a [String],
    /// How far a journey goes.
    pub effort: Effort<'a>,
}

/// Rules that one journey may ask; more would take minutes, and a loop would not end.
const RULES_MAX: usize = 20_000_000;

/// What a journey may cost, and what is kept of it.
#[derive(Clone, Copy, Debug)]
pub struct Effort<'a> {
    /// Most rules that are asked; what is not settled then is unknown.
    pub rules: usize,
    /// Whether its steps are kept.
    pub steps: bool,
    /// Whether it is noted whom rules tell apart from the sender.
    pub apart: bool,
    /// What is remembered of earlier journeys through the same rules and sets.
    pub memo: Option<&'a Memo>,
}

impl Default for Effort<'_> {
    fn default() -> Self {
        Self { rules: RULES_MAX, steps: true, apart: false, memo: None }
    }
}

/// Who sets out, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The client's address.
    pub source: IpAddr,
    /// Where its packets come in.
    pub interface: Link,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it calls: address and port, of the host or of a container.
    pub to: (IpAddr, u16),
}

/// After the packet has come in and before it is decided where it goes.
pub(super) const PREROUTING: &str = "PREROUTING";
pub(super) const INPUT: &str = "INPUT";
pub(super) const FORWARD: &str = "FORWARD";
pub(super) const OUTPUT: &str = "OUTPUT";
pub(super) const POSTROUTING: &str = "POSTROUTING";
/// The tables that filter, in the order of their priorities (`linux/netfilter_ipv4.h`: -150, 0, 50).
pub(super) const FILTERS: [&str; 3] = ["mangle", "filter", "security"];

/// Somebody's packet to the host or through it.
pub fn inbound(kernel: &Kernel<'_>, start: &Start) -> Passage {
    let segment = Segment::opening(start.protocol, start.source, start.to, start.interface.clone());
    let mut course = Course::new(*kernel);
    let mut passage = course.arrive(segment);
    if let Some(unread) = kernel.unread.first() {
        let settled = match &passage.cause {
            Cause::Rule(place) => place.hook == PREROUTING,
            _ => !kernel.host.is_local(&start.to.0),
        };
        if !(passage.answer == Answer::Denied && settled) {
            passage.answer = Answer::Unknown;
            passage.cause = Cause::Host(format!("{unread} is in the kernel too and was not read"));
        }
    }
    passage
}

/// Somebody's packet to a container that its network brings it to past the host: through the rules of the container's own
/// namespace, which `kernel` describes.
pub fn inside(kernel: &Kernel<'_>, start: &Start) -> Passage {
    let mut segment = Segment::opening(start.protocol, start.source, start.to, start.interface.clone());
    let mut course = Course::new(*kernel);
    let result = course
        .raw(PREROUTING, &mut segment)
        .and_then(|()| course.table("mangle", PREROUTING, &mut segment))
        .and_then(|()| course.hook(&FILTERS, INPUT, &mut segment))
        .and_then(|()| course.answered(&segment, OUTPUT, None));
    course.end(result, &segment, false)
}

/// One hook alone: `mangle`, `filter` and `security` of this built-in chain.
pub fn at_hook(kernel: &Kernel<'_>, hook: &'static str, segment: &Segment) -> Passage {
    let mut course = Course::new(*kernel);
    let mut segment = segment.clone();
    let result = course.hook(&FILTERS, hook, &mut segment);
    course.end(result, &segment, false)
}

/// A journey under way.
#[derive(Clone)]
pub(super) struct Course<'a> {
    pub(super) kernel: Kernel<'a>,
    log: Log,
    /// The first rule of which nobody can tell what it does to this packet.
    pub(super) doubt: Option<Cause>,
    /// What let it pass at the hook that matters.
    pub(super) passed: Cause,
}

/// Goes on, or is gone because of this.
pub(super) type Onward = Result<(), Cause>;

impl<'a> Course<'a> {
    fn new(kernel: Kernel<'a>) -> Self {
        let Effort { rules, steps, apart, memo: _ } = kernel.effort;
        let log = Log { steps: Vec::new(), keeps: steps, left: rules, apart: Apart::noting(apart) };
        Self { kernel, log, doubt: None, passed: Cause::Nothing }
    }

    pub(super) fn walk(&mut self, table: &'static str, hook: &'static str, segment: &mut Segment) -> Vec<Ending> {
        let judge = Judge { host: self.kernel.host, sets: self.kernel.sets };
        let Some(ruleset) = self.kernel.rulesets.get(&segment.family()) else {
            return vec![Ending { verdict: Verdict::Pass, cause: Cause::Nothing, doubt: None }];
        };
        walk((judge, self.kernel.effort.memo), ruleset, (table, hook), segment, &mut self.log)
    }

    fn suspect(&mut self, place: Option<&Place>) {
        if let (None, Some(place)) = (&self.doubt, place) {
            self.doubt = Some(Cause::Rule(place.clone()));
        }
    }

    /// One table at one hook, which can only drop or let pass.
    pub(super) fn table(&mut self, table: &'static str, hook: &'static str, segment: &mut Segment) -> Onward {
        let endings = self.walk(table, hook, segment);
        let mut dropping = endings.iter().filter(|ending| ending.verdict == Verdict::Drop);
        if let Some(drop) = dropping.next_back().filter(|_| endings.iter().all(|each| each.verdict == Verdict::Drop)) {
            return Err(drop.cause.clone());
        }
        if endings.iter().any(|ending| ending.verdict != Verdict::Pass) {
            self.suspect(endings.iter().find_map(|ending| ending.doubt.as_ref()));
        } else if let (Some(last), true) = (endings.last(), table == "filter") {
            self.passed = last.cause.clone();
        }
        Ok(())
    }

    pub(super) fn hook(&mut self, tables: &[&'static str], hook: &'static str, segment: &mut Segment) -> Onward {
        tables.iter().try_for_each(|table| self.table(table, hook, segment))
    }

    /// `raw` comes before connections are told apart.
    pub(super) fn raw(&mut self, hook: &'static str, segment: &mut Segment) -> Onward {
        let tracking = std::mem::replace(&mut segment.tracking, Tracking::NotYet);
        let result = self.table("raw", hook, segment);
        if segment.tracking == Tracking::NotYet {
            segment.tracking = tracking;
        }
        result
    }

    pub(super) fn turn(&mut self, text: impl FnOnce() -> String) {
        self.log.push(|| Step::Turn(text()));
    }

    fn end(self, result: Onward, segment: &Segment, proxied: bool) -> Passage {
        let (answer, cause) = match (result, self.doubt) {
            // Whatever the doubtful rules did, this one drops what they let pass.
            (Err(cause), _) => (Answer::Denied, cause),
            (Ok(()), Some(doubt)) => (Answer::Unknown, doubt),
            (Ok(()), None) => (Answer::Allowed, self.passed),
        };
        let reached = (segment.destination, segment.destination_port.unwrap_or_default());
        let asked = self.kernel.effort.rules - self.log.left;
        Passage { answer, read: answer, cause, steps: self.log.steps, reached, proxied, apart: self.log.apart, asked }
    }

    /// From the wire to the routing decision.
    fn arrive(&mut self, mut segment: Segment) -> Passage {
        let host = self.kernel.host;
        if let Link::Named(name) = &segment.in_link {
            let stays = host.bridges.contains(name)
                && !host.is_local(&segment.destination)
                && host.device(&segment.destination) == Some(name);
            if stays && !host.filters_bridges.contains(&segment.family()) {
                let text = format!("stays on the bridge {name}, whose own packets iptables does not see");
                self.passed = Cause::Host(text);
                return self.clone().end(Ok(()), &segment, false);
            }
        }
        let early = self.raw(PREROUTING, &mut segment).and_then(|()| self.table("mangle", PREROUTING, &mut segment));
        if let Err(cause) = early {
            return self.clone().end(Err(cause), &segment, false);
        }
        let mut ends: Vec<Passage> = Vec::new();
        let (candidates, doubt) = self.translated(PREROUTING, &segment);
        for candidate in candidates {
            ends.push(self.clone().onward(candidate));
        }
        let agree = ends.windows(2).all(|pair| pair[0].answer == pair[1].answer);
        match ends.pop() {
            Some(last) if agree => last,
            Some(last) => Passage {
                answer: Answer::Unknown,
                read: Answer::Unknown,
                cause: doubt.unwrap_or(last.cause.clone()),
                ..last
            },
            None => {
                self.doubt = doubt;
                self.clone().end(Ok(()), &segment, false)
            }
        }
    }

    /// What `nat` may make of the packet; none where nobody can tell.
    fn translated(&mut self, hook: &'static str, segment: &Segment) -> (Vec<Segment>, Option<Cause>) {
        if matches!(segment.tracking, Tracking::Untracked) {
            return (vec![segment.clone()], None);
        }
        let mut changed = segment.clone();
        let endings = self.walk("nat", hook, &mut changed);
        let doubt = endings.iter().find_map(|ending| ending.doubt.clone()).map(Cause::Rule);
        let mut candidates: Vec<Segment> = Vec::new();
        for ending in &endings {
            let to = match ending.verdict {
                Verdict::Pass | Verdict::Drop | Verdict::Hide(_) => Some(changed.clone()),
                Verdict::Translate { address, port } => {
                    let mut to = changed.clone();
                    to.translated = true;
                    to.destination = address.unwrap_or(to.destination);
                    to.destination_port = port.of(to.destination_port);
                    Some(to)
                }
                Verdict::Redirect { port } => self.redirected(&changed, port),
                Verdict::Unknown => None,
            };
            match to {
                Some(to) if !candidates.contains(&to) => candidates.push(to),
                Some(_) => {}
                None => return (Vec::new(), doubt.or(Some(ending.cause.clone()))),
            }
        }
        if segment.tracking == Tracking::Unknown && candidates.len() == 1 && candidates[0] != *segment {
            candidates.push(segment.clone());
        }
        (candidates, doubt)
    }

    /// `REDIRECT`: to the first address of the interface it came in by.
    fn redirected(&self, segment: &Segment, port: NewPort) -> Option<Segment> {
        let Link::Named(name) = &segment.in_link else { return None };
        let host = self.kernel.host;
        let family = segment.family();
        let own = host.addresses.iter().find(|own| Family::of(own) == family && host.device(own) == Some(name))?;
        let destination_port = port.of(segment.destination_port);
        Some(Segment { destination: *own, destination_port, translated: true, ..segment.clone() })
    }

    /// From the routing decision on.
    fn onward(mut self, mut segment: Segment) -> Passage {
        if segment.translated {
            let port = || segment.destination_port.map_or_else(|| "?".to_owned(), |port| port.to_string());
            self.turn(|| format!("rewritten to {} port {}", segment.destination, port()));
        }
        if let Link::Named(name) = &segment.in_link
            && self.kernel.host.disbelieves(&segment.source, name)
        {
            let text = format!(
                "{name} takes nothing from {}, to which answers would not go there (rp_filter)",
                segment.source
            );
            return self.end(Err(Cause::Host(text)), &segment, false);
        }
        if self.kernel.host.is_local(&segment.destination) {
            return self.taken(segment);
        }
        let result = self.forward(&mut segment);
        self.end(result, &segment, false)
    }

    fn forward(&mut self, segment: &mut Segment) -> Onward {
        let host = self.kernel.host;
        let Some(device) = host.device(&segment.destination) else {
            return Err(Cause::Host(format!("no route leads to {}", segment.destination)));
        };
        let bridged = segment.in_link == Link::Named(device.to_owned()) && host.bridges.contains(device);
        if !bridged && !host.forwards.contains(&segment.family()) {
            return Err(Cause::Host(format!("the host does not forward {}", segment.family())));
        }
        segment.out_link = Link::Named(device.to_owned());
        self.turn(|| format!("routed out over {device}"));
        self.hook(&FILTERS, FORWARD, segment)?;
        self.table("mangle", POSTROUTING, segment)?;
        let behind = self.hidden(segment);
        let hidden_link = matches!(behind, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if hidden_link && !bridged && segment.protocol != Protocol::Udp {
            // Seen in the lab: the packet is forwarded, and its receiver takes the sender for a neighbour of its own.
            let text = "it arrives, but its link-local source is looked for on the container's own network";
            return Err(Cause::Host(text.to_owned()));
        }
        self.answered(segment, FORWARD, Some(behind))
    }

    /// The source that the other side sees, and answers to: what `nat` makes of it on the way out.
    fn hidden(&mut self, segment: &Segment) -> IpAddr {
        if segment.tracking == Tracking::Untracked {
            return segment.source;
        }
        let mut leaving = Segment { in_link: Link::Absent, ..segment.clone() };
        let endings = self.walk("nat", POSTROUTING, &mut leaving);
        let own = self.kernel.host.source_for(&segment.destination).unwrap_or(segment.source);
        let seen = |ending: &Ending| match ending.verdict {
            Verdict::Hide(address) => address.unwrap_or(own),
            _ => segment.source,
        };
        let sources: Vec<IpAddr> = endings.iter().map(seen).collect();
        if sources.windows(2).any(|pair| pair[0] != pair[1]) || endings.iter().any(|e| e.verdict == Verdict::Unknown) {
            self.suspect(endings.iter().find_map(|ending| ending.doubt.as_ref()));
        }
        sources.last().copied().unwrap_or(segment.source)
    }

    fn taken(mut self, mut segment: Segment) -> Passage {
        let arrived = self.received(&mut segment);
        let Some(port) = segment.destination_port else {
            self.doubt.get_or_insert(Cause::Host("rewritten to one of several ports".to_owned()));
            return self.end(arrived, &segment, false);
        };
        if arrived.is_err() {
            return self.end(arrived, &segment, false);
        }
        let place = std::net::SocketAddr::new(segment.destination, port);
        let (protocol, at) = (segment.protocol, (segment.destination, port));
        let nobody = |text: String| Err(Cause::Host(text));
        let result = match (self.kernel.listeners)(protocol, at.0, at.1) {
            Listener::Proxy { to, port } => {
                self.turn(|| format!("docker-proxy takes it and calls {to} port {port}"));
                return self.proxied(&segment, (to, port));
            }
            Listener::Container => Ok(()),
            Listener::Nobody => nobody(format!("nothing listens on {place}/{protocol}")),
            Listener::Other(name) => {
                nobody(format!("{place}/{protocol} is held by {name}, which leads to no container"))
            }
            Listener::Unseen => {
                self.doubt.get_or_insert(Cause::Host(format!("who listens on {place}/{protocol} cannot be seen")));
                Ok(())
            }
        };
        self.end(result, &segment, false)
    }

    fn received(&mut self, segment: &mut Segment) -> Onward {
        if segment.destination.is_loopback() && segment.in_link != Link::Named("lo".to_owned()) {
            return Err(Cause::Host(format!("{} is reached from the host itself only", segment.destination)));
        }
        self.turn(|| "for the host itself".to_owned());
        self.hook(&FILTERS, INPUT, segment)?;
        let mut calling = segment.clone();
        calling.out_link = Link::Absent;
        self.answered(&calling, OUTPUT, None)
    }

    /// docker-proxy's own call to the container.
    fn proxied(mut self, first: &Segment, (to, port): (IpAddr, u16)) -> Passage {
        let host = self.kernel.host;
        let (Some(device), Some(source)) = (host.device(&to), host.source_for(&to)) else {
            let cause = Cause::Host(format!("no route leads to {to}, which docker-proxy calls"));
            return self.end(Err(cause), first, true);
        };
        let passed = self.passed.clone();
        let mut call = Segment::opening(first.protocol, source, (to, port), Link::Absent);
        call.out_link = Link::Named(device.to_owned());
        let result = self.called(&mut call);
        // What lets the client in is what people ask for; the proxy's own call only ever takes away.
        self.passed = passed;
        self.end(result, &call, true)
    }

    fn called(&mut self, call: &mut Segment) -> Onward {
        self.raw(OUTPUT, call)?;
        self.table("mangle", OUTPUT, call)?;
        let (candidates, doubt) = self.translated(OUTPUT, call);
        if candidates != [call.clone()] {
            let elsewhere = Cause::Host("what docker-proxy calls is rewritten in nat OUTPUT".to_owned());
            self.doubt.get_or_insert(doubt.unwrap_or(elsewhere));
        }
        self.hook(&["filter", "security"], OUTPUT, call)?;
        self.table("mangle", POSTROUTING, call)?;
        self.answered(call, INPUT, Some(call.source))
    }
}
