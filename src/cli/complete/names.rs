//! What has a name: rules and sets from their files, containers from the engine, interfaces and ipsets from the kernel.

use std::cell::OnceCell;
use std::future::Future;
use std::time::Duration;

use crate::cli::environment::Env;
use crate::docker::{self, EngineAddress, Environment, GlobalFlags};
use crate::host::files;
use crate::host::interfaces;
use crate::host::paths::Paths;
use crate::host::tools::Tools;
use crate::inventory::Inventory;
use crate::policy::{DOCUMENT_MAX, Document, Policy, SetFile, SetName};

/// A shell that waits longer for a press of TAB seems to hang.
const PATIENCE: Duration = Duration::from_millis(300);
/// Of larger sets (some 30,000 entries) nobody looks for an entry with TAB.
const SET_FILE_MAX: u64 = 1 << 20;

/// Where names are looked up. Each is asked at most once, and only if somebody wants it.
pub(super) struct Names<'a> {
    paths: Paths,
    flags: &'a GlobalFlags,
    policy: OnceCell<Policy>,
    inventory: OnceCell<Inventory>,
}

impl<'a> Names<'a> {
    /// `flags` say which engine is meant.
    pub(super) fn new(env: &Env, flags: &'a GlobalFlags) -> Self {
        let paths = Paths::from_env(|name| env.get(name).map(std::ffi::OsStr::to_owned));
        Self { paths, flags, policy: OnceCell::new(), inventory: OnceCell::new() }
    }

    /// The rules of the file; none if it cannot be read.
    pub(super) fn policy(&self) -> &Policy {
        self.policy.get_or_init(|| {
            let text = files::read_limited(&self.paths.policy_file(), DOCUMENT_MAX as u64).ok().flatten();
            let document = text.and_then(|text| Document::parse(&text).ok());
            document.map(|document| document.policy().clone()).unwrap_or_default()
        })
    }

    /// The sets that have a file.
    pub(super) fn sets(&self) -> Vec<SetName> {
        files::list_sets(&self.paths).unwrap_or_default()
    }

    /// One set, unless it is very large.
    pub(super) fn set(&self, name: &str) -> Option<SetFile> {
        let name: SetName = name.parse().ok()?;
        let text = files::read_limited(&self.paths.set_file(&name), SET_FILE_MAX).ok()??;
        SetFile::parse(&name, &text).ok()
    }

    /// Containers and networks; none if the engine does not answer in time.
    pub(super) fn inventory(&self) -> &Inventory {
        self.inventory.get_or_init(|| {
            let glance = self.local_engine().and_then(|engine| in_time(docker::glance(&engine, PATIENCE)));
            glance.map(|glance| glance.inventory).unwrap_or_default()
        })
    }

    /// Swarm's services, where this node manages them.
    pub(super) fn services(&self) -> Vec<String> {
        let names = self.local_engine().and_then(|engine| in_time(docker::service_names(&engine, PATIENCE)));
        names.unwrap_or_default()
    }

    /// The kernel's ipsets, which only root may see.
    pub(super) fn ipsets(&self) -> Vec<String> {
        let listed = Tools::from_env().run("ipset", &["list", "-name"], "").and_then(Result::ok);
        let listed = listed.filter(|ran| ran.success).map(|ran| ran.stdout).unwrap_or_default();
        let files = self.sets();
        let is_file = |name: &str| files.iter().any(|set| set.as_str() == name.strip_suffix("-v6").unwrap_or(name));
        let ours = |name: &&str| name.starts_with("df4-") || name.starts_with("df6-") || is_file(name);
        listed.lines().filter(|name| !ours(name)).map(str::to_owned).collect()
    }

    /// Not asked through ssh: rules are made where the engine is.
    fn local_engine(&self) -> Option<EngineAddress> {
        let address = docker::resolve_endpoint(self.flags, &Environment::of_process()).ok()?;
        matches!(address, EngineAddress::Unix(_)).then_some(address)
    }
}

/// The host's interfaces that packets from outside come in over.
pub(super) fn interface_names() -> Vec<String> {
    let links = interfaces::links().unwrap_or_default();
    links.into_iter().map(|link| link.name).filter(|name| !name.starts_with("veth")).collect()
}

/// The result, if there is a good one within [`PATIENCE`].
fn in_time<T, E>(asking: impl Future<Output = Result<T, E>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
    // Whatever still runs is not waited for.
    runtime.shutdown_background();
    answer.ok()?.ok()
}
