//! The hint after `docker run`, as Docker's client prints it on a terminal.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::time::Instant;

use desk::{Desk, Result};
use lab::{Engine, Flavour, IMAGE};

const CONFIG: &str =
    r#"{"features": {"hooks": "true"}, "plugins": {"firewall": {"hooks": "run,container run,compose up"}}}"#;

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn after_docker_run() -> Result {
    let desk = Desk::up(Engine::V28_5, Flavour::Nft, "hook")?;
    desk.write("/root/.docker/config.json", CONFIG)?;
    let run = |words: &str| on_a_terminal(&desk, &format!("docker run -d {words} {IMAGE}"));

    let said = run("--name web -p 8080:80")?;
    assert!(
        said.contains("Open to everyone: 8080/tcp (web). To restrict it: docker firewall allow web --from ADDRESS"),
        "{said}"
    );
    for quiet in ["--name local -p 127.0.0.1:8081:80", "--name none", "-q --name pulled -p 127.0.0.1:8082:80"] {
        let said = run(quiet)?;
        assert!(!said.contains("everyone") && !said.contains("What's next"), "{quiet}: {said}");
    }
    // The command did not succeed.
    let said = run("--name web -p 8083:80")?;
    assert!(!said.contains("everyone"), "{said}");
    // A rule that waits for it does not hold yet, for nobody puts it in force.
    desk.done("allow later --from 203.0.113.10 --pending")?;
    let said = run("--name later -p 8084:80")?;
    assert!(said.contains("Not closed yet, for no agent runs: 8084/tcp (later)"), "{said}");
    how_long_it_takes(&desk)
}

/// What Docker's client prints there.
fn on_a_terminal(desk: &Desk, line: &str) -> Result<String> {
    Ok(desk.lab.exec(&["script", "-qec", line, "/dev/null"])?.stdout)
}

/// The hook alone, with an engine that answers and with one that does not.
fn how_long_it_takes(desk: &Desk) -> Result {
    let request = r#"{"RootCmd":"run","Flags":{"publish":""},"CommandError":""}"#;
    let ask = || -> Result<u128> {
        let begun = Instant::now();
        desk.lab.exec(&["docker-firewall", "firewall", "docker-cli-plugin-hooks", request])?.require("the hook")?;
        Ok(begun.elapsed().as_millis())
    };
    let alive = (0..5).map(|_| ask()).collect::<Result<Vec<_>>>()?;
    desk.shell("kill -STOP $(cat /run/docker.pid)")?;
    let stopped = (0..5).map(|_| ask()).collect::<Result<Vec<_>>>();
    desk.shell("kill -CONT $(cat /run/docker.pid)")?;
    let stopped = stopped?;
    println!("the hook, in ms: {alive:?}; with an engine that is stopped: {stopped:?}");
    // The best of five, so that a busy machine does not count; nsenter is in it.
    assert!(stopped.iter().min() < Some(&200) && alive.iter().min() < Some(&200), "{alive:?} {stopped:?}");
    Ok(())
}
