//! The demonstration behind `install/demo.sh`: `demo ENGINE [nft|legacy] [--plugin FILE]`; with `DEMO_VERBOSE` set it
//! also prints what the kernel holds.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lab::{Errand, demo};

fn main() -> ExitCode {
    let verbose = std::env::var_os("DEMO_VERBOSE").is_some();
    Errand::run("demo", |errand| demo::run(errand.spec, &errand.plugin, verbose))
}
