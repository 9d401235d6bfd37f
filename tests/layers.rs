//! Imports go downward only (ARCHITECTURE.md), and the core knows no effects.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom up; those in one row may use one another.
const LAYERS: &[&[&str]] = &[
    &["net", "text", "template"],
    &["policy", "inventory", "ruleset"],
    &["resolve", "oracle", "lint", "access", "effective", "tally"],
    &["compile", "plan", "doctor", "metrics", "page", "graph", "attempt"],
    &["docker", "host"],
    &["reconcile"],
    &["cli"],
];

/// The layers below this one are pure.
const FIRST_WITH_EFFECTS: usize = 4;

/// What pure code may not name.
const EFFECTS: &[&str] = &[
    "tokio",
    "bollard",
    "clap",
    "std::fs",
    "std::process",
    "std::env",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "println!",
    "eprintln!",
    "rustix",
    "tempfile",
    "hyper",
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src.join(format!("{module}.rs")).with_extension("rs"), &mut found);
    if src.join(module).is_dir() {
        sources(&src.join(module), &mut found);
    }
    found.retain(|path| path.exists());
    assert!(!found.is_empty(), "no file of module {module}: is LAYERS still right?");
    found
}

/// Code without line comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_go_downward() {
    let mut wrong = Vec::new();
    for (level, row) in LAYERS.iter().enumerate() {
        let above: Vec<&str> = LAYERS[level + 1..].iter().flat_map(|row| row.iter().copied()).collect();
        for module in *row {
            for file in files_of(module) {
                let code = code(&file);
                for upper in &above {
                    if code.contains(&format!("crate::{upper}::")) || code.contains(&format!("crate::{upper};")) {
                        wrong.push(format!("{} uses {upper}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let layered: BTreeSet<&str> = LAYERS.iter().flat_map(|row| row.iter().copied()).collect();
    assert_eq!(declared, layered);
}

#[test]
fn the_core_knows_no_effects() {
    let mut wrong = Vec::new();
    for module in LAYERS[..FIRST_WITH_EFFECTS].iter().flat_map(|row| row.iter()) {
        for file in files_of(module) {
            let code = code(&file);
            wrong.extend(
                EFFECTS
                    .iter()
                    .filter(|effect| code.contains(**effect))
                    .map(|effect| format!("{}: {effect}", file.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each piece of it is in the one file that says why.
#[test]
fn nothing_else_is_unsafe() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    all.retain(|path| code(path).contains("unsafe_code") && !path.ends_with("main.rs"));
    assert!(matches!(&all[..], [one] if one.ends_with("src/host/heap.rs")), "{all:?}");
}

#[test]
fn files_are_small() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let long: Vec<String> = all
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
