//! What the kernel does on a way, beside what the policy says of it.
//!
//! Somebody whom no rule names is sent over each way in thought, and one of each kind of source that the policy names for
//! it, and of each that anybody's rules on the way tell apart. As long as each fares as the policy says, its words stand.
//! Where one does not, those are named who get through in truth; where a rule decides that is not understood, nobody is.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use super::way::{Calls, Exposure, Lead, Road, Tried, Way};
use super::{Who, is_everybody, label};
use crate::effective::{Answer, Cause, Others, Passage, Step};
use crate::net::{Family, Protocol};
use crate::policy::{Policy, Rule, RuleSource, Verdict};

/// Somebody whom no rule names, on one side of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The address.
    pub address: IpAddr,
    /// The interface that it is behind.
    pub interface: String,
}

/// Who can look at the kernel, the host and the sets as they are.
pub trait Onlooker {
    /// Strangers of a family, those first behind which most of the world is; one for each side that rules tell apart.
    fn strangers(&self, family: Family) -> &[Stranger];
    /// An address that stands for a source, if there is one that could come from outside.
    fn standing_for(&self, source: &RuleSource, family: Family) -> Option<IpAddr>;
    /// The same for whom rules of others speak of, with what to call it.
    fn named_by_others(&self, others: &Others, family: Family) -> Option<(String, IpAddr)>;
    /// Whether the address is among a source's, as the kernel knows them.
    fn is_from(&self, source: &RuleSource, address: IpAddr) -> bool;
    /// Where packets of an address come in.
    fn interface(&self, address: IpAddr) -> Option<&str>;
    /// The host's addresses of a family that people call.
    fn host(&self, family: Family) -> &[IpAddr];
    /// Whether it can see what packets there go through.
    fn can_follow(&self, calls: &Calls) -> bool;
    /// Sends it on its way, whose steps are kept if somebody wants to read them. `apart`: it is wanted whom rules tell apart
    /// from it.
    fn follow(&self, calls: &Calls, to: (Protocol, IpAddr, u16), from: IpAddr, apart: bool) -> Passage;
}

/// Somebody who tried.
struct Trial {
    name: String,
    address: IpAddr,
    /// Not one of those whom rules name; of the first of them `Some(true)`.
    stranger: Option<bool>,
    intended: bool,
    answer: Answer,
    /// The answer as far as the kernel could be read.
    read: Answer,
    cause: Cause,
    /// Where it called.
    to: SocketAddr,
    steps: Vec<Step>,
}

impl Trial {
    fn passes(&self) -> bool {
        self.answer == Answer::Allowed
    }

    fn differs(&self) -> bool {
        self.answer == Answer::Unknown || self.intended != self.passes()
    }
}

/// Corrects what is said of a way.
pub(super) fn try_out(way: &mut Way, policy: &Policy, onlooker: &dyn Onlooker, now: Timestamp) {
    let (Some(calls), Some(family)) = (way.calls.clone(), way.family) else { return };
    if !onlooker.can_follow(&calls) {
        return;
    }
    let all: Vec<(Protocol, IpAddr, u16)> = calls
        .to
        .iter()
        .flat_map(|(protocol, at, port)| {
            let host = if at.is_none() { onlooker.host(family) } else { &[] };
            at.iter().chain(host).map(|at| (*protocol, *at, *port))
        })
        .collect();
    let in_time = |rule: &&Rule| rule.expires.is_none_or(|at| at > now);
    let rules = calls.access.rules.iter().filter_map(|number| policy.rules.get(number - 1)).filter(in_time).collect();
    let mut journey = Journey { calls: &calls, all, rules, onlooker, trials: Vec::new(), road: None, more: 0 };
    let others = journey.strangers(family);
    // Where the kernel is of another mind than the policy, it may also let in whom the policy names for others: those of a
    // container that was renamed, say.
    let differs = journey.trials.iter().any(Trial::differs);
    let rules = if differs { policy.rules.iter().filter(in_time).collect() } else { journey.rules.clone() };
    journey.named(&rules, family);
    journey.others(&others, family);
    if let (Some(road), Lead::Through, Road::Dnat | Road::Proxy) = (journey.road.take(), calls.lead, &way.road) {
        way.road = road;
    }
    journey.said_of(way);
    way.tried = journey.trials.into_iter().filter(|trial| !trial.steps.is_empty()).map(Tried::from).collect();
}

impl From<Trial> for Tried {
    fn from(trial: Trial) -> Self {
        let Trial { name, address, to, answer, cause, steps, .. } = trial;
        let steps = steps.iter().map(ToString::to_string).collect();
        Self { name, address, to, answer, because: cause.to_string(), steps }
    }
}

struct Journey<'a> {
    calls: &'a Calls,
    all: Vec<(Protocol, IpAddr, u16)>,
    /// The rules in force that speak of the way.
    rules: Vec<&'a Rule>,
    onlooker: &'a dyn Onlooker,
    trials: Vec<Trial>,
    road: Option<Road>,
    /// How many more than were tried may fare otherwise.
    more: usize,
}

impl Journey<'_> {
    /// Sends strangers; whom rules on their way tell apart from them.
    fn strangers(&mut self, family: Family) -> BTreeSet<Others> {
        let mut others = BTreeSet::new();
        for (number, stranger) in self.onlooker.strangers(family).iter().enumerate() {
            let first = number == 0;
            let name = if first { "everyone".to_owned() } else { format!("any via {}", stranger.interface) };
            for passage in self.sent(name, Some(first), stranger.address) {
                others.extend(passage.apart.may_pass.into_iter().chain(passage.apart.dropped));
                self.more = self.more.max(passage.apart.more);
            }
        }
        others
    }

    /// Sends those whom others' rules name, unless the policy does too.
    fn others(&mut self, others: &BTreeSet<Others>, family: Family) {
        for others in others {
            if let Some((name, address)) = self.onlooker.named_by_others(others, family)
                && !self.trials.iter().any(|trial| trial.address == address)
            {
                self.sent(name, None, address);
            }
        }
    }

    /// Sends one of each source that the policy names.
    fn named(&mut self, rules: &[&Rule], family: Family) {
        for rule in rules {
            for source in rule.sources.iter().filter(|source| !is_everybody(source, family)) {
                let Some(address) = self.onlooker.standing_for(source, family) else { continue };
                let here = rule.interface.as_deref();
                if here.is_some() && self.calls.lead != Lead::Wire && self.onlooker.interface(address) != here {
                    continue;
                }
                let name = label(source, rule);
                if !self.trials.iter().any(|trial| trial.name == name) {
                    self.sent(name, None, address);
                }
            }
        }
    }

    /// Sends somebody to each place; one open place is enough.
    fn sent(&mut self, name: String, stranger: Option<bool>, from: IpAddr) -> Vec<Passage> {
        let mut passages: Vec<Passage> = Vec::new();
        for to in &self.all {
            let passage = self.onlooker.follow(self.calls, *to, from, stranger.is_some());
            self.road = self.road.take().or_else(|| road(&passage, (to.1, to.2)));
            let open = passage.answer == Answer::Allowed;
            passages.push(passage);
            if open {
                break;
            }
        }
        let rank = |answer| match answer {
            Answer::Denied => 0,
            Answer::Unknown => 1,
            Answer::Allowed => 2,
        };
        let each = passages.iter_mut().zip(&self.all).rev();
        if let Some((widest, to)) = each.max_by_key(|(passage, _)| rank(passage.answer)) {
            self.trials.push(Trial {
                name,
                address: from,
                stranger,
                intended: self.intended(from),
                answer: widest.answer,
                read: widest.read,
                cause: widest.cause.clone(),
                to: (to.1, to.2).into(),
                steps: std::mem::take(&mut widest.steps),
            });
        }
        passages
    }

    /// What the policy says of an address.
    fn intended(&self, from: IpAddr) -> bool {
        let here = self.onlooker.interface(from);
        let deciding = self.rules.iter().find(|rule| {
            let comes_there = rule.interface.as_deref().is_none_or(|name| here == Some(name));
            (comes_there || self.calls.lead == Lead::Wire)
                && rule.sources.iter().any(|source| self.onlooker.is_from(source, from))
        });
        deciding.map_or(!self.calls.access.guarded, |rule| rule.verdict == Verdict::Allow)
    }

    /// Puts what was seen into words, where it is not what the policy says.
    fn said_of(&self, way: &mut Way) {
        // At a container's own address what nobody gets through is closed, also where the policy names nobody of the family.
        if way.road == Road::Direct && self.trials.iter().all(|trial| trial.read == Answer::Denied) {
            way.exposure = Exposure::Closed;
            return;
        }
        let unknown =
            self.trials.iter().find(|trial| trial.answer == Answer::Unknown).map(|trial| trial.cause.to_string());
        let first = self.trials.iter().find(|trial| trial.stranger == Some(true));
        // Whom rules let in is not to be guessed where there are too many to try.
        let hidden = self.more > 0 && first.is_none_or(|trial| !trial.passes());
        let unknown = unknown.or_else(|| hidden.then(|| format!("rules that name {} more sources", self.more)));
        let other = self.trials.iter().find(|trial| trial.differs()).map(|trial| trial.cause.to_string());
        let Some(because) = unknown.clone().or(other) else { return };
        way.intended = Some(std::mem::take(&mut way.from));
        way.because = because;
        let denied = |trial: &Trial| trial.read == Answer::Denied;
        way.exposure = if first.is_some_and(|trial| !denied(trial)) {
            Exposure::World
        } else if self.trials.iter().all(denied) {
            Exposure::Closed
        } else {
            Exposure::Restricted
        };
        way.from =
            if unknown.is_some() { format!("unknown (because of: {})", way.because) } else { self.who().to_string() };
    }

    /// Who gets through, where all of them are known.
    fn who(&self) -> super::Access {
        let open = self.trials.iter().any(|trial| trial.stranger == Some(true) && trial.passes());
        let names = |passes: bool| {
            let all = self.trials.iter().filter(|trial| trial.stranger != Some(true) && trial.passes() == passes);
            all.map(|trial| trial.name.clone()).collect::<Vec<_>>()
        };
        let passing = names(true);
        let (who, except) = if open {
            (Who::Everyone, names(false))
        } else if passing.is_empty() {
            (Who::Nobody, Vec::new())
        } else {
            (Who::Sources(passing), Vec::new())
        };
        super::Access { who, except, ..self.calls.access.clone() }
    }
}

/// What a packet to a port of the host shows of the way it takes.
fn road(passage: &Passage, to: (IpAddr, u16)) -> Option<Road> {
    match &passage.cause {
        _ if passage.proxied => Some(Road::Proxy),
        _ if passage.reached != to => Some(Road::Dnat),
        // Gone before it was decided where it goes.
        Cause::Rule(place) if place.hook == "PREROUTING" => None,
        _ => Some(Road::Proxy),
    }
}
