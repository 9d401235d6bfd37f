//! Which word is being typed: of which command, and what is wanted there.

use clap::{Arg, Command};

use crate::cli::parse::find;
use crate::cli::pflag::is_switch;

/// What is wanted at a place.
#[derive(Clone, Debug)]
pub(super) enum Slot<'a> {
    /// The name of a command.
    Command,
    /// The name of a flag.
    Flag,
    /// The value of this flag.
    Value(&'a Arg),
    /// This argument.
    Argument(&'a Arg),
    /// Nothing that we know of.
    Nothing,
}

/// The place of the word that is being typed.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    /// The command, and those above it: `set`, `add`.
    pub(super) path: Vec<&'a str>,
    pub(super) command: &'a Command,
    pub(super) slot: Slot<'a>,
    /// What there is of the word; of `--flag=value` the value.
    pub(super) typed: &'a str,
    /// The arguments before it.
    pub(super) arguments: Vec<&'a str>,
}

impl<'a> Place<'a> {
    /// Goes through the words as the command line will be read.
    pub(super) fn find(tree: &'a Command, before: &'a [String], typed: &'a str) -> Self {
        let mut place = Self { path: Vec::new(), command: tree, slot: Slot::Nothing, typed, arguments: Vec::new() };
        let mut only_arguments = false;
        let mut pending: Option<&Arg> = None;
        for word in before {
            if pending.take().is_some() {
                continue;
            }
            if only_arguments || !word.starts_with('-') || word == "-" {
                match find(place.command, word) {
                    Some(sub) if place.arguments.is_empty() => {
                        place.command = sub;
                        place.path.push(sub.get_name());
                    }
                    _ => place.arguments.push(word),
                }
            } else if word == "--" {
                only_arguments = true;
            } else {
                pending = waits_for_value(place.command, word);
            }
        }
        if let Some(flag) = pending {
            place.slot = Slot::Value(flag);
        } else if let Some((flag, value)) = typed.split_once('=').filter(|_| !only_arguments && typed.starts_with("--"))
        {
            place.typed = value;
            let flag = place.command.get_opts().find(|arg| arg.get_long() == flag.strip_prefix("--"));
            place.slot = flag.map_or(Slot::Nothing, Slot::Value);
        } else if typed.starts_with('-') && !only_arguments {
            place.slot = Slot::Flag;
        } else if place.command.has_subcommands() {
            place.slot = if place.arguments.is_empty() { Slot::Command } else { Slot::Nothing };
        } else {
            place.slot = place.argument().map_or(Slot::Nothing, Slot::Argument);
        }
        place
    }

    /// The argument that is being typed; the last one of a command may repeat.
    fn argument(&self) -> Option<&'a Arg> {
        let args: Vec<&Arg> = self.command.get_positionals().collect();
        let repeats = |arg: &&&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        args.get(self.arguments.len()).or_else(|| args.last().filter(repeats)).copied()
    }
}

/// The flag that takes the next word, if `word` is one that does.
fn waits_for_value<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let arg = match word.strip_prefix("--") {
        Some(long) => command.get_opts().find(|arg| arg.get_long() == Some(long)),
        None => command.get_opts().find(|arg| arg.get_short() == word.chars().next_back()),
    };
    arg.filter(|arg| !is_switch(arg))
}
