//! The way through `docker system dial-stdio`, with a docker of our own.
//!
//! It is a shell script that runs this test program again for its helper test, `pipe_to_socket`, which copies between
//! the pipes and the socket.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use docker_firewall::docker::{Engine, EngineAddress, EngineError};
use docker_firewall::inventory::Inventory;

use crate::fake::{Fake, options};

const SOCKET: &str = "DOCKER_FIREWALL_TEST_SOCKET";

/// Not a test by itself: what stands behind the fake `docker system dial-stdio`.
#[test]
#[ignore = "run by the fake docker"]
fn pipe_to_socket() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let socket = UnixStream::connect(PathBuf::from(path)).unwrap();
    let (mut up, mut down) = (socket.try_clone().unwrap(), socket);
    std::thread::spawn(move || std::io::copy(&mut std::io::stdin(), &mut up));
    // The test harness writes to standard output: the script has put the real one at 3.
    let mut out = std::fs::File::options().write(true).open("/proc/self/fd/3").unwrap();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = down.read(&mut buffer) {
        out.write_all(&buffer[..count]).unwrap();
    }
}

/// A script in `directory` that stands in for docker.
fn docker(directory: &Path, script: &str) -> EngineAddress {
    let path = directory.join("docker");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    EngineAddress::DialStdio {
        context: Some("prod".to_owned()),
        description: "ssh://me@h".to_owned(),
        program: path.to_str().unwrap().to_owned(),
        args: ["--context", "prod", "system", "dial-stdio"].map(str::to_owned).to_vec(),
    }
}

/// Only the socket itself tells who listens on it.
fn without_listener(mut inventory: Inventory) -> Inventory {
    assert_eq!(inventory.engine.shares_namespace.take(), Some(true));
    inventory
}

fn piping(directory: &Path, socket: &Path) -> EngineAddress {
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "echo \"$*\" >> {directory}/calls\n{SOCKET}={socket} exec {test} --exact dial_stdio::pipe_to_socket --ignored \
         3>&1 >/dev/null",
        directory = directory.display(),
        socket = socket.display(),
        test = test.display(),
    );
    docker(directory, &script)
}

#[tokio::test]
async fn speaks_through_dockers_pipes() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::recorded("28.5.2");
    let engine = Engine::connect(&piping(directory.path(), &fake.socket()), &options()).await.unwrap();
    let through = engine.snapshot().await.unwrap();
    assert_eq!(through, without_listener(fake.snapshot().await.unwrap()));
    assert_eq!(engine.snapshot().await.unwrap(), through);
    // One process for all requests, called with the user's own flags.
    let calls = std::fs::read_to_string(directory.path().join("calls")).unwrap();
    assert_eq!(calls, "--context prod system dial-stdio\n");
}

#[tokio::test]
#[ignore = "needs the docker CLI"]
async fn speaks_through_the_real_docker() {
    let fake = Fake::recorded("28.5.2");
    let address = EngineAddress::DialStdio {
        context: None,
        description: "the fake".to_owned(),
        program: "docker".to_owned(),
        args: vec!["-H".to_owned(), fake.address().to_string(), "system".to_owned(), "dial-stdio".to_owned()],
    };
    let engine = Engine::connect(&address, &options()).await.unwrap();
    assert_eq!(engine.snapshot().await.unwrap(), without_listener(fake.snapshot().await.unwrap()));

    let address = EngineAddress::DialStdio {
        context: Some("nope".to_owned()),
        description: "nowhere".to_owned(),
        program: "docker".to_owned(),
        args: ["--context", "nope", "system", "dial-stdio"].map(str::to_owned).to_vec(),
    };
    let error = Engine::connect(&address, &options()).await.unwrap_err().to_string();
    assert!(error.contains("context \"nope\": context not found"), "{error}");
}

#[tokio::test]
async fn passes_on_what_docker_says() {
    let directory = tempfile::tempdir().unwrap();
    let address = docker(directory.path(), "echo 'error during connect: no route to host' >&2; exit 1");
    let error = Engine::connect(&address, &options()).await.unwrap_err();
    let expected =
        "cannot reach the engine at ssh://me@h through the docker CLI: error during connect: no route to host";
    assert_eq!(error.to_string(), expected);

    let address = docker(directory.path(), "exit 0");
    let error = Engine::connect(&address, &options()).await.unwrap_err();
    assert!(matches!(error, EngineError::Lost { .. }), "{error}");

    let address = docker(directory.path(), "cat >&2; sleep 60");
    let error = Engine::connect(&address, &options()).await.unwrap_err();
    assert!(matches!(error, EngineError::Timeout { seconds: 2, .. }), "{error}");

    let address = EngineAddress::DialStdio {
        context: None,
        description: "tcp://h:2375".to_owned(),
        program: directory.path().join("none").to_str().unwrap().to_owned(),
        args: Vec::new(),
    };
    let error = Engine::connect(&address, &options()).await.unwrap_err().to_string();
    assert!(error.contains("cannot start") && error.contains("No such file"), "{error}");
}
