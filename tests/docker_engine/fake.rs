//! An engine made of canned answers, behind a real unix socket.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docker_firewall::docker::{ConnectOptions, Engine, EngineAddress, EngineError};
use docker_firewall::inventory::Inventory;

use crate::canned::{self, serve};
pub(crate) use crate::canned::{Answers, Reply};

/// The engine; it lives as long as this value.
pub(crate) struct Fake {
    directory: tempfile::TempDir,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) fn new(answers: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers): (_, Arc<Answers>) = (Arc::clone(&requests), Arc::new(answers));
        serve(listener, seen, answers);
        Self { directory, requests }
    }

    /// The recorded answers of a real engine.
    pub(crate) fn recorded(name: &'static str) -> Self {
        Self::new(move |path| recorded(name, path))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    pub(crate) fn address(&self) -> EngineAddress {
        EngineAddress::Unix(self.socket())
    }

    /// The requests so far, `GET /v1.41/info` and the like, sorted.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = self.requests.lock().unwrap().clone();
        requests.sort();
        requests
    }

    pub(crate) async fn snapshot(&self) -> Result<Inventory, EngineError> {
        Engine::connect(&self.address(), &options()).await?.snapshot().await
    }
}

/// Impatient, for the tests of engines that hang.
pub(crate) fn options() -> ConnectOptions {
    ConnectOptions { patience: Duration::from_secs(2), ..ConnectOptions::default() }
}

/// What the engine `name` answered when it was recorded.
pub(crate) fn recorded(name: &str, path: &str) -> Reply {
    canned::recorded(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/engines"), name, path)
}
