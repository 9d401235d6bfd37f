//! The process among others: pipes, full disks, signals, the client's socket.

#![allow(clippy::unwrap_used)]

mod cli_support;

use std::fs::File;
use std::io::BufReader;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{BINARY, ORIGINAL, clean};
use docker_firewall::cli::cancel::Cancel;
use docker_firewall::cli::environment::Env;
use rustix::process::{Pid, Signal, kill_process};

const SOCKET: &str = "DOCKER_CLI_PLUGIN_SOCKET";
const ROLE: &str = "CLI_PROCESS_TEST_ROLE";

#[test]
fn a_reader_that_leaves_is_no_error() {
    for words in [&["--help"][..], &["version"], &["docker-cli-plugin-metadata"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = clean(BINARY).args(words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert!(output.status.code().is_some_and(|code| code <= 1), "{words:?}: {:?}", output.status);
    }
    let script = format!("'{BINARY}' --help | head -1; '{BINARY}' --help >&-");
    let output = clean("/bin/sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Usage:  docker-firewall COMMAND\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = clean(BINARY).arg("version").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("cannot write to standard output: "));
}

#[test]
fn a_client_that_is_gone_means_stop() {
    let run = |name: &str| {
        clean(BINARY).args(["firewall", "version"]).env(ORIGINAL, "docker").env(SOCKET, name).output().unwrap()
    };
    let name = format!("docker_firewall_test_{}", std::process::id());
    assert_eq!(run(&format!("@{name}")).status.code(), Some(130));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(run(&format!("@{name}")).status.code(), Some(0));
    // Not ours to judge: a socket that never was.
    assert_eq!(run("/nonexistent/socket").status.code(), Some(0));
}

/// What the tests below run as a process of its own; does nothing among the other tests.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let cancel = Cancel::watch(&Env::of_process()).unwrap_or_else(|failure| std::process::exit(failure.code().into()));
    let mutation = (role != "idle").then(|| cancel.begin().unwrap());
    eprintln!("ready");
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if cancel.is_cancelled() && role == "mutating" {
            drop(mutation);
            let code = cancel.begin().unwrap_err().code();
            eprintln!("rolled back");
            std::process::exit(i32::from(code) + 1);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    std::process::exit(7);
}

/// Starts `child` and waits until it listens.
fn start(role: &str, socket: Option<&str>, wrap: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let this = std::env::current_exe().unwrap();
    // A shell's background job ignores some of them, and would hand that down.
    let [program, wrap @ ..] = (if wrap.is_empty() { &["env", "--default-signal=INT,TERM,HUP"] } else { wrap }) else {
        unreachable!("there is a program");
    };
    let mut command = Command::new(program);
    command.args(wrap).arg(&this);
    command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env_remove(SOCKET);
    if let Some(name) = socket {
        command.env(SOCKET, name);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut lines, "ready");
    (child, lines)
}

fn read_until(lines: &mut impl std::io::BufRead, word: &str) -> String {
    let mut seen = String::new();
    while !seen.lines().any(|line| line == word) {
        assert_ne!(lines.read_line(&mut seen).unwrap(), 0, "ended after {seen:?}");
    }
    seen
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn before_a_change_a_signal_ends_it_at_once() {
    for which in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (mut child, _lines) = start("idle", None, &[]);
        signal(&child, which);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{which:?}");
    }
}

#[test]
fn within_a_change_it_is_rolled_back_first() {
    let (mut child, mut lines) = start("mutating", None, &[]);
    signal(&child, Signal::INT);
    let seen = read_until(&mut lines, "rolled back");
    assert!(seen.contains("stopping: the change in hand is finished or undone first\n"), "{seen}");
    assert_eq!(child.wait().unwrap().code(), Some(131));
}

#[test]
fn the_third_signal_ends_it_anyway() {
    let (mut child, mut lines) = start("stubborn", None, &[]);
    signal(&child, Signal::INT);
    read_until(&mut lines, "stopping: the change in hand is finished or undone first");
    // Signals of one kind that are pending together count once: each must have been seen before the next.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(child.try_wait().unwrap(), None);
        signal(&child, Signal::INT);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_clients_socket_counts_as_a_signal() {
    let name = format!("docker_firewall_child_{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let (mut child, mut lines) = start("mutating", Some(&format!("@{name}")), &[]);
    let (stream, _) = listener.accept().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(child.try_wait().unwrap(), None);
    drop(stream);
    read_until(&mut lines, "rolled back");
    assert_eq!(child.wait().unwrap().code(), Some(131));
}

#[test]
fn what_was_ignored_stays_ignored() {
    let (mut child, _lines) = start("idle", None, &["nohup"]);
    signal(&child, Signal::HUP);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(child.try_wait().unwrap(), None, "nohup was overruled");
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
