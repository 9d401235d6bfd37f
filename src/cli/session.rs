//! What every command that touches rules or sets works with: the lock, the files, the engine and the kernel.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::engine::{self, Trouble};
use super::failure::{Exit, Failure, FailureKind};
use super::{complaint, offline, report, soundness};
use crate::compile::{self, Ground};
use crate::host::files::FileError;
use crate::host::flavour::Kind;
use crate::host::kernel::HostKernel;
use crate::host::lock::{self, Lock};
use crate::host::observe::joined;
use crate::host::paths::Paths;
use crate::host::privileges::require_net_admin;
use crate::host::tools::Tools;
use crate::inventory::{Container, Inventory, Service};
use crate::net::Family;
use crate::plan::{self, DiffLine};
use crate::policy::{Policy, RuleSource, SetFile};
use crate::reconcile::{self, Applied, Boot, Config, Ledger, Pass, Record, Sandbox, Sandboxes, Site};
use crate::resolve::{self, BootRecord, Following, Owner, Proof, needs_sandbox};
use crate::ruleset::{Desired, DesiredSet, Dump, IpSet, Member, SetEntry, render_set_entry};

mod glance;
mod logging;
mod sight;
mod standing;
mod third;

use logging::Logging;

/// How long a command waits for another one that holds the lock.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command needs of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing can be said without it.
    Engine,
    /// Sets can be changed while it is down.
    Nothing,
    /// It is not asked: while it starts it takes a question and answers seconds later.
    Memory,
    /// As `Nothing`, and a broken file is no reason to stop: everything is to go.
    Rescue,
}

/// One command's hold on the world.
pub(super) struct Session {
    /// The files.
    ledger: Ledger,
    /// The containers; `None` when the engine does not answer and is not needed.
    pub(super) inventory: Option<Inventory>,
    /// Whether somebody follows what comes and goes.
    pub(super) following: Following,
    /// Whether the backstop leaves a proof for an agent's third line.
    pub(super) proof: Proof,
    /// One moment for everything the command says and does.
    pub(super) now: Timestamp,
    /// Members that no file holds and that shall leave the kernel all the same, by the set's kernel name.
    pub(super) dismissed: BTreeMap<String, BTreeSet<SetEntry>>,
    /// What is wrong with the files, if what was last in force stands in for them.
    pub(super) fault: Option<String>,
    /// Whether the kernel can log.
    logging: Logging,
    kernel: HostKernel,
    /// The containers' own network namespaces, as far as they were asked for.
    sandboxes: Sandboxes,
    /// What was read of the kernel, and the users' sets whose members were read with it.
    seen: Option<(BTreeSet<String>, Dump)>,
    /// Held until the end.
    lock: Option<Lock>,
}

impl Session {
    /// For commands that change something, or that must see the kernel exactly.
    pub(super) fn open(ctx: &mut Context, need: Need) -> Result<Self, Failure> {
        let paths = Self::paths(ctx);
        let lock = lock(ctx, &paths)?;
        Self::read(ctx, paths, need, (Some(lock), true))
    }

    /// For who must go on when the files are broken or missing: what was last in force stands in for them.
    pub(super) fn follow(ctx: &mut Context, need: Need, line: &mut engine::Line) -> Result<Self, Failure> {
        let paths = Self::paths(ctx);
        let lock = lock(ctx, &paths)?;
        let (ledger, remarks, fault) = Ledger::read_or_last(paths).map_err(|error| complaint::config(&error))?;
        warn(ctx, &remarks);
        Ok(Self { fault, ..Self::with(ctx, ledger, need, (Some(lock), false), line)? })
    }

    /// What it leaves to who goes on from here.
    pub(super) fn leave(self) -> (Ledger, HostKernel, Option<Lock>) {
        (self.ledger, self.kernel, self.lock)
    }

    /// For commands that only look, and that say less without privileges.
    pub(super) fn look(ctx: &mut Context, need: Need) -> Result<Self, Failure> {
        let paths = Self::paths(ctx);
        Self::read(ctx, paths, need, (None, false))
    }

    /// Whether this process may read the kernel.
    pub(super) fn is_privileged() -> bool {
        require_net_admin().is_ok()
    }

    fn paths(ctx: &Context) -> Paths {
        offline::paths(ctx)
    }

    /// `early`: the kernel is read, as far as it concerns the files, while the engine answers.
    fn read(ctx: &mut Context, paths: Paths, need: Need, (lock, early): (Option<Lock>, bool)) -> Result<Self, Failure> {
        let config = match Config::load(&paths) {
            Ok(config) => config,
            Err(error) if need == Need::Rescue => {
                ctx.output.note(&format!("warning: {error}"));
                Config::last_good(&paths).map_err(|error| complaint::config(&error))?
            }
            Err(error) => return Err(complaint::config(&error)),
        };
        let (ledger, remarks) = Ledger::read(paths, config, lock.is_some());
        warn(ctx, &remarks);
        Self::with(ctx, ledger, need, (lock, early), &mut engine::Line::default())
    }

    fn with(
        ctx: &Context,
        ledger: Ledger,
        need: Need,
        (lock, early): (Option<Lock>, bool),
        line: &mut engine::Line,
    ) -> Result<Self, Failure> {
        let following = if agent_is_here(ledger.paths()) { Following::Agent } else { Following::Nobody };
        let proof = if lock::is_held(&ledger.paths().third_line_file()) { Proof::Asked } else { Proof::No };
        let mut kernel = HostKernel::new(Tools::from_env());
        let names = ledger.users(&ledger.config);
        let (inventory, seen) = thread::scope(|scope| {
            let early = early.then(|| scope.spawn(|| reconcile::observe(&mut kernel, &names)));
            let inventory = match need {
                Need::Memory => Ok(None),
                _ => match line.inventory(ctx) {
                    Ok(inventory) => Ok(Some(inventory)),
                    Err(Trouble::Unreachable(_)) if need != Need::Engine => Ok(None),
                    Err(Trouble::Unreachable(failure) | Trouble::Refused(failure)) => Err(failure),
                },
            };
            let seen = early.map(joined);
            // Whoever needs the kernel asks again where it could not be read, and says why.
            (inventory, seen.and_then(Result::ok))
        });
        let inventory = inventory?;
        let seen = seen.map(|state| (names, state));
        Ok(Self {
            ledger,
            inventory,
            following,
            proof,
            now: Timestamp::now(),
            dismissed: BTreeMap::new(),
            fault: None,
            logging: Logging::default(),
            kernel,
            sandboxes: Sandboxes::default(),
            seen,
            lock,
        })
    }

    /// The files as they are.
    pub(super) fn config(&self) -> &Config {
        &self.ledger.config
    }

    /// The rules in the file.
    pub(super) fn policy(&self) -> &Policy {
        self.config().document.policy()
    }

    /// The rules that were in force when the kernel was last written.
    pub(super) fn last_policy(&self) -> &Policy {
        self.ledger.last_policy()
    }

    /// The containers, of a session that was opened with [`Need::Engine`].
    pub(super) fn containers(&self) -> Result<&Inventory, Failure> {
        self.inventory.as_ref().ok_or_else(|| Failure::internal("the engine was not asked"))
    }

    /// The services of a swarm whose published ports the rules in the file judge; what the kernel remembers counts once
    /// it has been read.
    pub(super) fn services<'a>(&self, inventory: &'a Inventory) -> Cow<'a, [Service]> {
        let memory = self.seen.as_ref().map(|(_, state)| reconcile::remembered_ingress(state)).unwrap_or_default();
        resolve::services(self.policy(), inventory, &memory)
    }

    /// Goes on as if a container had another name.
    pub(super) fn call_again(&mut self, id: &str, name: &str) {
        let containers = self.inventory.iter_mut().flat_map(|inventory| &mut inventory.containers);
        for container in containers.filter(|container| container.id == id) {
            name.clone_into(&mut container.name);
        }
    }

    /// The kernel's state, as far as it concerns the files as they are.
    pub(super) fn state(&mut self) -> Result<Dump, Failure> {
        self.state_for(&self.config().clone())
    }

    /// The kernel's state, as far as it concerns `config`. Read once: nobody else of ours writes while we hold the lock.
    fn state_for(&mut self, config: &Config) -> Result<Dump, Failure> {
        let record = Record::read(self.ledger.paths()).map_err(|error| complaint::file(&error))?;
        let policy = config.document.policy();
        let mut names = self.ledger.users(config);
        if !record.is_empty() || self.containers_with_sandbox(policy).next().is_some() {
            // Those are copied.
            names.extend(policy.rules.iter().flat_map(|rule| &rule.sources).filter_map(|source| match source {
                RuleSource::Ipset(name) => Some(name.clone()),
                _ => None,
            }));
        }
        let state = match self.seen.as_ref().filter(|(known, _)| *known == names) {
            Some((_, state)) => state.clone(),
            None => reconcile::observe(&mut self.kernel, &names).map_err(|error| complaint::kernel(&error))?,
        };
        self.seen = Some((names, state.clone()));
        self.settle_logging(policy, &state);
        self.open_sandboxes(&record, |container, inventory| needs_sandbox(policy, inventory, container))?;
        Ok(state)
    }

    fn containers_with_sandbox<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = &'a Container> {
        let inventory = self.inventory.as_ref();
        let containers =
            inventory.into_iter().flat_map(|inventory| inventory.containers.iter().map(move |c| (inventory, c)));
        containers
            .filter(|(inventory, container)| container.sandbox.is_some() && needs_sandbox(policy, inventory, container))
            .map(|(_, container)| container)
    }

    /// Opens and reads the containers' own network namespaces; those that are open already are not read again.
    fn open_sandboxes(
        &mut self,
        record: &Record,
        wanted: impl Fn(&Container, &Inventory) -> bool,
    ) -> Result<(), Failure> {
        let Some(known) = self.kernel.capabilities() else { return Ok(()) };
        let inventory = self.inventory.as_ref();
        let wanted = |container: &Container| inventory.is_some_and(|inventory| wanted(container, inventory));
        let with = (&Tools::from_env(), &known.flavour);
        self.sandboxes.open(record, inventory, wanted, with).map_err(|error| complaint::sandbox(&error))
    }

    /// What the network namespaces of containers hold, by the containers' full IDs, as far as they were read.
    pub(super) fn sandboxes(&self) -> &[Sandbox] {
        &self.sandboxes.open
    }

    /// What the tools can do here, once the kernel has been read.
    pub(super) fn capabilities(&self) -> Option<&crate::host::kernel::Capabilities> {
        self.kernel.capabilities()
    }

    /// A pass with `config` over the world as this session found it.
    fn pass<'a>(
        &'a self,
        config: &'a Config,
        earlier_sets: &'a [&'a BTreeMap<String, SetFile>],
        inventory: &'a Inventory,
    ) -> Pass<'a> {
        let (policy, sets) = (config.document.policy(), &config.sets);
        let (following, mute, proof, now) = (self.following, self.is_mute(), self.proof, self.now);
        Pass { policy, sets, earlier_sets, inventory, following, mute, proof, now }
    }

    /// What the kernel shall hold for `config`, given what it holds.
    pub(super) fn desired(&self, config: &Config, state: &Dump) -> Desired {
        let earlier = self.ledger.earlier();
        let mut desired = match &self.inventory {
            Some(inventory) => self.pass(config, &earlier, inventory).desired(state),
            None => reconcile::sets_only(state, &self.ledger.users(config), &config.sets, &earlier, self.now),
        };
        for (name, entries) in &self.dismissed {
            if let Some(DesiredSet::User { removed, .. }) = desired.sets.get_mut(name) {
                removed.extend(entries.iter().cloned());
            }
        }
        desired
    }

    /// What the network namespace of a container shall hold for `config`; `host` is the host's kernel as it was read.
    fn desired_inside(&self, config: &Config, host: (&Dump, &BTreeMap<String, IpSet>), inside: &Sandbox) -> Desired {
        let Some(inventory) = &self.inventory else { return compile::refresh_copies(&inside.state, host.1) };
        let Some(container) = inventory.containers.iter().find(|container| container.id == inside.id) else {
            return Desired::default();
        };
        let earlier = self.ledger.earlier();
        let pass = self.pass(config, &earlier, inventory);
        pass.sandbox(container, &inside.interfaces, host, &inside.state)
    }

    /// All differences between the kernel and what `config` wants of it, those inside of containers named so.
    pub(super) fn differences(&mut self, config: &Config) -> Result<Vec<DiffLine>, Failure> {
        let state = self.state_for(config)?;
        let desired = self.desired(config, &state);
        Ok(self.differing(config, &state, &desired))
    }

    /// The same, for who has read the kernel and computed what it shall hold.
    pub(super) fn differing(&self, config: &Config, state: &Dump, desired: &Desired) -> Vec<DiffLine> {
        let mut lines = plan::diff(state, desired);
        let held = compile::held(state, desired);
        for inside in &self.sandboxes.open {
            let wanted = self.desired_inside(config, (state, &held), inside);
            let place =
                |line: DiffLine| DiffLine { place: format!("container {}: {}", inside.name, line.place), ..line };
            lines.extend(plan::diff(&inside.state, &wanted).into_iter().map(place));
        }
        lines
    }

    /// Prints what `config` would change in the kernel; exits 2 when there is anything.
    pub(super) fn show_plan(&mut self, ctx: &mut Context, config: &Config) -> Result<Exit, Failure> {
        let state = self.state_for(config)?;
        if let Err(failure) = self.refuse_lost_policy(&state) {
            ctx.output.note(&format!("warning: {}", failure.message));
        }
        let desired = self.desired(config, &state);
        let lines = self.differing(config, &state, &desired);
        report::diff(&mut ctx.output, &lines);
        report::unsaved(ctx, &plan::unsaved(&state, &desired));
        Ok(if lines.is_empty() { Exit::Success } else { Exit::ThingsToDo })
    }

    /// Makes `config` true: files staged, kernel written, files placed. On an error nothing has changed, or it says so.
    pub(super) fn change(&mut self, ctx: &mut Context, config: Config) -> Result<Applied, Failure> {
        let applied = self.make_true(ctx, config)?;
        warn(ctx, self.missing_log(self.policy()).as_slice());
        Ok(applied)
    }

    /// The same, without the warnings that an agent gives once and not at every pass.
    fn make_true(&mut self, ctx: &mut Context, config: Config) -> Result<Applied, Failure> {
        let before = self.state_for(&config)?;
        self.refuse_lost_policy(&before)?;
        if self.inventory.is_some() {
            // Whatever the command is about, it puts the whole policy in force; people edit the file too.
            soundness::check(self, &config, &before)?;
        }
        let draft = self.ledger.stage(&config, self.now).map_err(|error| complaint::file(&error))?;
        let _mutation = ctx.cancel.begin()?;
        if let Err(error) = self.ledger.announce(&config, &draft) {
            warn(ctx, &self.ledger.withdraw());
            return Err(complaint::file(&error));
        }
        let applied = self.write(&before, Some(&config), &|| ctx.cancel.is_cancelled())?;
        warn(ctx, &applied.remarks);
        let placed = self.ledger.place(draft, config, self.now);
        warn(ctx, &placed.map_err(|error| complaint::half_written(&error, &ctx.program))?);
        if let Err(error) = self.remember_for_boot(&before) {
            warn(ctx, &[format!("the next boot may not close what is guarded now: {error}")]);
        }
        Ok(applied)
    }

    /// Keeps what a boot needs to know, of the files as they are and the engine as it was asked.
    fn remember_for_boot(&self, state: &Dump) -> Result<(), FileError> {
        let (Some(inventory), Some(known)) = (&self.inventory, self.kernel.capabilities()) else { return Ok(()) };
        let resolved = self.pass(self.config(), &self.ledger.earlier(), inventory).resolved(state);
        let calls = |family: &Family| Ground::of(state, *family).docker_user;
        let docker_user = Family::ALL.into_iter().filter(calls).collect();
        let record = BootRecord::of(&resolved, known.flavour.kind == Kind::Legacy, docker_user);
        Boot::keep(&record, self.ledger.paths())
    }

    /// Writes the host's kernel, which holds `before`, and those of the containers that were opened: all, or none. Without
    /// `config` everything of ours goes. Which containers' are written is recorded before, and which hold something
    /// afterwards.
    fn write(
        &mut self,
        before: &Dump,
        config: Option<&Config>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Applied, Failure> {
        // Taken out for the while, so that the rest of the session can be asked meanwhile.
        let mut kernel = std::mem::replace(&mut self.kernel, HostKernel::new(Tools::from_env()));
        let mut sandboxes = std::mem::take(&mut self.sandboxes);
        self.seen = None;
        let users = self.ledger.users(config.unwrap_or(self.config()));
        let nothing = |state: &Dump| self.nothing_but_the_proof(state, &users);
        let desired = |state: &Dump| config.map_or_else(|| nothing(state), |config| self.desired(config, state));
        let held = match sandboxes.open.as_slice() {
            [] => BTreeMap::new(),
            _ => compile::held(before, &desired(before)),
        };
        let inside = |sandbox: &Sandbox| {
            config.map_or_else(Desired::default, |config| self.desired_inside(config, (before, &held), sandbox))
        };
        let plans: Vec<Desired> = sandboxes.open.iter().map(inside).collect();
        let paths = self.ledger.paths();
        sandboxes.record_before(&plans, paths).map_err(|error| complaint::file(&error))?;
        let mut host = Site { container: None, kernel: &mut kernel, users: &users, before, desired: &desired };
        let mut applied = sandboxes.apply(&mut host, &plans, cancelled);
        match &mut applied {
            // The record made before names more than it needs to, and harms nobody.
            Ok(applied) => applied.remarks.extend(sandboxes.record_after(&plans, paths).err().map(|e| e.to_string())),
            Err(error) if error.is_undone() => drop(self.ledger.withdraw()),
            Err(_) => {}
        }
        self.kernel = kernel;
        applied.map_err(|error| complaint::apply(&error))
    }

    /// Looks whether the kernel has a set of that name already, of the recipe's making: it is taken over with its
    /// members if its type allows, and never thrown away.
    pub(super) fn adopt(&mut self, ctx: &mut Context, set: &SetFile) -> Result<(), Failure> {
        let names = Family::ALL.map(|family| set.kernel_name(family));
        let state =
            reconcile::observe(&mut self.kernel, &names.clone().into()).map_err(|error| complaint::kernel(&error))?;
        for family in Family::ALL {
            let name = set.kernel_name(family);
            let Some(present) = state.sets.get(&name) else { continue };
            let wanted = set.shape(family);
            if present.shape.kind != wanted.kind || present.shape.family != family {
                return Err(Failure::user(format!(
                    "the kernel has a set {name} already, of type {} for {}, and this one would be {}",
                    present.shape.kind.name(),
                    present.shape.family,
                    wanted.kind.name()
                ))
                .hinted(format!("Choose another name, or a type that agrees, or remove it: ipset destroy {name}")));
            }
            if !present.members.is_empty() {
                ctx.output.note(&format!(
                    "note: the kernel has a set {name} already: it is taken over with its {}; those that the file does \
                     not hold are kept and shown as not saved",
                    report::count(present.members.len(), "entry", "entries")
                ));
            }
        }
        Ok(())
    }

    /// Takes everything of ours out of the kernel. The files stay.
    pub(super) fn clear(&mut self, ctx: &mut Context) -> Result<Applied, Failure> {
        let _mutation = ctx.cancel.begin()?;
        let before = self.state()?;
        self.seen = None;
        let sets = reconcile::user_sets(&self.config().sets, &self.ledger.earlier(), self.now);
        for (name, entries) in plan::unsaved(&before, &Desired { sets, ..Desired::default() }) {
            // Named one by one: this is the last place where they can be read.
            let lost = entries.iter().map(|entry| render_set_entry(entry, &Member::default()));
            let lost = lost.collect::<Vec<_>>().join(" ");
            ctx.output.note(&format!("note: put into {name} by hand, in no file, and gone with it: {lost}"));
        }
        // Also those that no record names: it may have been lost.
        let record = Record::read(self.ledger.paths()).map_err(|error| complaint::file(&error))?;
        self.open_sandboxes(&record, |_, _| true)?;
        self.write(&before, None, &|| ctx.cancel.is_cancelled())
    }
}

/// The lock of whoever changes files or kernel, which only those ask for who may.
pub(super) fn lock(ctx: &mut Context, paths: &Paths) -> Result<Lock, Failure> {
    require_net_admin().map_err(|error| complaint::privilege(&error))?;
    let lock = Lock::acquire(paths, PATIENCE, |holder| {
        let who = holder.map_or_else(|| "another command".to_owned(), |pid| format!("process {pid}"));
        ctx.output.note(&format!("Waiting for {who} to finish changing the firewall..."));
    });
    lock.map_err(|error| complaint::lock(&error))
}

/// Whether an agent is to follow what commands do: one is installed, or runs.
fn agent_is_here(paths: &Paths) -> bool {
    paths.agent_installed_file().exists() || lock::is_held(&paths.agent_file())
}

fn warn(ctx: &mut Context, remarks: &[String]) {
    for remark in remarks {
        ctx.output.note(&format!("warning: {remark}"));
    }
}
