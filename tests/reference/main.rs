//! What is generated from the commands is current: man pages, and the reference as Markdown and as YAML.
//!
//! After a change of commands, flags or help: `INSTA_UPDATE=always cargo test --test cli_help --test reference`.

#![allow(clippy::unwrap_used, reason = "a test")]

mod man;
mod markdown;
mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use docker_firewall::cli::reference::{Reference, commands};

/// Where the generated files are, and how their names end.
const PLACES: [(&str, &str); 3] =
    [("plugin-metadata/man", ".1"), ("docs/reference", ".md"), ("docs/reference", ".yaml")];

/// Every generated file.
fn generated() -> BTreeMap<String, String> {
    let all = commands();
    let mut files = BTreeMap::new();
    for reference in &all {
        files.insert(format!("plugin-metadata/man/{}.1", reference.path.join("-")), man::page(reference, &all));
        files.insert(format!("docs/reference/{}.md", reference.path[1..].join("_")), markdown::page(reference));
        files.insert(format!("docs/reference/{}.yaml", reference.path.join("_")), yaml::page(reference));
    }
    files
}

fn present(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (directory, ending) in PLACES {
        for entry in fs::read_dir(root.join(directory)).into_iter().flatten().map_while(Result::ok) {
            let name = format!("{directory}/{}", entry.file_name().into_string().unwrap());
            if name.ends_with(ending) {
                files.insert(name, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    files
}

#[test]
fn it_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (wanted, present) = (generated(), present(root));
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        for stale in present.keys().filter(|name| !wanted.contains_key(*name)) {
            fs::remove_file(root.join(stale)).unwrap();
        }
        for (name, text) in &wanted {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    let differing = wanted.iter().filter(|(name, text)| present.get(*name) != Some(text)).map(|(name, _)| name);
    let stale = present.keys().filter(|name| !wanted.contains_key(*name));
    let all: Vec<&String> = differing.chain(stale).collect();
    assert!(all.is_empty(), "not current: {all:?}\nINSTA_UPDATE=always cargo test --test cli_help --test reference");
}

#[test]
fn every_command_has_its_page() {
    let names: Vec<String> = commands().iter().map(|reference: &Reference| reference.path.join(" ")).collect();
    for name in
        ["docker firewall", "docker firewall allow", "docker firewall set add", "docker firewall service install"]
    {
        assert!(names.iter().any(|known| known == name), "{name} is missing: {names:?}");
    }
    assert!(!names.iter().any(|name| name.ends_with("completion")), "hidden commands have no page");
}
