//! The engine that a command is about: found as docker finds it, asked for everything, refused when it lives elsewhere.

use std::time::Duration;

use super::complaint;
use super::context::Context;
use super::failure::Failure;
use crate::docker::{self, EngineError};
use crate::host::interfaces::HostInterfaces;
use crate::inventory::Inventory;

/// How long to wait before an engine that seems to be elsewhere is asked again: a network may just be coming or going.
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// Why there is no inventory.
pub(super) enum Trouble {
    /// The engine does not answer; sets can be changed all the same.
    Unreachable(Failure),
    /// It must not be touched from here, or cannot be named.
    Refused(Failure),
}

/// Where the engine is.
pub(super) fn address(ctx: &Context) -> Result<docker::EngineAddress, Failure> {
    docker::resolve_endpoint(&ctx.globals, &docker::Environment::of_process())
        .map_err(|error| Failure::environment(error.to_string()))
}

/// A line to the engine, kept open as far as it can be.
#[derive(Default)]
pub(super) struct Line {
    open: Option<(tokio::runtime::Runtime, docker::Engine)>,
    /// How long each request may take, where that is not left to what people wait at a terminal.
    patience: Option<Duration>,
}

impl Line {
    /// One for requests that take no longer than `patience` each.
    pub(super) fn patient_for(patience: Duration) -> Self {
        Self { open: None, patience: Some(patience) }
    }

    /// Asks the engine, and refuses one that lives elsewhere.
    pub(super) fn inventory(&mut self, ctx: &Context) -> Result<Inventory, Trouble> {
        let environment = docker::Environment::of_process();
        let address = address(ctx).map_err(Trouble::Refused)?;
        let mut options = docker::ConnectOptions::from_environment(&environment);
        options.patience = self.patience.unwrap_or(options.patience);
        let unreachable = |error: EngineError| Trouble::Unreachable(complaint::engine(&error));
        let mut second = false;
        loop {
            let (runtime, engine) = if let Some(open) = self.open.take() {
                open
            } else {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                    Trouble::Refused(Failure::internal(format!("cannot start the runtime: {error}")))
                })?;
                let engine = runtime.block_on(docker::Engine::connect(&address, &options)).map_err(unreachable)?;
                (runtime, engine)
            };
            let inventory = runtime.block_on(engine.snapshot()).map_err(unreachable)?;
            let host =
                HostInterfaces::read().map_err(|error| Trouble::Refused(Failure::environment(error.to_string())))?;
            match docker::locality(&inventory, &host, &address) {
                Ok(()) => {
                    self.open = Some((runtime, engine));
                    return Ok(inventory);
                }
                Err(error) if second => return Err(Trouble::Refused(Failure::refused(error.to_string()))),
                Err(_) => second = true,
            }
            std::thread::sleep(SECOND_LOOK);
        }
    }

    /// Asks for the containers, and for the networks only where `networks` says so or a container is on one that is not
    /// known. Of a line that is open it has been seen where the engine lives.
    pub(super) fn containers(&mut self, ctx: &Context, networks: bool) -> Result<Inventory, Trouble> {
        if networks {
            return self.inventory(ctx);
        }
        let Some((runtime, engine)) = self.open.take() else { return self.inventory(ctx) };
        let answer = runtime.block_on(engine.snapshot_of_containers());
        let inventory = answer.map_err(|error| Trouble::Unreachable(complaint::engine(&error)))?;
        self.open = Some((runtime, engine));
        Ok(inventory)
    }

    /// Ends it: the engine at the other end may be another one by now.
    pub(super) fn hang_up(&mut self) {
        self.open = None;
    }
}
