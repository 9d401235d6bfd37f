//! The numbers that docs/benchmarks.md shows, each beside its baseline of the same run. `benches/run.sh` runs it as root;
//! `cargo bench` alone measures the pure part.
//!
//! Usage: `numbers [--quick] [--store FILE] [PART...]`, then `numbers page --store FILE` for the Markdown.

#![allow(missing_docs, reason = "a program")]

mod commands;
mod core;
mod engine;
mod figure;
mod layouts;
mod packets;
mod page;
mod traffic;
mod wires;
mod world;

#[path = "../../tests/docker_engine/canned.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the tests' engine"
)]
mod canned;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use figure::Figure;

type Failure = Box<dyn Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Failure>;

/// A part by name: what it measures, at full length or quickly.
type Part = (&'static str, fn(bool) -> Result<Vec<Figure>>);

const PARTS: &[Part] = &[
    ("core", core::measure),
    ("packets", packets::measure),
    ("commands", commands::measure),
    ("sets", commands::sets),
];

fn main() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("numbers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn obey() -> Result {
    let (mut quick, mut store, mut names) = (false, None, Vec::new());
    // cargo adds the word `--bench`.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => quick = true,
            "--store" => store = Some(PathBuf::from(words.next().ok_or("--store needs a file")?)),
            _ => names.push(word),
        }
    }
    if names == ["page"] {
        print!("{}", page::page(&page::read(&store.ok_or("page needs --store FILE")?)?));
        return Ok(());
    }
    if names.is_empty() {
        names.push("core".to_owned());
    }
    for name in names {
        let (_, measure) = PARTS.iter().find(|(part, _)| *part == name).ok_or_else(|| {
            let known: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
            format!("no part '{name}': choose from {}", known.join(", "))
        })?;
        let before = page::Environment::now(quick);
        let figures = measure(quick)?;
        print!("{}", page::part(&name, &before.json(&figures)));
        store.as_deref().map_or(Ok(()), |store: &Path| page::keep(store, &name, &before.json(&figures)))?;
    }
    Ok(())
}
