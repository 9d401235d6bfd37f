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

/// A line to the engine, which whoever asks more than once keeps open.
pub(super) struct Line {
    address: docker::EngineAddress,
    options: docker::ConnectOptions,
    runtime: tokio::runtime::Runtime,
    /// The engine, once it has answered.
    engine: Option<docker::Engine>,
}

impl Line {
    /// Nothing is asked yet.
    pub(super) fn new(ctx: &Context) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::internal(format!("cannot start the runtime: {error}")))?;
        let options = docker::ConnectOptions::from_environment(&docker::Environment::of_process());
        Ok(Self { address: address(ctx)?, options, runtime, engine: None })
    }

    /// Whoever answers next may be another engine.
    pub(super) fn hang_up(&mut self) {
        self.engine = None;
    }

    /// Asks the engine for everything, and refuses one that lives elsewhere.
    pub(super) fn inventory(&mut self) -> Result<Inventory, Trouble> {
        let mut second = false;
        loop {
            let inventory = self.snapshot().map_err(|error| Trouble::Unreachable(complaint::engine(&error)))?;
            let host =
                HostInterfaces::read().map_err(|error| Trouble::Refused(Failure::environment(error.to_string())))?;
            match docker::locality(&inventory, &host, &self.address) {
                Ok(()) => return Ok(inventory),
                Err(error) if second => return Err(Trouble::Refused(Failure::refused(error.to_string()))),
                Err(_) => second = true,
            }
            std::thread::sleep(SECOND_LOOK);
        }
    }

    /// Asks for the containers alone, on a line that is open: where the engine lives has been seen.
    pub(super) fn containers(&mut self) -> Result<Inventory, EngineError> {
        let Some(engine) = &self.engine else {
            return self.snapshot();
        };
        let answer = self.runtime.block_on(engine.snapshot_of_containers());
        if answer.is_err() {
            self.hang_up();
        }
        answer
    }

    fn snapshot(&mut self) -> Result<Inventory, EngineError> {
        let Self { address, options, runtime, engine } = self;
        let answer = runtime.block_on(async {
            let reached = match engine.take() {
                Some(engine) => engine,
                None => docker::Engine::connect(address, options).await?,
            };
            engine.insert(reached).snapshot().await
        });
        if answer.is_err() {
            self.hang_up();
        }
        answer
    }
}
