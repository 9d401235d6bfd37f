//! One engine's truth table: `truth 28.5 [nft|legacy] [--plugin FILE]`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use lab::{LabError, LabSpec, truth};

const USAGE: &str = "usage: truth ENGINE [nft|legacy] [--plugin FILE]
  ENGINE: 20.10, 26.1, 28.5. Without --plugin the plugin is built first.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match obey(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("truth: {error}");
            ExitCode::FAILURE
        }
    }
}

fn obey(words: &[&str]) -> Result<ExitCode, LabError> {
    let mut spec = None;
    let mut plugin = None;
    let mut rest = words;
    loop {
        rest = match (rest, spec.take()) {
            ([], Some(known)) => {
                spec = Some(known);
                break;
            }
            ([engine, rest @ ..], None) if !engine.starts_with('-') => {
                spec = Some(LabSpec::new(engine.parse()?).name("truth"));
                rest
            }
            (["--plugin", file, rest @ ..], known) => {
                spec = known;
                plugin = Some(PathBuf::from(file));
                rest
            }
            ([flavour, rest @ ..], Some(known)) if !flavour.starts_with('-') => {
                spec = Some(known.flavour(flavour.parse()?));
                rest
            }
            _ => {
                eprintln!("{USAGE}");
                return Ok(ExitCode::from(125));
            }
        };
    }
    let Some(spec) = spec else { return Ok(ExitCode::from(125)) };
    let plugin = plugin.map_or_else(lab::built_plugin, Ok)?;
    let name = format!("{} {}", spec.engine, spec.flavour);
    let start = Instant::now();
    let report = truth::run(spec, &plugin, &mut |line| println!("  {line}"))?;
    for wrong in &report.wrong {
        println!("WRONG {wrong}");
    }
    println!("{name}: {} cells, {} wrong, {:.0} s", report.cells, report.wrong.len(), start.elapsed().as_secs_f32());
    Ok(if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
