//! The numbers that docs/benchmarks.md shows, each beside its baseline of the same run. `benches/run.sh` runs it as root;
//! `cargo bench` alone measures the pure part.
//!
//! Usage: `numbers [--quick] [--store FILE] PART`; `numbers page FILE` prints the Markdown of what is kept, and
//! `numbers keep FILE PART` takes a part from standard input.

#![allow(missing_docs, reason = "a program")]

mod agent;
mod apart;
mod commands;
mod core;
mod docker;
mod engine;
mod figure;
mod ground;
mod layouts;
mod packets;
mod page;
mod probe;
mod process;
mod sets;
mod store;
mod summary;
mod tools;
mod traffic;
mod walk;
mod wires;
mod world;

use std::error::Error;
use std::io::Read as _;
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
    ("engine", docker::measure),
    ("sets", sets::measure),
    ("agent", agent::measure),
];

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if name.ends_with(docker::NOTHING) {
        docker::do_nothing();
        return ExitCode::SUCCESS;
    }
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
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["page", file] => print!("{}", page::page(&store::read(Path::new(file))?)),
        ["keep", file, name] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            store::keep(Path::new(file), name, &serde_json::from_str(&text)?)?;
        }
        [] => measure("core", quick, store.as_deref())?,
        [name] => measure(name, quick, store.as_deref())?,
        _ => return Err("one part at a time".into()),
    }
    Ok(())
}

/// Measures a part and keeps it; without a store its tables are printed.
fn measure(name: &str, quick: bool, store: Option<&Path>) -> Result {
    let (_, measure) = PARTS.iter().find(|(part, _)| *part == name).ok_or_else(|| {
        let known: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        format!("no part '{name}': choose from {}", known.join(", "))
    })?;
    let begun = store::Environment::now(quick);
    let part = begun.part(&measure(quick)?);
    match store {
        Some(store) if store == Path::new("-") => println!("{part}"),
        Some(store) => store::keep(store, name, &part)?,
        None => print!("{}", page::part(name, "", &part)),
    }
    Ok(())
}
