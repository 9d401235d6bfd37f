//! Everything that packets meet, whoever put it there: on the host, and inside of containers.

use std::thread;

use super::{Need, Session, lock};
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::doctor::{Filters, ForwardedPort};
use crate::host::kernel::{HostKernel, Kernel as _};
use crate::host::namespace::{Namespace, NamespaceError, process_lives};
use crate::host::observe::joined;
use crate::host::proxies::{self, Proxy};
use crate::host::tools::Tools;
use crate::host::whole::{self, Whole};
use crate::host::{backstop, bridges, dockerd};
use crate::inventory::Container;
use crate::resolve::Interface;
use crate::ruleset::Dump;

impl Session {
    /// For commands that look at everything: the kernel is read while the engine answers.
    pub(in crate::cli) fn open_and_look(ctx: &mut Context) -> Result<(Self, Whole), Failure> {
        let paths = Self::paths(ctx);
        let lock = lock(ctx, &paths)?;
        let mut kernel = HostKernel::new(Tools::from_env());
        let (session, whole) = thread::scope(|scope| {
            let whole = scope.spawn(|| whole::read(&mut kernel));
            let session = Self::read(ctx, paths, Need::Engine, (Some(lock), false));
            (session, joined(whole))
        });
        let session = Self { kernel, ..session? };
        Ok((session, whole.map_err(|error| complaint::kernel(&error))?))
    }

    /// Every table of the host, whoever wrote into it.
    pub(in crate::cli) fn whole(&mut self) -> Result<Whole, Failure> {
        whole::read(&mut self.kernel).map_err(|error| complaint::kernel(&error))
    }

    /// How packets are filtered here besides; for the diagnosis, once the kernel has been read.
    pub(in crate::cli) fn filters(&self) -> Filters {
        let tools = Tools::from_env();
        let forwarded = |Proxy { protocol, from, to }| ForwardedPort { protocol, from, to };
        let flavour = self.capabilities().map(|known| (known.flavour.kind.to_string(), known.flavour.reason.clone()));
        Filters {
            flavour: flavour.unwrap_or_default(),
            other: whole::other_kind(&self.kernel),
            missed: backstop::dropped(&self.kernel),
            proxies: proxies::read().into_iter().map(forwarded).collect(),
            settings: dockerd::settings(),
            bridges: bridges::read(&tools),
        }
    }

    /// Tables, sets and links in the network namespace of a container; `None` when it has stopped meanwhile.
    pub(in crate::cli) fn whole_inside(
        &mut self,
        container: &Container,
    ) -> Result<Option<(Whole, Dump, Vec<Interface>)>, Failure> {
        let (Some(sandbox), Some(known)) = (&container.sandbox, self.kernel.capabilities()) else { return Ok(None) };
        let elsewhere = |error: NamespaceError| Failure::environment(format!("container {}: {error}", container.name));
        let lives = || process_lives(sandbox.pid);
        let Some(namespace) = Namespace::open(&sandbox.path, lives).map_err(elsewhere)? else { return Ok(None) };
        let mut kernel = HostKernel::with_flavour(Tools::from_env(), known.flavour.clone());
        let read = || Ok((whole::read(&mut kernel)?, kernel.observe(&|_| true)?));
        let (whole, state) = namespace.within(read).map_err(elsewhere)?.map_err(|error| complaint::kernel(&error))?;
        Ok(Some((whole, state, namespace.links().map_err(elsewhere)?)))
    }
}
