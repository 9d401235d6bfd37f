//! The agent: whatever happens to containers, rules or files, the kernel is made to hold what the policy says.
//!
//! Level-triggered: a cause only says that something changed, and a pass reads again whatever may have. One pass at a
//! time, and at most one waiting: causes that arrive meanwhile are one.

mod cause;
mod collect;
mod fight;
mod gone;
mod log;
mod members;
mod page;
mod record;
mod third;
mod timers;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::args::AgentArgs;
use super::context::Context;
use super::engine::{self, Line, Trouble};
use super::failure::{Exit, Failure};
use super::offline;
use super::session::{Need, Session};
use super::soundness;
use crate::host::headers::SetHeaders;
use crate::host::heap;
use crate::host::lock::Lock;
use crate::host::paths::Paths;
use crate::host::privileges::require_net_admin;
use crate::host::service::ServiceManager;
use crate::host::watch::Touched;
use crate::inventory::Inventory;
use crate::resolve::{Following, Proof};
use crate::ruleset::names;
use cause::Cause;
use collect::Collector;
use fight::Fight;
use gone::Gone;
use log::Log;
use members::{Members, is_renamed, settle};
use page::Shared;
use third::Third;
use timers::{Due, Timers};

pub(super) use record::Record;
pub(super) use timers::FULL as TICK;

/// How long the agent waits for more causes before a pass: events come in crowds.
const GATHER: Duration = Duration::from_millis(3);
/// How long another agent may hold on to its lock: a command that asks whether one runs holds it for a moment too.
const ALONE: Duration = Duration::from_millis(200);
/// How long the engine may take for one answer; after that, what it held last stands for what it holds. An engine that hangs,
/// or whose socket somebody else keeps open while it restarts, must not keep rules from being repaired.
const ANSWER: Duration = Duration::from_secs(5);

/// Runs until it is told to stop.
pub(super) fn run(ctx: &mut Context, args: AgentArgs) -> Result<Exit, Failure> {
    require_net_admin().map_err(|error| super::complaint::privilege(&error))?;
    let paths = offline::paths(ctx);
    let alone = Lock::acquire_file(&paths.agent_file(), ALONE, |_| {});
    let _alone = alone.map_err(|error| Failure::environment(format!("another agent runs already: {error}")))?;
    let manager = ServiceManager::from_env();
    let (causes, inbox) = cause::post();
    let trouble = |what: &str, error: &std::io::Error| Failure::environment(format!("cannot follow {what}: {error}"));
    cause::signals(causes.clone()).map_err(|error| trouble("signals", &error))?;
    let mut log = Log::new(args.log_format);
    if let Err(error) = cause::rules(causes.clone()) {
        log.warning(&format!("changes of rules are found minutes later only: {error}"));
    }
    cause::links(causes.clone()).map_err(|error| trouble("interfaces", &error))?;
    let directories = [paths.config_dir.clone(), paths.sets_dir()];
    cause::files(&directories, causes.clone()).map_err(|error| trouble("the configuration", &error))?;
    let third = Third::new(&paths, causes.clone());
    cause::events(engine::address(ctx)?, causes).map_err(|error| trouble("the engine", &error))?;
    let (figures, _shown) = Shared::shown(&paths, &mut log);
    log.info(&format!("docker-firewall {} follows the engine", env!("CARGO_PKG_VERSION")));
    let mut agent = Agent {
        ctx,
        log,
        timers: Timers::new(manager.watchdog()),
        manager,
        inbox,
        line: Line::patient_for(ANSWER),
        members: None,
        collector: Collector::default(),
        third,
        headers: SetHeaders::open().ok(),
        sets: None,
        legacy: None,
        record: Record::new(),
        figures,
        fight: Fight::default(),
        ready: false,
        known: None,
        gone: Gone::default(),
        away: false,
        changed: false,
        blind: false,
        remarks: Vec::new(),
        fault: None,
    };
    agent.follow(&paths);
    agent.manager.stopping();
    agent.step_down();
    agent.log.info("stopped; the rules stay in force");
    if !paths.agent_installed_file().exists() {
        agent.log.info(
            "containers that start from now on are closed from outside, until `docker firewall apply` leaves them to Docker",
        );
    }
    Ok(Exit::Success)
}

#[allow(clippy::struct_excessive_bools, reason = "independent facts, each asked by name")]
struct Agent<'a> {
    ctx: &'a mut Context,
    log: Log,
    timers: Timers,
    manager: ServiceManager,
    inbox: Receiver<(Instant, Cause)>,
    line: Line,
    /// What the last pass left, if it succeeded.
    members: Option<Members>,
    /// Writes down who is kept out.
    collector: Collector,
    third: Third,
    /// Tells of sets, as far as anybody does.
    headers: Option<SetHeaders>,
    /// What the sets looked like then.
    sets: Option<u64>,
    /// What rules of iptables-legacy looked like then.
    legacy: Option<u64>,
    record: Record,
    figures: Shared,
    fight: Fight,
    ready: bool,
    /// What the engine held when it last answered.
    known: Option<Arc<Inventory>>,
    /// What it may still hold by what it says, and does not any more.
    gone: Gone,
    /// The engine does not answer.
    away: bool,
    /// Containers or interfaces came or went since it was last asked.
    changed: bool,
    /// Interfaces came or went while it did not: who has which address, nobody can say.
    blind: bool,
    /// What is wrong with the files, if what was last in force stands in for them.
    fault: Option<String>,
    /// What was remarked in the last pass, not to be said again in the next one.
    remarks: Vec<String>,
}

/// What a pass did.
struct Done {
    /// Calls that wrote something.
    calls: usize,
    /// It followed containers and read nothing else.
    quick: bool,
}

impl Agent<'_> {
    fn follow(&mut self, paths: &Paths) {
        let mut causes = vec![(Instant::now(), Cause::Start)];
        loop {
            self.pass(&causes);
            causes = match self.next(paths) {
                Some(causes) => causes,
                None => return,
            };
        }
    }

    /// Waits for the next causes; `None` when it is time to end.
    fn next(&mut self, paths: &Paths) -> Option<Vec<(Instant, Cause)>> {
        let mut causes = Vec::new();
        loop {
            self.collector.news().iter().for_each(|text| self.log.warning(text));
            while let Some(due) = self.timers.due() {
                match due {
                    Due::Alive => self.manager.alive(),
                    Due::Record => {
                        // Only for people: what cannot be written is no reason to do anything else.
                        drop(self.record.write(paths));
                        // Passes take much more than they leave.
                        settle(&mut self.known, self.members.as_mut());
                        heap::give_back();
                    }
                    Due::Glance if self.glance() => causes.push((Instant::now(), Cause::Edited)),
                    Due::Look if self.look() => causes.push((Instant::now(), Cause::Edited)),
                    Due::Glance | Due::Look => {}
                    Due::Again => causes.push((Instant::now(), Cause::Again)),
                    Due::Clock => causes.push((Instant::now(), Cause::Clock)),
                    Due::Full => causes.push((Instant::now(), Cause::Tick)),
                }
            }
            if !causes.is_empty() {
                break;
            }
            match self.inbox.recv_timeout(self.timers.wait()) {
                Ok((at, cause)) if self.concerns(&cause) => causes.push((at, cause)),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if !causes.is_empty() {
                break;
            }
        }
        self.gather(&mut causes);
        let stop = causes.iter().any(|(_, cause)| *cause == Cause::Stop);
        (!stop).then_some(causes)
    }

    /// Waits for more causes, in the order of their coming.
    fn gather(&mut self, causes: &mut Vec<(Instant, Cause)>) {
        let begun = Instant::now();
        let pause = if self.fight.is_on() { fight::PAUSE } else { GATHER };
        loop {
            // An address that is free may be somebody else's by the end of a longer pause.
            let is_urgent = causes.iter().any(|(_, cause)| cause.is_quick() || *cause == Cause::Stop);
            let left = if is_urgent { GATHER } else { pause }.saturating_sub(begun.elapsed());
            match self.inbox.recv_timeout(left) {
                Ok((at, cause)) => {
                    // Of events the order says what holds.
                    let known = if matches!(cause, Cause::Event(_)) { causes.len().saturating_sub(1) } else { 0 };
                    if self.concerns(&cause) && causes[known..].iter().all(|(_, known)| *known != cause) {
                        causes.push((at, cause));
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// What sets and rules of iptables-legacy look like at this moment.
    fn looks(&self) -> Option<(Option<u64>, Option<u64>)> {
        let members = self.members.as_ref()?;
        Some((self.headers.as_ref().and_then(|headers| members.sets(headers)), members.legacy_rules()))
    }

    /// What a pass found right looks as it did before the pass read it: whatever somebody did since is a difference. What
    /// one that wrote read back looks so too, and of rules the kernel tells; only rules of iptables-legacy are read by another
    /// pass, for nobody knows what of their difference is ours.
    fn remember_looks(&mut self, before: Option<(Option<u64>, Option<u64>)>, done: &Done) {
        match (before.filter(|_| done.calls == 0), &self.members) {
            _ if done.quick => {
                // Rules were neither read nor written.
                if done.calls > 0 {
                    self.sets = None;
                    self.glance();
                }
            }
            (Some(before), _) => (self.sets, self.legacy) = before,
            (None, Some(members)) if !members.are_legacy() => {
                (self.sets, self.legacy) = (self.headers.is_some().then(|| members.sets_as_read()), None);
            }
            (None, members) => {
                (self.sets, self.legacy) = (None, None);
                self.timers.confirm(members.is_some());
            }
        }
    }

    /// Whether sets are not as they were left.
    fn glance(&mut self) -> bool {
        let headers = self.headers.as_ref().zip(self.members.as_ref());
        let now = self.timers.glance(|| headers.and_then(|(headers, members)| members.sets(headers)));
        now.is_some() && std::mem::replace(&mut self.sets, now).is_some_and(|before| Some(before) != now)
    }

    /// Whether rules of iptables-legacy are not as they were left. Where that is not known yet, the pass that finds out
    /// is on its way: what stands there now may be somebody's work already.
    fn look(&mut self) -> bool {
        let Some(before) = self.legacy else { return false };
        let Some(now) = self.members.as_ref().and_then(Members::legacy_rules) else { return false };
        self.legacy = Some(now);
        now != before
    }

    /// Whether a cause is one, as things stand.
    fn concerns(&mut self, cause: &Cause) -> bool {
        match cause {
            Cause::Lost(_) if self.away => return false,
            Cause::Lost(_) => {
                self.away = true;
                self.line.hang_up();
                self.gone.forget();
            }
            Cause::Reconnected => self.away = false,
            // Docker writes into its own chain whenever a container comes; only where ours are rules of it is that news.
            Cause::Rules(Touched { chain: Some(chain), .. }) if chain == names::DOCKER => {
                return self.members.as_ref().is_none_or(Members::are_in_docker);
            }
            Cause::ThirdLine => return self.third.is_due(),
            Cause::Links | Cause::Event(_) => self.changed = true,
            _ => {}
        }
        // What came or went before it was lost counts too: nobody could be asked about that any more.
        if self.away && self.changed && !self.blind {
            self.blind = true;
            self.log.warning(
                "containers come and go while the engine does not answer: until it does, nobody from outside reaches \
                 any of them, for nobody can say who has which address",
            );
        }
        *cause != Cause::Links || self.away
    }

    /// Makes everything true.
    fn pass(&mut self, causes: &[(Instant, Cause)]) {
        for (_, cause) in causes.iter().filter(|(_, cause)| matches!(cause, Cause::Lost(_))) {
            self.log.warning(&cause.to_string());
        }
        let begun = Instant::now();
        let mut looks = None;
        self.gone.hear(causes);
        // What it left is what a quick pass goes by: after somebody else's work that is not enough.
        let edited = self.glance();
        let closed = self.close_what_is_free();
        let is_enough = closed.is_some() && !edited && causes.iter().all(|(_, cause)| cause.is_departure());
        let closed = closed.unwrap_or_default();
        let result = if is_enough {
            self.timers.later();
            Ok(Done { calls: 0, quick: true })
        } else if let Some(done) = (!edited).then(|| self.quick(causes)).flatten() {
            Ok(done)
        } else {
            looks = self.looks();
            self.full()
        };
        let took = begun.elapsed();
        self.record.last_pass = record::now();
        self.record.last_pass_ms = record::millis(took);
        self.record.connected = !self.away;
        match &result {
            Ok(done) if done.quick => self.timers.record(),
            _ => self.timers.passed(result.is_ok()),
        }
        if causes.iter().any(|(_, cause)| cause.is_early()) {
            self.timers.again();
        }
        let quick = result.as_ref().ok().map(|done| done.quick);
        let heard = causes.iter().filter(|(_, cause)| matches!(cause, Cause::Event(_))).map(|(at, _)| at);
        let reaction = heard.min().filter(|_| quick.is_some()).map(Instant::elapsed);
        match result {
            Ok(done) => {
                let Done { calls, quick } = done;
                if let Some(reaction) = reaction {
                    self.record.reacted(reaction);
                }
                *(if quick { &mut self.record.quick_passes } else { &mut self.record.full_passes }) += 1;
                self.record.failure =
                    self.fault.as_ref().map(|fault| format!("what was last in force stays in force: {fault}"));
                self.remember_looks(looks, &done);
                if calls + closed > 0 {
                    self.wrote(causes, calls + closed, took);
                }
                if !self.ready {
                    self.ready = true;
                    self.manager.ready();
                }
                let what = if self.fault.is_some() { "what was last good is in force" } else { "in force" };
                self.manager.status(&format!("{what}; the last pass took {:.1} ms", record::millis(took)));
            }
            Err(failure) => {
                self.record.failed_passes += 1;
                self.record.failure = Some(failure.message.clone());
                self.manager.status(&format!("NOT in force: {}", failure.message));
                let mut said = vec![failure.message];
                said.extend(failure.hints);
                self.log.failure(&said.join(". "));
            }
        }
        self.figures.note(quick, took, reaction, &self.record);
    }

    fn wrote(&mut self, causes: &[(Instant, Cause)], calls: usize, took: Duration) {
        let because: Vec<String> = causes.iter().map(|(_, cause)| cause.to_string()).collect();
        let because = because.join("; ");
        self.log.wrote(calls, record::millis(took), &because);
        if causes.iter().all(|(_, cause)| matches!(cause, Cause::Rules(_) | Cause::Edited | Cause::Tick)) {
            self.record.repaired(because);
            self.fight.repaired().iter().for_each(|text| self.log.warning(text));
        }
    }

    /// Closes addresses that events say are free, before the engine is asked who may have them by now: the number of calls
    /// that wrote something. `None` when it is left to the pass that follows.
    fn close_what_is_free(&mut self) -> Option<usize> {
        let known = self.known.as_ref().filter(|_| !self.away)?;
        let mut members = self.members.take_if(|members| members.are_enough())?;
        let Some(left) = self.gone.left_of(known).map(Arc::new) else {
            self.members = Some(members);
            return Some(0);
        };
        let (calls, third) = members.pass(self.ctx, |_| Ok(Arc::clone(&left))).ok().flatten()?;
        self.members = Some(members);
        self.known = Some(left);
        self.third.hold(third, &mut self.log);
        if calls > 0 {
            self.sets = None;
            self.glance();
        }
        Some(calls)
    }

    /// A pass that follows containers and reads nothing else, where that is enough and works.
    fn quick(&mut self, causes: &[(Instant, Cause)]) -> Option<Done> {
        if self.away || !causes.iter().all(|(_, cause)| cause.is_quick()) {
            return None;
        }
        let mut members = self.members.take()?;
        let changed = std::mem::take(&mut self.changed);
        let line = &mut self.line;
        let (known, gone) = (&mut self.known, &mut self.gone);
        let networks = causes.iter().any(|(_, cause)| cause.is_of_networks());
        let listed = |ctx: &Context| match line.containers(ctx, networks) {
            // Its event is on the way, or was lost: who is guarded by the old name takes more than a look at addresses.
            Ok(inventory) if known.as_ref().is_none_or(|known| is_renamed(known, &inventory)) => {
                Err(Failure::environment("a container has another name"))
            }
            Ok(mut inventory) => {
                gone.correct(&mut inventory);
                Ok(Arc::clone(known.insert(Arc::new(inventory))))
            }
            Err(Trouble::Unreachable(failure) | Trouble::Refused(failure)) => Err(failure),
        };
        // Whatever went wrong, a whole pass meets it too, and says so.
        let Some((calls, third)) = members.pass(self.ctx, listed).ok().flatten() else {
            self.changed = changed;
            return None;
        };
        self.third.hold(third, &mut self.log);
        self.collector.learn(members.config(), self.known.as_deref(), &offline::paths(self.ctx));
        self.members = Some(members);
        Some(Done { calls, quick: true })
    }

    /// One pass, as `apply` makes it.
    ///
    /// While the engine is away, what it held last stands for what it holds: its containers may well run on, and whatever
    /// somebody breaks meanwhile is mended for them. Once containers come or go nobody knows that any more.
    fn full(&mut self) -> Result<Done, Failure> {
        self.members = None;
        let need = match &self.known {
            None => Need::Engine,
            Some(_) if self.away => Need::Memory,
            Some(_) => Need::Nothing,
        };
        // What comes or goes from here on may be missing in the answer.
        let changed = std::mem::take(&mut self.changed);
        let session = Session::follow(self.ctx, need, &mut self.line);
        let mut session = session.inspect_err(|_| self.changed = changed)?;
        if let Some(inventory) = &mut session.inventory {
            self.gone.correct(inventory);
            self.known = Some(Arc::new(inventory.clone()));
            self.blind = false;
        } else {
            self.changed = changed;
            session.inventory = self.known.as_deref().cloned();
        }
        if self.blind {
            session.following = Following::Blind;
        }
        session.proof = self.third.proof(&mut self.log);
        let mut remarks = soundness::keep_old_names(&mut session)?;
        let renamed = !remarks.is_empty();
        let applied = session.keep_true(self.ctx)?;
        remarks.extend(session.missing_log(session.policy()));
        for remark in remarks.iter().filter(|remark| !self.remarks.contains(*remark)) {
            self.log.warning(remark);
        }
        let plain = !renamed && session.fault.is_none() && !self.away;
        self.remarks = remarks;
        if session.fault != self.fault {
            if let Some(fault) = &session.fault {
                self.log.failure(&format!("what was last in force stays in force: {fault}"));
            }
            self.fault.clone_from(&session.fault);
        }
        let (calls, asked) = (applied.calls, session.proof);
        let held = self.third.hold(session.third_line(&applied.state), &mut self.log);
        self.record.third_line = self.third.missing().map(str::to_owned);
        let seen = self.known.as_deref().filter(|_| !session.is_mute());
        self.collector.learn(session.config(), seen, &offline::paths(self.ctx));
        self.members = Members::after(session, &applied.state, self.known.as_ref(), plain);
        // Where it could not be put up, or is down because there are no rules any more, nobody asks for the proof.
        let idle = asked == Proof::Asked && !self.third.is_up();
        if !held || idle { self.full() } else { Ok(Done { calls, quick: false }) }
    }
}
