//! The network namespaces of containers that hold rules of ours, or shall.
//!
//! Only those are visited that a rule or the default speaks of, and those that were written to before: a thousand
//! containers on bridges cost nothing here. A record says which were written; it goes with a reboot, as they do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::apply::{Applied, ApplyError, Site, apply_all, observe};
use crate::host::files::{self, FileError};
use crate::host::flavour::Flavour;
use crate::host::kernel::{HostKernel, KernelError};
use crate::host::namespace::{Namespace, NamespaceError, SandboxKernel, process_lives};
use crate::host::paths::Paths;
use crate::host::tools::Tools;
use crate::inventory::{Container, Inventory};
use crate::resolve::Interface;
use crate::ruleset::{Desired, Dump};

/// More than any host's: a line has some hundred bytes.
const RECORD_MAX: u64 = 16 << 20;

/// Why a container's namespace cannot be guarded.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// It cannot be worked in.
    #[error("container {name}: {source}")]
    Namespace {
        /// The container.
        name: String,
        /// Why.
        #[source]
        source: NamespaceError,
    },
    /// Its rules and sets cannot be read.
    #[error("in the network namespace of the container {name}: {source}")]
    Kernel {
        /// The container.
        name: String,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// The record cannot be read or written.
    #[error(transparent)]
    Record(#[from] FileError),
}

/// The namespaces that hold rules of ours: file and the container's full ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<PathBuf, String>);

impl Record {
    /// Reads it; empty when nothing was ever written. What cannot be read as a line of it is passed over.
    pub fn read(paths: &Paths) -> Result<Self, FileError> {
        let text = files::read_limited(&paths.sandboxes_file(), RECORD_MAX)?.unwrap_or_default();
        let line = |line: &str| line.split_once(' ').map(|(id, path)| (PathBuf::from(path), id.to_owned()));
        Ok(Self(text.lines().filter_map(line).filter(|(path, _)| path.is_absolute()).collect()))
    }

    /// Writes it where it says something new.
    fn replace(&self, paths: &Paths) -> Result<(), FileError> {
        if Self::read(paths)? == *self {
            return Ok(());
        }
        let mut text = String::new();
        for (path, id) in &self.0 {
            let _ = writeln!(text, "{id} {}", path.display());
        }
        files::write_atomic(&paths.sandboxes_file(), &text)
    }

    /// Whether a container is in it, by its full ID.
    pub fn names(&self, id: &str) -> bool {
        self.0.values().any(|own| own == id)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One container's namespace, open and read.
#[derive(Debug)]
pub struct Sandbox {
    /// The container's full ID.
    pub id: String,
    /// Its name, or the beginning of its ID when the engine knows it no more.
    pub name: String,
    /// The firewall in there.
    pub kernel: SandboxKernel,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// What it held.
    pub state: Dump,
    path: PathBuf,
}

/// All that were opened.
#[derive(Debug, Default)]
pub struct Sandboxes {
    /// In the order in which they were opened.
    pub open: Vec<Sandbox>,
}

impl Sandboxes {
    /// Opens and reads what is not open yet: the namespaces of those containers that `wanted` names, and those recorded.
    /// One whose container has stopped meanwhile is passed over: its rules went with it.
    pub fn open(
        &mut self,
        record: &Record,
        inventory: Option<&Inventory>,
        wanted: impl Fn(&Container) -> bool,
        (tools, flavour): (&Tools, &Flavour),
    ) -> Result<(), SandboxError> {
        let containers = || inventory.into_iter().flat_map(|inventory| &inventory.containers);
        let mut places: BTreeMap<&Path, (&str, Option<u32>)> =
            record.0.iter().map(|(path, id)| (&**path, (&**id, None))).collect();
        for container in containers() {
            let Some(sandbox) = &container.sandbox else { continue };
            let recorded = places.contains_key(&*sandbox.path);
            if recorded || wanted(container) {
                places.insert(&sandbox.path, (&container.id, Some(sandbox.pid)));
            }
        }
        for (path, (id, pid)) in places {
            if self.open.iter().any(|sandbox| sandbox.path == path) {
                continue;
            }
            let known = containers().find(|container| container.id == id);
            let name = known.map_or_else(|| id.chars().take(12).collect(), |container| container.name.clone());
            let failed = |source| SandboxError::Namespace { name: name.clone(), source };
            let lives = || pid.is_some_and(process_lives);
            let Some(namespace) = Namespace::open(path, lives).map_err(failed)? else { continue };
            let interfaces = namespace.links().map_err(failed)?;
            let mut kernel = SandboxKernel::new(namespace, HostKernel::with_flavour(tools.clone(), flavour.clone()));
            let state = observe(&mut kernel, &BTreeSet::new())
                .map_err(|source| SandboxError::Kernel { name: name.clone(), source })?;
            self.open.push(Sandbox { id: id.to_owned(), name, kernel, interfaces, state, path: path.to_owned() });
        }
        Ok(())
    }

    /// Makes the host's kernel hold `host` and each namespace its part of `plans`: all, or none.
    pub fn apply(
        &mut self,
        host: &mut Site<'_>,
        plans: &[Desired],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Applied, ApplyError> {
        let nobody = BTreeSet::new();
        let insides: Vec<_> = plans.iter().map(|plan| move |_: &Dump| plan.clone()).collect();
        let mut sites = vec![Site { kernel: &mut *host.kernel, ..*host }];
        sites.extend(self.open.iter_mut().zip(&insides).map(|(sandbox, desired)| Site {
            container: Some(&sandbox.name),
            kernel: &mut sandbox.kernel,
            users: &nobody,
            before: &sandbox.state,
            desired,
        }));
        apply_all(&mut sites, cancelled)
    }

    /// Records those that hold something of ours or will: before they are written, so that whoever is killed then leaves
    /// none that nobody finds.
    pub fn record_before(&self, plans: &[Desired], paths: &Paths) -> Result<(), FileError> {
        let holds = |sandbox: &Sandbox| Desired::from_dump(&sandbox.state, &BTreeSet::new()) != Desired::default();
        self.record(plans, holds).replace(paths)
    }

    /// Records those that hold something of ours now.
    pub fn record_after(&self, plans: &[Desired], paths: &Paths) -> Result<(), FileError> {
        self.record(plans, |_| false).replace(paths)
    }

    fn record(&self, plans: &[Desired], also: impl Fn(&Sandbox) -> bool) -> Record {
        let meant = self.open.iter().zip(plans).filter(|(sandbox, plan)| **plan != Desired::default() || also(sandbox));
        Record(meant.map(|(sandbox, _)| (sandbox.path.clone(), sandbox.id.clone())).collect())
    }
}
