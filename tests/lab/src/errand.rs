//! What the test programs are called with: `ENGINE [nft|legacy] [--plugin FILE]`, and `truth` with `--variant NAME`, `kill` with
//! `--long`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::truth::Variant;
use crate::{LabError, LabSpec, built_plugin};

/// One program's task.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The lab to make.
    pub spec: LabSpec,
    /// The plugin to try.
    pub plugin: PathBuf,
    /// How the engine is set up, and what is played on it.
    pub variant: &'static Variant,
    /// Whether it may take its time.
    pub long: bool,
}

impl Errand {
    /// Reads the words; builds the plugin where none is named. `None` when the words make no sense.
    pub fn read(program: &str, words: &[&str]) -> Result<Option<Self>, LabError> {
        let [engine, rest @ ..] = words else { return Ok(None) };
        if engine.starts_with('-') {
            return Ok(None);
        }
        let mut spec = LabSpec::new(engine.parse()?).name(program);
        let mut plugin = None;
        let mut variant = <&Variant>::default();
        let mut long = false;
        let mut rest = rest;
        loop {
            rest = match rest {
                [] => break,
                ["--plugin", file, rest @ ..] => {
                    plugin = Some(PathBuf::from(file));
                    rest
                }
                ["--variant", name, rest @ ..] if program == "truth" => {
                    variant = name.parse()?;
                    rest
                }
                ["--long", rest @ ..] if program == "kill" => {
                    long = true;
                    rest
                }
                [flavour, rest @ ..] if !flavour.starts_with('-') => {
                    spec = spec.flavour(flavour.parse()?);
                    rest
                }
                _ => return Ok(None),
            };
        }
        Ok(Some(Self { spec, plugin: plugin.map_or_else(built_plugin, Ok)?, variant, long }))
    }

    /// The engine, its flavour and what is unusual, for the line that sums up.
    pub fn title(&self) -> String {
        let variant = if self.variant.name == "default" { "" } else { self.variant.name };
        format!("{} {} {variant}", self.spec.engine, self.spec.flavour).trim_end().to_owned()
    }

    /// A program that does one errand: exits with 0 if it says that all is well.
    pub fn run(program: &str, errand: impl FnOnce(Self) -> Result<bool, LabError>) -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = Self::read(program, &words).and_then(|read| read.map(errand).transpose());
        match outcome {
            Ok(Some(true)) => ExitCode::SUCCESS,
            Ok(Some(false)) => ExitCode::FAILURE,
            Ok(None) => {
                let more = match program {
                    "truth" => " [--variant NAME]",
                    "kill" => " [--long]",
                    _ => "",
                };
                eprintln!(
                    "usage: {program} ENGINE [nft|legacy]{more} [--plugin FILE]\n  \
                     ENGINE: 20.10, 26.1, 28.5. Without --plugin the plugin is built first."
                );
                if program == "truth" {
                    eprintln!("  NAME: {}.", Variant::NAMES);
                }
                ExitCode::from(125)
            }
            Err(error) => {
                eprintln!("{program}: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
