//! Completion in both dialects, with files of its own and an engine made of canned answers.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cli_support;

#[path = "docker_engine/canned.rs"]
#[allow(dead_code)]
mod canned;

use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use canned::Reply;
use cli_support::{BINARY, ORIGINAL, alone, clean, plugin, words};
use serde_json::json;
use tempfile::TempDir;

/// A host: files of ours, and an engine's socket.
struct Host {
    directory: TempDir,
}

const POLICY: &str = "version = 1
[[rule]]
verdict = \"deny\"
target = \"*\"
from = \"203.0.113.66\"
[[rule]]
verdict = \"allow\"
target = [\"web\", \"shop/api\"]
from = \"ipfriends\"
";

fn container(index: usize, name: &str, port: u16, labels: &serde_json::Value) -> serde_json::Value {
    json!({"Id": format!("{index:064x}"), "Names": [format!("/{name}")], "State": "running", "Labels": labels,
        "Created": 1, "HostConfig": {"NetworkMode": "bridge"},
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": port, "Type": "tcp"},
                  {"IP": "::", "PrivatePort": 80, "PublicPort": port, "Type": "tcp"}]})
}

fn small(path: &str) -> Reply {
    let labels = json!({"tier": "front", "evil": "$(touch /tmp/x)", "org.opencontainers.image.title": "x",
        "com.docker.compose.project": "shop", "com.docker.compose.service": "api"});
    match path {
        "/containers/json?all=1" => {
            let stopped = json!({"Id": "e1", "Names": ["/old"], "State": "exited", "Labels": {}, "Ports": []});
            let hostile = json!({"Id": "e2", "Names": ["/x\u{1b}[31m`reboot`"], "State": "exited"});
            Reply::Json(
                json!([container(1, "web", 8080, &labels), container(2, "db", 5432, &json!({})), stopped, hostile])
                    .to_string(),
            )
        }
        "/networks" => Reply::Json(
            json!([{"Id": "a1", "Name": "back", "Driver": "bridge"}, {"Id": "a2", "Name": "none", "Driver": "null"}])
                .to_string(),
        ),
        "/services" => Reply::Json(json!([{"Spec": {"Name": "front"}}]).to_string()),
        _ => Reply::Status(404, r#"{"message":"no such page"}"#),
    }
}

impl Host {
    fn new(answers: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        let path = host.directory.path();
        std::fs::create_dir(path.join("sets")).unwrap();
        std::fs::write(path.join("policy.toml"), POLICY).unwrap();
        std::fs::write(
            path.join("sets/ipfriends.conf"),
            "create ipfriends hash:net\nadd ipfriends 192.0.2.7 comment \"Ann\"\nadd ipfriends 198.51.100.0/24\n",
        )
        .unwrap();
        std::fs::write(path.join("sets/office.conf"), "create office hash:net\n").unwrap();
        canned::serve(
            UnixListener::bind(path.join("docker.sock")).unwrap(),
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::new(answers),
        );
        host
    }

    /// What is offered for the last word, descriptions included, and the directive.
    fn offers(&self, verb: &str, line: &str) -> (Vec<String>, String) {
        let mut command = clean(BINARY);
        command
            .arg(verb)
            .args(words(line))
            .env("DOCKER_HOST", format!("unix://{}", self.directory.path().join("docker.sock").display()));
        if line.starts_with("firewall") && verb == "__complete" {
            command.env(ORIGINAL, BINARY);
        }
        for which in ["CONFIG", "STATE", "RUN"] {
            command.env(format!("DOCKER_FIREWALL_{which}_DIR"), self.directory.path());
        }
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
        let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        let directive = lines.pop().unwrap();
        (lines, directive)
    }

    fn words(&self, verb: &str, line: &str) -> String {
        let (lines, _) = self.offers(verb, line);
        lines.iter().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn cobra_dialect() {
    for (line, answer) in [
        (
            "firewall set i",
            "import\tMake a set hold what a file says and nothing else\ninspect\tDisplay detailed information on one or more sets\n:4\n",
        ),
        ("firewall ls --no", "--no-trunc\tDon't truncate output\n:4\n"),
        ("firewall rules --format ''", "json\tone JSON object a line\ntable\tcolumns with headings\n:4\n"),
        ("firewall graph --format ''", "dot\tfor Graphviz\nmermaid\tfor Markdown\nsvg\tfor browsers\n:4\n"),
        ("firewall ls --format=h", "html\tone page for a browser\n:4\n"),
        ("firewall ls --format=j", "json\tone JSON object a line\n:4\n"),
        ("firewall log --format ''", "json\tone JSON object a line\ntable\tcolumns with headings\n:4\n"),
        ("firewall log --fo", "--follow\tGo on and show what comes\n--format\tFormat output:\n:4\n"),
        (
            "firewall log --o",
            "--off\tWrite down no more, but for rules with --log\n--on\tWrite down from now on, for all containers\n:4\n",
        ),
        ("firewall log --since ''", "1h\n24h\n30m\n7d\n8h\n:4\n"),
        ("firewall log -n a", "all\twhatever is there\n:4\n"),
        ("firewall deny web --log", "--log\tWrite down whom the rule denies (docker firewall log)\n:4\n"),
        ("firewall top --no-s", "--no-stream\tMeasure for a second, print that and end\n:4\n"),
        ("firewall top --format=j", "json\tone JSON object a line\n:4\n"),
        ("firewall metrics --format ''", "openmetrics\tOpenMetrics 1.0\nprometheus\tPrometheus' text format\n:4\n"),
        ("firewall metrics -o ''", ":0\n"),
        ("firewall metrics ''", ":4\n"),
        ("firewall default open ''", ":4\n"),
        ("firewall allow --comment set ''", ":4\n"),
        ("firewall allow web --comment ''", ":4\n"),
        ("firewall apply -f ''", ":0\n"),
        ("firewall set import x ''", ":0\n"),
        ("firewall version -- --", ":4\n"),
        ("firewall bogus ''", ":4\n"),
        ("firewall set create ''", ":4\n"),
    ] {
        let ended = clean(BINARY)
            .arg("__complete")
            .args(words(line))
            .env(ORIGINAL, "docker")
            .env("DOCKER_HOST", "unix:///nowhere")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), answer, "{line}");
        assert!(ended.status.success());
    }
    assert!(plugin("__complete firewall ''").out.lines().any(|line| line.starts_with("set\t")));
}

#[test]
fn names_that_mean_something_at_that_place() {
    let host = Host::new(small);
    for (line, offered) in [
        ("firewall allow ''", "db label: network: old shop/api web"),
        ("firewall allow web ''", "db label: network: old shop/api"),
        ("firewall ls w", "web"),
        ("firewall log ''", "db label: network: old shop/api web"),
        ("firewall log --follow web ''", "db label: network: old shop/api"),
        ("firewall log --since 2h d", "db"),
        ("firewall log label:t", "label:tier label:tier=front"),
        ("firewall top ''", "db label: network: old shop/api web"),
        ("firewall top --no-stream web s", "shop/api"),
        ("firewall rules --c", "--counters"),
        ("firewall allow label:", "label:evil label:tier label:tier=front"),
        ("firewall allow label:org.o", "label:org.opencontainers.image.title label:org.opencontainers.image.title=x"),
        ("firewall deny network:", "network:back"),
        ("firewall deny service:", "service:front"),
        ("firewall rm ''", "1 2"),
        ("firewall rm 2 ''", "1"),
        ("firewall rm --target ''", "* shop/api web"),
        ("firewall allow web --before ''", "1 2"),
        ("firewall allow web --from ''", "any ipfriends ipset: office"),
        ("firewall allow web --from office,ip", "office,ipfriends office,ipset:"),
        ("firewall allow web --from=o", "office"),
        ("firewall allow web --port ''", "80/tcp"),
        ("firewall allow web --published ''", "8080/tcp"),
        ("firewall allow --published ''", "5432/tcp 8080/tcp"),
        ("firewall set add ''", "ipfriends office"),
        ("firewall set rm office ''", "ipfriends"),
        ("firewall set del ipfriends ''", "192.0.2.7 198.51.100.0/24"),
        ("firewall set del ipfriends 192.0.2.7 ''", "198.51.100.0/24"),
        ("firewall set add ipfriends ''", ""),
        ("firewall ls --filter c", "container=db container=old container=web"),
        ("firewall ls --filter managed", "managed=false managed=true"),
        ("firewall ls --filter exposed", "exposed=closed exposed=restricted exposed=world"),
    ] {
        let offered = offered.replace("* ", "");
        assert_eq!(host.words("__complete", line), offered, "{line}");
    }
    let (rules, directive) = host.offers("__complete", "firewall rm ''");
    assert_eq!((rules[1].as_str(), directive.as_str()), ("2\tallow web shop/api --from ipfriends", ":36"));
    assert_eq!(host.offers("__complete", "firewall allow label").1, ":6", "no space after a beginning");
    assert_eq!(host.offers("__complete", "firewall allow we").0, ["web\t8080->80/tcp"]);
    assert_eq!(host.offers("__complete", "firewall set del ipfriends 192").0, ["192.0.2.7\tAnn"]);
}

/// bash replaces only what stands behind the last `:` or `=`, and not every script cares.
#[test]
fn what_a_script_would_put_into_the_wrong_place_is_not_offered() {
    let host = Host::new(small);
    assert_eq!(host.words("__complete", "firewall allow label:tier=f"), "");
    assert_eq!(host.words("__complete", "allow label:tier=f"), "label:tier=front", "our own script");
    assert_eq!(host.words("__completeNoDesc", "allow label:ti"), "");
    assert_eq!(host.words("__completeNoDesc", "allow la"), "label:evil label:tier label:tier=front");
    assert_eq!(host.words("__completeNoDesc", "allow label:tier = f"), "front");
    assert_eq!(host.words("__completeNoDesc", "ls --format = j"), "json");
}

#[test]
fn the_older_bash_script() {
    for (line, answer) in [
        ("al", "allow\n:4\n"),
        ("rem firewall allow --pen", "--pending\n:4\n"),
        ("firewall ls --fo", "--format\n:4\n"),
        ("allow firewall --pen", "--pending\n:4\n"),
    ] {
        let ended = alone(&format!("__completeNoDesc {line}"));
        assert_eq!((ended.code, ended.out.as_str()), (0, answer), "{line}");
    }
    assert!(!alone("__completeNoDesc ''").out.contains('\t'));
}

#[test]
fn descriptions_can_be_turned_off() {
    let output = clean(BINARY)
        .args(["__complete", "firewall", "al"])
        .env("DOCKER_COMPLETION_DESCRIPTIONS", "false")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"allow\n:4\n");
}

/// An engine that hangs holds nobody up, and what files say is offered all the same.
#[test]
fn an_engine_that_is_away_is_passed_over() {
    let host = Host::new(|_| Reply::Hang);
    let begun = Instant::now();
    assert_eq!(host.words("__complete", "firewall allow ''"), "");
    // It would hang for ever.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(host.words("__complete", "firewall rm ''"), "1 2");
    let host = Host::new(|_| Reply::HangInBody);
    assert_eq!(host.words("__complete", "firewall allow ''"), "");
}

#[test]
fn a_thousand_containers() {
    let labels = json!({"com.docker.compose.project": "shop", "com.docker.compose.service": "api"});
    let all: Vec<_> = (0..1000u16).map(|n| container(n.into(), &format!("c{n}"), 10000 + n, &labels)).collect();
    let all = json!(all).to_string();
    let host = Host::new(move |path| match path {
        "/containers/json?all=1" => Reply::Json(all.clone()),
        other => small(other),
    });
    let begun = Instant::now();
    let offered = host.words("__complete", "firewall allow ''");
    println!("1,000 containers: {:?}", begun.elapsed());
    assert_eq!(offered.split(' ').filter(|word| word.starts_with('c')).count(), 1000);
}

#[test]
fn scripts_for_the_program_alone() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = alone(&format!("completion {shell}"));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        assert!(ended.out.contains("docker-firewall __complete") && !ended.out.contains("@PRO"), "{}", ended.out);
    }
    let ended = alone("completion tcsh");
    assert!(ended.code == 1 && ended.err.contains("there are scripts for bash, zsh and fish"), "{ended:?}");
}
