//! The kill test of one engine: `kill 28.5 [nft|legacy] [--long] [--plugin FILE]`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use lab::{Errand, kill};

fn main() -> ExitCode {
    Errand::run("kill", |errand| {
        let start = Instant::now();
        let title = errand.title();
        let report = kill::run(errand.spec, &errand.plugin, errand.long, &mut |line| println!("  {line}"))?;
        for wider in &report.wider {
            println!("WIDER {wider}");
        }
        for wrong in &report.wrong {
            println!("WRONG {wrong}");
        }
        println!(
            "{title}: {} points, {} runs, {} missed, {} attempts of the stranger, {} wider answers, {} wrong, {} s",
            report.points,
            report.runs,
            report.missed,
            report.attempts,
            report.wider.len(),
            report.wrong.len(),
            start.elapsed().as_secs()
        );
        Ok(report.wider.is_empty() && report.wrong.is_empty())
    })
}
