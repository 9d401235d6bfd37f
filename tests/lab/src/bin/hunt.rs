//! The leak hunt on one engine: `hunt 28.5 [nft|legacy]`; see `Errand::USAGE`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use lab::LabError;
use lab::hunt::{Errand, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match Errand::read(&words).and_then(|errand| errand.map(|errand| hunt(&errand)).transpose()) {
        Ok(Some(true)) => ExitCode::SUCCESS,
        Ok(Some(false)) => ExitCode::FAILURE,
        Ok(None) => {
            eprintln!("{}", Errand::USAGE);
            ExitCode::from(125)
        }
        Err(error) => {
            eprintln!("hunt: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hunt(errand: &Errand) -> Result<bool, LabError> {
    let start = Instant::now();
    if errand.soak.is_some() {
        eprintln!("seed {}", errand.seed);
    }
    let report = run(errand, &mut |line| eprintln!("  {line}"))?;
    let good = report.leaks() == 0 && report.wrong().is_empty();
    if !good {
        eprintln!("the agent said:\n{}", report.log);
    }
    if errand.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.table());
        println!("{}, {} s", report.summary(), start.elapsed().as_secs());
    }
    Ok(good)
}
