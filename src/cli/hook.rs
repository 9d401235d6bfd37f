//! Docker's client asks after a command of its own whether we have something to say (docker/cli `cli-plugins/hooks`).
//!
//! Only where `config.json` says so: see docs/hook.md. It tells which command ran and the names of its flags, but neither
//! arguments nor the engine meant; so what is looked at is what was made just now. One line, or nothing: nothing also
//! where the engine takes its time, for the command's own end waits for us.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::environment::Env;
use super::output::Output;
use crate::docker::{self, EngineAddress, Environment, Glance, GlobalFlags};
use crate::host::files;
use crate::host::lock;
use crate::host::paths::Paths;
use crate::inventory::{COMPOSE_PROJECT, Container, Inventory};
use crate::policy::{DOCUMENT_MAX, Document, Policy};
use crate::resolve;

/// The word with which Docker's client asks.
pub(super) const SUBCOMMAND: &str = "docker-cli-plugin-hooks";

/// The whole answer takes less than 200 ms with this.
const PATIENCE: Duration = Duration::from_millis(100);
/// Older containers are not what the command made, in seconds.
const JUST_NOW: i64 = 10;
/// Compose's label of the directory that the project lies in.
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// More ports than these are only counted.
const NAMED: usize = 4;

/// What Docker's client says of the command that ended.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    /// Such as `run`, `container run`, `compose up`: as the hook was configured.
    root_cmd: String,
    /// Names of the flags that were given; values of switches only.
    flags: BTreeMap<String, String>,
    /// Why it failed.
    command_error: String,
}

/// What is known of the rules by whoever typed the command.
#[derive(Clone, Debug)]
enum Rules {
    /// The policy, and whether an agent puts it in force for what starts.
    Known(Box<Policy>, bool),
    /// The files are root's.
    Hidden,
}

/// Answers; `request` is JSON.
pub(super) fn answer(request: &str, env: &Env, output: &mut Output) {
    let Ok(request) = serde_json::from_str::<Request>(request) else { return };
    if !request.command_error.is_empty() || !may_publish(&request) {
        return;
    }
    let Some(glance) = look() else { return };
    let paths = Paths::from_env(|name| env.get(name).map(std::ffi::OsStr::to_owned));
    let here = std::env::current_dir().unwrap_or_default();
    let made = made_by(&request, &glance, &here, Timestamp::now().as_second());
    if let Some(line) = hint(&made, &glance.inventory, &rules(&paths)) {
        // A name with braces would be a template.
        if !line.contains("{{") {
            output.line(&json!({"Type": 0, "Template": line}).to_string());
        }
    }
}

/// `run` and `create` publish nothing without these flags; Compose reads its own file.
fn may_publish(request: &Request) -> bool {
    match request.root_cmd.split(' ').next_back() {
        Some("run") => request.flags.contains_key("publish") || request.flags.contains_key("publish-all"),
        Some("up") => true,
        _ => false,
    }
}

/// The engine that is meant if no flag names another, and only if it is here.
fn look() -> Option<Glance> {
    let address = docker::resolve_endpoint(&GlobalFlags::default(), &Environment::of_process()).ok()?;
    let EngineAddress::Unix(_) = address else { return None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async { tokio::time::timeout(PATIENCE, docker::glance(&address, PATIENCE)).await };
    let glance = runtime.block_on(asking);
    runtime.shutdown_background();
    glance.ok()?.ok()
}

fn rules(paths: &Paths) -> Rules {
    let Ok(text) = files::read_limited(&paths.policy_file(), DOCUMENT_MAX as u64) else { return Rules::Hidden };
    // Whoever may read the policy but not the agent's lock cannot tell whether there is an agent.
    if fs::File::open(paths.agent_file()).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        return Rules::Hidden;
    }
    match Document::parse(text.as_deref().unwrap_or("version = 1")) {
        Ok(document) => Rules::Known(Box::new(document.policy().clone()), lock::is_held(&paths.agent_file())),
        Err(_) => Rules::Hidden,
    }
}

/// Compose's project of a container.
fn project(container: &Container) -> Option<&str> {
    container.labels.get(COMPOSE_PROJECT)
}

/// The running containers that the command made: of `run` the newest, of Compose those of the project.
fn made_by<'a>(request: &Request, glance: &'a Glance, here: &Path, now: i64) -> Vec<&'a Container> {
    let containers = || glance.inventory.containers.iter();
    // Of those made within the same second the first, for the engine lists them so.
    let newest = containers().zip(&glance.created).min_by_key(|(_, created)| Reverse(**created));
    let newest = newest.filter(|(_, created)| now - **created <= JUST_NOW).map(|(container, _)| container);
    if request.root_cmd.ends_with("run") {
        return newest.into_iter().filter(|container| container.running).collect();
    }
    let lies_here = |container: &&Container| {
        container.labels.get(WORKING_DIR).is_some_and(|directory| Path::new(directory) == here)
    };
    let Some(wanted) = containers().find(lies_here).or(newest).and_then(project) else { return Vec::new() };
    containers().filter(|one| one.running && project(one) == Some(wanted)).collect()
}

/// The line, if what was made is open to everyone or may be.
fn hint(made: &[&Container], inventory: &Inventory, rules: &Rules) -> Option<String> {
    let guarded = |container: &Container| match rules {
        Rules::Known(policy, _) => {
            policy.guards(policy.rules.iter().filter(|rule| resolve::rule_selects(rule, container, inventory)))
        }
        Rules::Hidden => false,
    };
    let in_force = matches!(rules, Rules::Known(_, true));
    let exposed = made.iter().filter(|container| !(guarded(container) && in_force));
    let exposed: Vec<(&Container, Vec<String>)> =
        exposed.map(|container| (*container, wide_ports(container))).filter(|(_, ports)| !ports.is_empty()).collect();
    let (first, _) = exposed.first()?;
    let target = first.compose_service().unwrap_or_else(|| first.name.clone());
    let mut ports: Vec<String> = exposed
        .iter()
        .flat_map(|(container, ports)| ports.iter().map(|port| format!("{port} ({})", container.name)))
        .collect();
    if ports.len() > NAMED {
        let more = ports.len() - NAMED;
        ports.truncate(NAMED);
        ports.push(format!("{more} more"));
    }
    let ports = ports.join(", ");
    Some(match rules {
        Rules::Hidden => {
            format!("Published to everyone, unless rules say otherwise: {ports}. See: sudo docker firewall ls {target}")
        }
        Rules::Known(..) if exposed.iter().any(|(container, _)| guarded(container)) => {
            format!("Not closed yet, for no agent runs: {ports}. To put the rules in force: docker firewall apply")
        }
        Rules::Known(..) => {
            format!("Open to everyone: {ports}. To restrict it: docker firewall allow {target} --from ADDRESS")
        }
    })
}

/// The host's ports that are not bound to the loopback interface alone.
fn wide_ports(container: &Container) -> Vec<String> {
    let mut ports = Vec::new();
    for binding in container.bindings.iter().filter(|binding| !binding.host_address.is_loopback()) {
        let Some(port) = binding.host_port else { continue };
        let port = format!("{port}/{}", binding.protocol);
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Binding, COMPOSE_SERVICE, NetworkMode};
    use crate::net::Protocol;

    fn container(name: &str, address: &str, labels: &[(&str, &str)]) -> Container {
        Container {
            id: name.repeat(8),
            name: name.to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            running: true,
            mode: NetworkMode::Own,
            endpoints: Vec::new(),
            bindings: vec![Binding {
                protocol: Protocol::Tcp,
                container_port: 80,
                host_address: address.parse().unwrap(),
                host_port: Some(8080),
            }],
            sandbox: None,
        }
    }

    fn glance(containers: Vec<Container>, created: Vec<i64>) -> Glance {
        Glance { inventory: Inventory { containers, ..Inventory::default() }, created }
    }

    fn request(command: &str, flags: &[&str]) -> Request {
        Request {
            root_cmd: command.to_owned(),
            flags: flags.iter().map(|flag| ((*flag).to_owned(), String::new())).collect(),
            command_error: String::new(),
        }
    }

    fn known(text: &str, agent: bool) -> Rules {
        Rules::Known(Box::new(Document::parse(text).unwrap().policy().clone()), agent)
    }

    fn said(glance: &Glance, rules: &Rules) -> Option<String> {
        let made = made_by(&request("run", &["publish"]), glance, Path::new("/"), 105);
        hint(&made, &glance.inventory, rules)
    }

    const GUARDED: &str = "version = 1\n[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = \"192.0.2.1\"\n";

    #[test]
    fn of_those_made_within_the_same_second_the_last_is_meant() {
        let world =
            glance(vec![container("local", "127.0.0.1", &[]), container("web", "0.0.0.0", &[])], vec![100, 100]);
        assert_eq!(said(&world, &known("version = 1", true)), None);
    }

    #[test]
    fn an_open_port_is_named_with_the_way_out() {
        let world = glance(vec![container("web", "0.0.0.0", &[])], vec![100]);
        assert_eq!(
            said(&world, &known("version = 1", true)).unwrap(),
            "Open to everyone: 8080/tcp (web). To restrict it: docker firewall allow web --from ADDRESS"
        );
        assert!(said(&world, &Rules::Hidden).unwrap().contains("sudo docker firewall ls web"));
        assert!(said(&world, &known(GUARDED, false)).unwrap().starts_with("Not closed yet"));
    }

    #[test]
    fn nothing_to_say() {
        let open = known("version = 1", true);
        let world = glance(vec![container("web", "0.0.0.0", &[])], vec![100]);
        assert_eq!(said(&world, &known(GUARDED, true)), None, "guarded");
        assert_eq!(said(&world, &known("version = 1\ndefault = \"closed\"", true)), None, "closed");
        assert_eq!(said(&glance(vec![container("web", "127.0.0.1", &[])], vec![100]), &open), None, "loopback");
        assert_eq!(said(&glance(vec![container("web", "0.0.0.0", &[])], vec![90]), &open), None, "made long ago");
        let ended = Container { running: false, ..container("web", "0.0.0.0", &[]) };
        let older = container("db", "0.0.0.0", &[]);
        assert_eq!(said(&glance(vec![ended, older], vec![101, 100]), &open), None, "it ended");
        assert!(!may_publish(&request("run", &["name"])));
        assert!(!may_publish(&request("ps", &["publish"])));
    }

    #[test]
    fn compose_means_the_project_that_lies_here() {
        let labels =
            |project, service| [(COMPOSE_PROJECT, project), (COMPOSE_SERVICE, service), (WORKING_DIR, "/srv/shop")];
        let other = container("x", "0.0.0.0", &[(COMPOSE_PROJECT, "x"), (WORKING_DIR, "/srv/x")]);
        let world = glance(vec![other, container("shop-api-1", "::", &labels("shop", "api"))], vec![100, 1]);
        let made = made_by(&request("compose up", &[]), &world, Path::new("/srv/shop"), 105);
        assert_eq!(
            hint(&made, &world.inventory, &known("version = 1", false)).unwrap(),
            "Open to everyone: 8080/tcp (shop-api-1). To restrict it: docker firewall allow shop/api --from ADDRESS"
        );
    }
}
