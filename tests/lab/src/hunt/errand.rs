//! What a hunt is called with.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::event::{BRIEF, EVENTS};
use crate::{LabError, LabSpec, built_plugin};

/// One hunt.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The lab to make.
    pub spec: LabSpec,
    /// The plugin to try.
    pub plugin: PathBuf,
    /// How often each event happens.
    pub times: usize,
    /// The events that happen; all when empty.
    pub events: Vec<String>,
    /// Any event, for so long, in place of each a number of times.
    pub soak: Option<Duration>,
    /// What the choice of events begins with.
    pub seed: u64,
    /// For programs in place of people.
    pub json: bool,
    /// Without the look at what leaks where nobody guards.
    pub no_control: bool,
    /// That look alone.
    pub only_control: bool,
}

/// How long `--soak` takes when nothing is said.
const SOAK: Duration = Duration::from_secs(15 * 60);

impl Errand {
    /// What can be said.
    pub const USAGE: &str = "usage: hunt ENGINE [nft|legacy] [--times N] [--brief | --events NAME,..] [--soak [MINUTES]] [--seed N]
            [--json] [--no-control | --control] [--plugin FILE]
  ENGINE: 20.10, 26.1, 28.5. Without --plugin the plugin is built first. --soak takes any event at random, for 15 minutes
  unless told otherwise. --brief: one of each kind of event, once. --control looks only at what leaks without agent and backstop.";

    /// Reads the words; builds the plugin where none is named. `None` when the words make no sense.
    pub fn read(words: &[&str]) -> Result<Option<Self>, LabError> {
        let [engine, rest @ ..] = words else { return Ok(None) };
        let mut errand = Self {
            spec: LabSpec::new(engine.parse()?).with_tools().name("hunt"),
            plugin: PathBuf::new(),
            times: 3,
            events: Vec::new(),
            soak: None,
            seed: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            json: false,
            no_control: false,
            only_control: false,
        };
        let mut rest = rest.iter().copied().peekable();
        while let Some(word) = rest.next() {
            match word {
                "--brief" => {
                    errand.times = 1;
                    errand.events = BRIEF.iter().map(|name| (*name).to_owned()).collect();
                }
                "--json" => errand.json = true,
                "--no-control" => errand.no_control = true,
                "--control" => errand.only_control = true,
                "--soak" => {
                    let minutes = rest.next_if(|word| !word.starts_with('-')).map(str::parse::<u64>);
                    let Ok(minutes) = minutes.transpose() else { return Ok(None) };
                    errand.soak = Some(minutes.map_or(SOAK, |minutes| Duration::from_secs(60 * minutes)));
                }
                "--times" | "--seed" | "--events" | "--plugin" => {
                    let Some(value) = rest.next() else { return Ok(None) };
                    if !errand.take(word, value)? {
                        return Ok(None);
                    }
                }
                flavour if !flavour.starts_with('-') => errand.spec = errand.spec.flavour(flavour.parse()?),
                _ => return Ok(None),
            }
        }
        if errand.plugin.as_os_str().is_empty() {
            errand.plugin = built_plugin()?;
        }
        Ok(Some(errand))
    }

    fn take(&mut self, word: &str, value: &str) -> Result<bool, LabError> {
        match word {
            "--times" => value.parse().map(|times| self.times = times).map_err(|_| ()),
            // Nothing ever comes of nought.
            "--seed" => value.parse::<u64>().map(|seed| self.seed = seed.max(1)).map_err(|_| ()),
            "--plugin" => {
                self.plugin = value.into();
                Ok(())
            }
            _ => {
                self.events = value.split(',').map(str::to_owned).collect();
                let unknown = |name: &&String| EVENTS.iter().all(|event| event.name != name.as_str());
                match self.events.iter().find(unknown) {
                    Some(name) => {
                        return Err(LabError::Unknown {
                            what: "event",
                            name: name.clone(),
                            known: "see tests/lab/src/hunt/event.rs",
                        });
                    }
                    None => Ok(()),
                }
            }
        }
        .map_or(Ok(false), |()| Ok(true))
    }

    /// The engine and its flavour.
    pub fn title(&self) -> String {
        format!("{} {}", self.spec.engine, self.spec.flavour)
    }
}
