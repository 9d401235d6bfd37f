//! The plugin as people use it: through Docker's own client. No engine is needed.

mod cli_support;

use std::fs;

use cli_support::{Docker, plugin};

#[test]
fn docker_lists_it() {
    let docker = Docker::new();
    let help = docker.run("--help");
    let line = help.out.lines().find(|line| line.trim_start().starts_with("firewall*")).expect("not listed");
    assert!(line.contains("Decide who may reach which container"), "{line}");
    // Without an engine `docker info` fails, but says what it knows of the client first.
    let info = docker.command("info --format").arg("{{json .ClientInfo.Plugins}}").output().unwrap();
    let info = String::from_utf8(info.stdout).unwrap();
    let plugins: serde_json::Value = serde_json::from_str(info.lines().next().unwrap()).unwrap();
    let ours = plugins.as_array().unwrap().iter().find(|plugin| plugin["Name"] == "firewall").unwrap();
    assert_eq!(ours["Version"], concat!("v", env!("CARGO_PKG_VERSION")));
    assert_eq!(ours.get("Err"), None);
}

#[test]
fn docker_hands_help_over() {
    let docker = Docker::new();
    for (line, same) in [
        ("firewall", "firewall"),
        ("firewall --help", "firewall --help"),
        ("firewall allow --help", "firewall allow --help"),
        ("help firewall allow", "firewall allow --help"),
        ("--context nope firewall ls -h", "firewall ls -h"),
        ("firewall set", "firewall set"),
    ] {
        assert_eq!(docker.run(line), plugin(same), "{line}");
    }
}

#[test]
fn docker_hands_exit_codes_over() {
    let docker = Docker::new();
    for (line, code) in [
        ("firewall version", 0),
        ("-D firewall version", 0),
        ("-l debug --tls firewall -- version", 0),
        ("firewall bogus", 1),
        ("firewall allow", 1),
        ("firewall ls --bogus", 125),
        ("firewall ls --context x", 125),
    ] {
        let ended = docker.run(line);
        assert_eq!(ended.code, code, "{line}: {}", ended.err);
    }
}

#[test]
fn docker_completes() {
    let docker = Docker::new();
    assert_eq!(docker.run("__complete firewall al").out, "allow\tAllow sources to reach containers\n:4\n");
    assert_eq!(docker.run("__complete --context foo firewall set ins").out.lines().count(), 2);
    assert!(docker.run("__complete firew").out.starts_with("firewall\t"));
}

#[test]
fn a_link_of_another_name_is_another_command() {
    let docker = Docker::new();
    fs::rename(docker.plugins().join("docker-firewall"), docker.plugins().join("docker-fw")).unwrap();
    let ended = docker.run("fw ls --help");
    assert!(ended.out.starts_with("Usage:  docker fw ls [OPTIONS] [TARGET...]\n"), "{}", ended.out);
    assert!(ended.out.contains("\n  docker fw ls web shop/api\n"), "{}", ended.out);
    assert_eq!(docker.run("fw version").code, 0);
}
