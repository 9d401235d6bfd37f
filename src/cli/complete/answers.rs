//! Which words fit at a place.

use std::collections::BTreeMap;

use clap::{Arg, Command};

use super::names::{Names, interface_names};
use super::place::{Place, Slot};
use super::{Answer, Candidate};
use crate::access::Exposure;
use crate::cli::help::value_name;
use crate::inventory::{Binding, Container, Inventory, NetworkMode};
use crate::policy::Rule;
use crate::resolve;

/// Labels that tools put on every container. They are offered once their beginning has been typed.
const PLUMBING: [&str; 5] =
    ["com.docker.compose.", "com.docker.swarm.", "com.docker.stack.", "desktop.docker.", "org.opencontainers."];

/// The words that fit. `whole` asks for whole words where their beginning (`label:`) would do.
pub(super) fn at(place: &Place<'_>, names: &Names<'_>, whole: bool) -> Answer {
    match place.slot {
        Slot::Command => Answer::of(commands(place.command)),
        Slot::Flag => Answer::of(flags(place.command)),
        Slot::Value(flag) => value(place, flag, names, whole),
        Slot::Argument(arg) => argument(place, arg, names, whole),
        Slot::Nothing => Answer::nothing(),
    }
}

fn commands(command: &Command) -> impl Iterator<Item = Candidate> {
    let about = |sub: &Command| sub.get_about().map(ToString::to_string).unwrap_or_default();
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.map(move |sub| Candidate::new(sub.get_name(), about(sub)))
}

fn flags(command: &Command) -> impl Iterator<Item = Candidate> {
    let about = |arg: &Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
    let shown = command.get_opts().filter(|arg| !arg.is_hide_set());
    let flag = move |arg: &Arg| Candidate::new(format!("--{}", arg.get_long().unwrap_or_default()), about(arg));
    shown.map(flag).chain([Candidate::new("--help", "Print usage")])
}

fn words(words: &[(&str, &str)]) -> Answer {
    Answer::of(words.iter().map(|(word, about)| Candidate::new(*word, *about)))
}

/// The words of flags that take one of a few, by the flag's name. `parse` refuses all others.
pub(super) fn fixed(path: &[&str], flag: &str) -> Option<&'static [(&'static str, &'static str)]> {
    Some(match (path, flag) {
        (["metrics"], "format") => &[("openmetrics", "OpenMetrics 1.0"), ("prometheus", "Prometheus' text format")],
        (["set", "inspect"], "format") => &[("json", "compact JSON")],
        (["graph"], "format") => &[("dot", "for Graphviz"), ("mermaid", "for Markdown"), ("svg", "for browsers")],
        (["ls"], "format") => &[
            ("html", "one page for a browser"),
            ("json", "one JSON object a line"),
            ("table", "columns with headings"),
        ],
        (_, "format") => &[("json", "one JSON object a line"), ("table", "columns with headings")],
        (_, "log-format") => &[("json", "one JSON object a line"), ("text", "lines for people")],
        (_, "hook") => &[
            ("docker", "as plain rules at the top of DOCKER"),
            ("docker-user", "first in DOCKER-USER"),
            ("forward", "first in FORWARD"),
        ],
        (_, "type") => &[("hash:ip", "single addresses"), ("hash:net", "addresses and blocks")],
        (_, "tail") => &[("all", "whatever is there"), ("20", "")],
        (_, "for" | "since") => &[("1h", ""), ("24h", ""), ("30m", ""), ("7d", ""), ("8h", "")],
        _ => return None,
    })
}

/// Flags whose values nobody but the user knows.
#[cfg(test)]
const FREE: [&str; 2] = ["comment", "until"];

fn value(place: &Place<'_>, flag: &Arg, names: &Names<'_>, whole: bool) -> Answer {
    let flag = flag.get_long().unwrap_or_default();
    if let Some(fixed) = fixed(&place.path, flag) {
        return words(fixed);
    }
    match flag {
        "file" | "output" => Answer::files(),
        "from" => sources(place.typed, names, whole),
        "port" => listed(place.typed, ports(place, names, |binding| Some(binding.container_port))),
        "published" => listed(place.typed, ports(place, names, |binding| binding.host_port)),
        "interface" => Answer::of(interface_names().into_iter().map(|name| Candidate::new(name, ""))),
        "before" => rules(&names.policy().rules, &[]),
        "target" => Answer::of(targets_of_rules(&names.policy().rules)),
        "filter" => filters(names),
        _ => Answer::nothing(),
    }
}

fn argument(place: &Place<'_>, arg: &Arg, names: &Names<'_>, whole: bool) -> Answer {
    let given = &place.arguments;
    match (value_name(arg), place.path.as_slice()) {
        ("open|closed", _) => words(&[
            ("closed", "nobody reaches containers that no rule allows"),
            ("open", "containers without an allow rule stay as Docker left them"),
        ]),
        ("bash|zsh|fish", _) => words(&[("bash", ""), ("fish", ""), ("zsh", "")]),
        ("FILE|-", _) => Answer::files(),
        ("RULE", _) => rules(&names.policy().rules, given),
        // The name of a set that is to be made is the user's.
        ("NAME", ["set", "create"]) => Answer::nothing(),
        ("NAME", ["set", ..]) => {
            let sets = names.sets().into_iter().filter(|set| !given.contains(&set.as_str()));
            Answer::of(sets.map(|set| Candidate::new(set.to_string(), "set")))
        }
        ("ENTRY", ["set", "del"]) => entries(given, names),
        (name, _) if name.starts_with("TARGET") => targets(place.typed, given, names, whole),
        _ => Answer::nothing(),
    }
}

/// The entries of the set named first.
fn entries(given: &[&str], names: &Names<'_>) -> Answer {
    let Some(set) = given.first().and_then(|name| names.set(name)) else { return Answer::nothing() };
    let text = |block: ipnet::IpNet| {
        if block.prefix_len() == block.max_prefix_len() { block.addr().to_string() } else { block.to_string() }
    };
    let all = set.entries().map(|entry| Candidate::new(text(entry.block()), entry.comment().unwrap_or_default()));
    Answer::of(all.filter(|candidate| !given.contains(&candidate.word.as_str())))
}

/// Numbers with what the rule says.
fn rules(rules: &[Rule], given: &[&str]) -> Answer {
    let numbered =
        rules.iter().enumerate().map(|(index, rule)| Candidate::new((index + 1).to_string(), rule.to_string()));
    Answer::in_order(numbered.filter(|candidate| !given.contains(&candidate.word.as_str())))
}

fn targets_of_rules(rules: &[Rule]) -> impl Iterator<Item = Candidate> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for target in rules.iter().flat_map(|rule| &rule.targets) {
        *count.entry(target.to_string()).or_default() += 1;
    }
    count.into_iter().map(|(target, count)| {
        Candidate::new(target, if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") })
    })
}

/// Sources, the last of those joined by commas.
fn sources(typed: &str, names: &Names<'_>, whole: bool) -> Answer {
    let last = typed.rsplit(',').next().unwrap_or_default();
    let mut all = Vec::new();
    if whole || last.starts_with("ipset:") {
        let foreign = names.ipsets().into_iter();
        all.extend(foreign.map(|set| Candidate::new(format!("ipset:{set}"), "kept by another program")));
    } else {
        all.push(Candidate::new("ipset:", "a kernel set that another program keeps"));
    }
    all.push(Candidate::new("any", "everybody"));
    all.extend(names.sets().into_iter().map(|set| Candidate::new(set.to_string(), "set")));
    listed(typed, all)
}

/// Items of a list with commas: what is typed before the last one stays in front.
fn listed(typed: &str, items: Vec<Candidate>) -> Answer {
    let before = typed.rfind(',').map_or("", |comma| &typed[..=comma]);
    let given: Vec<&str> = before.split(',').collect();
    let items = items.into_iter().filter(|item| !given.contains(&item.word.as_str()));
    Answer::of(items.map(|item| Candidate::new(format!("{before}{}", item.word), item.about)))
}

/// The ports that the targets typed so far publish, or all containers.
fn ports(place: &Place<'_>, names: &Names<'_>, of: impl Fn(&Binding) -> Option<u16>) -> Vec<Candidate> {
    let inventory = names.inventory();
    let targets: Vec<_> = place.arguments.iter().filter_map(|word| word.parse().ok()).collect();
    let meant = |container: &&Container| {
        targets.is_empty() || targets.iter().any(|target| resolve::selects(target, container, inventory))
    };
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for container in inventory.containers.iter().filter(meant) {
        for binding in &container.bindings {
            let Some(port) = of(binding) else { continue };
            let owners = found.entry(format!("{port}/{}", binding.protocol)).or_default();
            if !owners.contains(&&*container.name) {
                owners.push(&container.name);
            }
        }
    }
    found.into_iter().map(|(port, owners)| Candidate::new(port, owners.join(", "))).collect()
}

fn filters(names: &Names<'_>) -> Answer {
    let containers = names.inventory().containers.iter();
    let mut all: Vec<Candidate> =
        containers.map(|one| Candidate::new(format!("container={}", one.name), state(one))).collect();
    let exposures = Exposure::ALL.map(|exposure| format!("exposed={}", exposure.name()));
    all.extend(exposures.map(|word| Candidate::new(word, "how far a way is open")));
    all.extend(["managed=false", "managed=true"].map(|word| Candidate::new(word, "whether a rule decides")));
    let networks = names.inventory().networks.iter();
    all.extend(networks.map(|network| Candidate::new(format!("network={}", network.name), &*network.driver)));
    all.push(Candidate::new("label=", "KEY or KEY=VALUE"));
    Answer::of(all)
}

/// Containers and Compose services; labels, networks and Swarm services once their beginning is typed, or `whole`.
fn targets(typed: &str, given: &[&str], names: &Names<'_>, whole: bool) -> Answer {
    let inventory = names.inventory();
    let containers = || inventory.containers.iter();
    let mut all: Vec<Candidate> =
        containers().map(|container| Candidate::new(&*container.name, state(container))).collect();
    let composed = containers().filter_map(Container::compose_service);
    all.extend(composed.map(|service| Candidate::new(service, "Compose service")));
    if whole || typed.starts_with("label:") {
        all.extend(labels(typed.strip_prefix("label:").unwrap_or_default(), inventory));
    } else if containers().any(|container| !container.labels.is_empty()) {
        all.push(Candidate::new("label:", "containers with a label"));
    }
    if whole || typed.starts_with("network:") {
        let networks = inventory.networks.iter().filter(|network| !network.is_plumbing() && network.driver != "null");
        all.extend(networks.map(|network| Candidate::new(format!("network:{}", network.name), &*network.driver)));
    } else if !inventory.networks.is_empty() {
        all.push(Candidate::new("network:", "containers on a network"));
    }
    let local = containers().filter_map(Container::swarm_service).map(str::to_owned);
    if whole || typed.starts_with("service:") {
        let services = names.services().into_iter().chain(local);
        all.extend(services.map(|name| Candidate::new(format!("service:{name}"), "swarm service")));
    } else if local.count() > 0 {
        all.push(Candidate::new("service:", "a swarm service"));
    }
    Answer::of(all.into_iter().filter(|candidate| !given.contains(&candidate.word.as_str())))
}

/// Labels, alone and with their values.
fn labels(typed: &str, inventory: &Inventory) -> Vec<Candidate> {
    let asked = |key: &str| {
        PLUMBING.iter().all(|known| !key.starts_with(known))
            || typed.starts_with("com.docker.")
            || (typed.len() > 3 && key.starts_with(typed))
    };
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (key, value) in inventory.containers.iter().flat_map(|container| container.labels.iter()) {
        if asked(key) {
            *found.entry(format!("label:{key}")).or_default() += 1;
            *found.entry(format!("label:{key}={value}")).or_default() += 1;
        }
    }
    let about = |count: usize| if count == 1 { "1 container".to_owned() } else { format!("{count} containers") };
    // A label without a value is no `label:KEY=`, which would be one with an empty value.
    found
        .into_iter()
        .filter(|(word, _)| !word.ends_with('='))
        .map(|(word, count)| Candidate::new(word, about(count)))
        .collect()
}

/// What a container is, in a few words.
fn state(container: &Container) -> String {
    if !container.running {
        return "stopped".to_owned();
    }
    match container.mode {
        NetworkMode::Host => return "on the host's network".to_owned(),
        NetworkMode::None => return "no network".to_owned(),
        NetworkMode::Container(_) => return "in another's network".to_owned(),
        NetworkMode::Own => {}
    }
    let mut ports: Vec<String> = Vec::new();
    for binding in &container.bindings {
        let Some(host) = binding.host_port else { continue };
        let port = format!("{host}->{}/{}", binding.container_port, binding.protocol);
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    if ports.is_empty() { "nothing published".to_owned() } else { ports.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::{Request, parse};
    use crate::cli::{argv, pflag, tree};

    fn leaves<'a>(command: &'a Command, path: &[&'a str], found: &mut Vec<(Vec<&'a str>, &'a Command)>) {
        for sub in command.get_subcommands() {
            let path = [path, &[sub.get_name()]].concat();
            if sub.has_subcommands() { leaves(sub, &path, found) } else { found.push((path, sub)) }
        }
    }

    /// A new flag with a value has to be thought of here, and what is offered is what is accepted.
    #[test]
    fn every_flag_is_thought_of() {
        let tree = tree::root();
        let mut all = Vec::new();
        leaves(&tree, &[], &mut all);
        let known = ["file", "output", "from", "port", "published", "interface", "before", "target", "filter"];
        for (path, command) in all {
            for flag in command.get_opts().filter(|flag| !pflag::is_switch(flag)) {
                let name = flag.get_long().unwrap();
                let Some(words) = fixed(&path, name) else {
                    assert!(known.contains(&name) || FREE.contains(&name), "{path:?} --{name} has no completion");
                    continue;
                };
                for (word, _) in words {
                    let mut line: Vec<String> = path.iter().map(ToString::to_string).collect();
                    line.extend(
                        command.get_positionals().filter(|arg| arg.is_required_set()).map(|_| "any1".to_owned()),
                    );
                    if command.get_opts().any(|flag| flag.get_long() == Some("from")) {
                        line.push("--from=any".to_owned());
                    }
                    if path == ["set", "add"] {
                        line = ["set", "add", "x", "192.0.2.1"].map(str::to_owned).to_vec();
                    }
                    line.push(format!("--{name}={word}"));
                    let called = argv::Called::new(None, &crate::cli::environment::Env::default());
                    let words = argv::Words { ours: line.clone(), ..argv::Words::default() };
                    let parsed = parse(&called, &tree, &words, 80);
                    assert!(matches!(parsed, Ok(Request::Run(_))), "{line:?}: {parsed:?}");
                }
            }
        }
    }
}
