//! The agent: whatever happens to containers, rules or files, the kernel is made to hold what the policy says.
//!
//! Level-triggered: a cause only says that something changed, and a pass reads everything again. One pass at a time,
//! and at most one waiting: causes that arrive meanwhile are one.

mod cause;
mod log;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::context::Context;
use super::engine;
use super::failure::{Exit, Failure};
use super::offline;
use super::report::count;
use super::session::{Need, Session};
use super::soundness;
use crate::host::lock::Lock;
use crate::host::privileges::require_net_admin;
use crate::host::service::ServiceManager;
use crate::inventory::Inventory;
use crate::resolve::Following;
use cause::Cause;
use log::Log;

/// How long the agent waits for more causes before a pass: events come in crowds.
const GATHER: Duration = Duration::from_millis(5);
/// How long another agent may hold on to its lock: a command that asks whether one runs holds it for a moment too.
const ALONE: Duration = Duration::from_millis(200);
/// A pass is made at least this often, for what nobody tells of: sets and legacy rules changed by hand.
const TICK: Duration = Duration::from_secs(10);
/// After a pass that failed, the next one comes no later than this.
const RETRY: Duration = Duration::from_secs(2);
/// More repairs within [`FIGHT_SPAN`] than these are a fight with another program: then passes are kept apart.
const FIGHT: usize = 10;
/// See [`FIGHT`].
const FIGHT_SPAN: Duration = Duration::from_secs(30);
/// The pause between two passes while there is a fight.
const FIGHT_PAUSE: Duration = Duration::from_millis(500);

/// Runs until it is told to stop.
pub(super) fn run(ctx: &mut Context) -> Result<Exit, Failure> {
    require_net_admin().map_err(|error| super::complaint::privilege(&error))?;
    let paths = offline::paths(ctx);
    let alone = Lock::acquire_file(&paths.agent_file(), ALONE, |_| {});
    let _alone = alone.map_err(|error| Failure::environment(format!("another agent runs already: {error}")))?;
    let manager = ServiceManager::from_env();
    let (causes, inbox) = channel();
    let trouble = |what: &str, error: &std::io::Error| Failure::environment(format!("cannot follow {what}: {error}"));
    cause::signals(causes.clone()).map_err(|error| trouble("signals", &error))?;
    let mut log = Log::new();
    if let Err(error) = cause::rules(causes.clone()) {
        log.warning(&format!("changes of rules are found at the next tick only: {error}"));
    }
    cause::links(causes.clone()).map_err(|error| trouble("interfaces", &error))?;
    let directories = [paths.config_dir.clone(), paths.sets_dir()];
    cause::files(&directories, causes.clone()).map_err(|error| trouble("the configuration", &error))?;
    cause::events(engine::address(ctx)?, causes).map_err(|error| trouble("the engine", &error))?;
    log.info(&format!("docker-firewall {} follows the engine", env!("CARGO_PKG_VERSION")));
    let mut agent = Agent {
        ctx,
        log,
        manager,
        inbox,
        repairs: Vec::new(),
        ready: false,
        known: None,
        away: false,
        changed: false,
        blind: false,
        remarks: Vec::new(),
    };
    agent.follow();
    agent.manager.stopping();
    agent.log.info("stopped; the rules stay in force");
    if !paths.agent_installed_file().exists() {
        agent.log.info(
            "containers that start from now on are closed from outside, until `docker firewall apply` leaves them to Docker",
        );
    }
    Ok(Exit::Success)
}

struct Agent<'a> {
    ctx: &'a mut Context,
    log: Log,
    manager: ServiceManager,
    inbox: Receiver<Cause>,
    /// When something had to be repaired lately that nobody but another program can have broken.
    repairs: Vec<Instant>,
    ready: bool,
    /// What the engine held when it last answered.
    known: Option<Inventory>,
    /// The engine does not answer.
    away: bool,
    /// Containers or interfaces came or went since it was last asked.
    changed: bool,
    /// Interfaces came or went while it did not: who has which address, nobody can say.
    blind: bool,
    /// What was remarked in the last pass, not to be said again in the next one.
    remarks: Vec<String>,
}

impl Agent<'_> {
    fn follow(&mut self) {
        let mut causes = vec![Cause::Start];
        loop {
            let succeeded = self.pass(&causes);
            causes = match self.next(if succeeded { TICK } else { RETRY }) {
                Some(causes) => causes,
                None => return,
            };
        }
    }

    /// Waits for the next causes, for `limit` at most; `None` when it is time to end.
    fn next(&mut self, limit: Duration) -> Option<Vec<Cause>> {
        let deadline = Instant::now() + limit;
        let mut causes = Vec::new();
        let mut sign_of_life = self.manager.watchdog().map(|every| (every, Instant::now() + every));
        while causes.is_empty() {
            let until = sign_of_life.map_or(deadline, |(_, next)| next.min(deadline));
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(cause) if self.concerns(&cause) => causes.push(cause),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if let Some((every, next)) = &mut sign_of_life
                && *next <= Instant::now()
            {
                self.manager.alive();
                *next += *every;
            }
            if causes.is_empty() && deadline <= Instant::now() {
                causes.push(Cause::Tick);
            }
        }
        std::thread::sleep(if self.is_fighting() { FIGHT_PAUSE } else { GATHER });
        while let Ok(cause) = self.inbox.try_recv() {
            if self.concerns(&cause) && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        (!causes.contains(&Cause::Stop)).then_some(causes)
    }

    /// Whether a cause is one, as things stand.
    fn concerns(&mut self, cause: &Cause) -> bool {
        match cause {
            Cause::Lost(_) if self.away => return false,
            Cause::Lost(_) => self.away = true,
            Cause::Reconnected => self.away = false,
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

    /// Makes everything true; answers whether it is.
    fn pass(&mut self, causes: &[Cause]) -> bool {
        for cause in causes.iter().filter(|cause| matches!(cause, Cause::Lost(_))) {
            self.log.warning(&cause.to_string());
        }
        let begun = Instant::now();
        let result = self.once();
        let took = begun.elapsed();
        match result {
            Ok((calls, remarks)) => {
                for remark in remarks.iter().filter(|remark| !self.remarks.contains(*remark)) {
                    self.log.warning(remark);
                }
                self.remarks = remarks;
                if calls > 0 {
                    self.repaired(causes, calls, took);
                }
                if !self.ready {
                    self.ready = true;
                    self.manager.ready();
                }
                self.manager.status(&format!("in force; the last pass took {} ms", took.as_millis()));
                true
            }
            Err(failure) => {
                let mut said = vec![failure.message.clone()];
                said.extend(failure.hints);
                self.log.failure(&said.join(". "));
                self.manager.status(&format!("NOT in force: {}", failure.message));
                false
            }
        }
    }

    fn repaired(&mut self, causes: &[Cause], calls: usize, took: Duration) {
        let because: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let calls = count(calls, "call", "calls");
        self.log.info(&format!("kernel written in {calls}, {} ms, because: {}", took.as_millis(), because.join("; ")));
        if causes.iter().all(|cause| matches!(cause, Cause::Rules | Cause::Tick)) {
            let was_fighting = self.is_fighting();
            self.repairs.push(Instant::now());
            if self.is_fighting() && !was_fighting {
                self.log.warning(&format!(
                    "another program keeps changing our rules: repaired {} times within {} s, and from now on every {} \
                     ms at most. The backstop holds meanwhile. `iptables -S` before and after shows who it is",
                    self.repairs.len(),
                    FIGHT_SPAN.as_secs(),
                    FIGHT_PAUSE.as_millis()
                ));
            }
        }
    }

    fn is_fighting(&mut self) -> bool {
        self.repairs.retain(|at| at.elapsed() < FIGHT_SPAN);
        self.repairs.len() >= FIGHT
    }

    /// One pass, as `apply` makes it; answers the number of calls that wrote something, and what somebody should know.
    ///
    /// While the engine is away, what it held last stands for what it holds: its containers may well run on, and whatever
    /// somebody breaks meanwhile is mended for them. Once containers come or go nobody knows that any more.
    fn once(&mut self) -> Result<(usize, Vec<String>), Failure> {
        let need = match &self.known {
            None => Need::Engine,
            Some(_) if self.away => Need::Memory,
            Some(_) => Need::Nothing,
        };
        let changed = self.changed;
        // What comes or goes from here on may be missing in the answer.
        self.changed = false;
        let mut session = Session::follow(self.ctx, need).inspect_err(|_| self.changed = changed)?;
        match &session.inventory {
            Some(inventory) => {
                self.known = Some(inventory.clone());
                self.blind = false;
            }
            None => {
                self.changed = changed;
                session.inventory.clone_from(&self.known);
            }
        }
        if self.blind {
            session.following = Following::Blind;
        }
        let mut remarks = soundness::keep_old_names(&mut session)?;
        remarks.extend(session.stand_in.clone());
        let config = session.config().clone();
        Ok((session.change(self.ctx, config)?.calls, remarks))
    }
}
