//! What is typed, phase by phase. What should come of it is nobody's to write down: the model follows the same words.

/// How much of the table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All cells.
    Full,
    /// The cells that tell one hook from another.
    Short,
}

/// Some commands, and a look at the table after them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// What is typed, as [`Step`] reads it.
    pub(crate) commands: &'static [&'static str],
    /// Whether sessions are held open while it is typed.
    pub(crate) live: bool,
    /// What is looked at.
    pub(crate) extent: Extent,
}

pub(crate) const fn phase(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { name, commands, live: false, extent: Extent::Full }
}

pub(crate) const fn live(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { live: true, ..phase(name, commands) }
}

pub(crate) const fn short(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { extent: Extent::Short, ..phase(name, commands) }
}

pub(crate) const fn short_live(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { extent: Extent::Short, ..live(name, commands) }
}

/// One thing that is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Words behind `docker firewall`; `ALL` stands for every managed target.
    Firewall(&'a str),
    /// The same, to be refused: nothing changes.
    Refused(&'a str),
    /// Words behind `docker`, about containers and networks.
    Docker(&'a str),
    /// A target is removed and started anew as it was described.
    Recreate(&'a str),
}

impl Phase {
    /// What is typed, one by one.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'static>> {
        self.commands.iter().map(|command| {
            if let Some(words) = command.strip_prefix("! ") {
                Step::Refused(words)
            } else if let Some(words) = command.strip_prefix("docker ") {
                Step::Docker(words)
            } else if let Some(name) = command.strip_prefix("recreate ") {
                Step::Recreate(name)
            } else {
                Step::Firewall(command)
            }
        })
    }
}

impl Step<'_> {
    /// Whether containers or networks are others afterwards.
    pub(crate) fn changes_the_world(&self) -> bool {
        matches!(self, Self::Docker(_) | Self::Recreate(_))
    }
}
