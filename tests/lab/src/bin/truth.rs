//! One engine's truth table: `truth 28.5 [nft|legacy] [--variant NAME] [--plugin FILE]`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use lab::{Errand, truth};

fn main() -> ExitCode {
    Errand::run("truth", |errand| {
        let start = Instant::now();
        let title = errand.title();
        let report = truth::run(errand.spec, errand.variant, &errand.plugin, &mut |line| println!("  {line}"))?;
        for wrong in &report.wrong {
            println!("WRONG {wrong}");
        }
        print!("{}", report.figures);
        for (command, count) in [("explain", report.explained), ("ls", report.listed)] {
            let truth::Explained { compared, unknown, otherwise } = count;
            println!(
                "{command}: {compared} answers compared with the kernel's, {unknown} unknown, {otherwise} otherwise"
            );
        }
        let seconds = start.elapsed().as_secs();
        println!("{title}: {} cells, {} wrong, {seconds} s", report.cells, report.wrong.len());
        Ok(report.wrong.is_empty())
    })
}
