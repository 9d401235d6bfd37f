//! Reads words by the rules of pflag, which every Docker command follows and clap does not.
//!
//! clap's tree says which flags there are. What comes out has one canonical form (`--long=value`) that clap then types.
//! pflag's own rules: repeated scalars are not an error (the last wins), switches take `=false`, a value may begin with
//! a dash, names are never abbreviated, flags may follow arguments.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command};

use super::failure::{Failure, FailureKind};
use super::values::parse_bool;

/// What the words were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lexed {
    /// Long name and value, in order.
    pub flags: Vec<(String, String)>,
    /// What is no flag.
    pub positionals: Vec<String>,
    /// `--help` or `-h` was there.
    pub help: bool,
    /// It was `-h`.
    pub short_help: bool,
    /// How many words were read.
    pub read: usize,
}

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Everything is read.
    End,
    /// The first word that is no flag is left unread.
    Positional,
}

/// Whether a flag is a switch.
pub(super) fn is_switch(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.min_values() == 0) && !arg.is_positional()
}

/// Reads `words` with the flags of `command`. The error is pflag's sentence.
pub(super) fn lex(command: &Command, words: &[String], until: Until) -> Result<Lexed, String> {
    let mut lexed = Lexed::default();
    let mut words = words.iter();
    let total = words.len();
    while let Some(word) = words.next() {
        if word == "--" {
            if until == Until::End {
                lexed.positionals.extend(words.by_ref().cloned());
            }
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            lexed.long(command, word, long, &mut words)?;
        } else if word.len() > 1 && word.starts_with('-') {
            lexed.short(command, word, &mut words)?;
        } else if until == Until::Positional {
            lexed.read = total - words.len() - 1;
            return Ok(lexed);
        } else {
            lexed.positionals.push(word.clone());
        }
    }
    lexed.read = total - words.len();
    Ok(lexed)
}

impl Lexed {
    fn long<'a>(
        &mut self,
        command: &Command,
        word: &str,
        long: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        if long.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {word}"));
        }
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let Some(arg) = command.get_opts().find(|arg| arg.get_long() == Some(name)) else {
            if name == "help" {
                self.help |= value.as_deref().is_none_or(|value| parse_bool(value).unwrap_or(true));
                return Ok(());
            }
            return Err(format!("unknown flag: --{name}"));
        };
        let value = match value {
            Some(value) => value,
            None if is_switch(arg) => "true".to_owned(),
            None => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        self.flags.push((name.to_owned(), value));
        Ok(())
    }

    fn short<'a>(
        &mut self,
        command: &Command,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            let tail = letters.as_str();
            let Some(arg) = command.get_opts().find(|arg| arg.get_short() == Some(letter)) else {
                if letter == 'h' {
                    self.help = true;
                    self.short_help = true;
                    continue;
                }
                return Err(format!("unknown shorthand flag: '{letter}' in {word}"));
            };
            let name = arg.get_long().unwrap_or_default().to_owned();
            if let Some(value) = tail.strip_prefix('=') {
                self.flags.push((name, value.to_owned()));
                return Ok(());
            }
            if is_switch(arg) {
                self.flags.push((name, "true".to_owned()));
                continue;
            }
            let value = if tail.is_empty() {
                rest.next().cloned().ok_or_else(|| format!("flag needs an argument: '{letter}' in {word}"))?
            } else {
                tail.to_owned()
            };
            self.flags.push((name, value));
            return Ok(());
        }
        Ok(())
    }
}

/// Lets clap type the values. Failures are pflag's sentences for flags, the value's own for arguments.
pub(super) fn matches(command: &Command, lexed: &Lexed) -> Result<ArgMatches, Failure> {
    let mut canonical = vec![command.get_name().to_owned()];
    canonical.extend(lexed.flags.iter().map(|(name, value)| format!("--{name}={value}")));
    canonical.push("--".to_owned());
    canonical.extend(lexed.positionals.iter().cloned());
    let command = command.clone().args_override_self(true).disable_help_flag(true);
    command.clone().try_get_matches_from(canonical).map_err(|error| value_failure(&command, &error))
}

fn value_failure(command: &Command, error: &clap::Error) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let reason = error.source().map_or_else(|| error.kind().to_string(), ToString::to_string);
    let shown = text(ContextKind::InvalidArg).split([' ', '=', '[']).next().unwrap_or_default();
    let Some(name) = shown.strip_prefix("--") else {
        return Failure::new(FailureKind::User, reason);
    };
    let short = command.get_opts().find(|arg| arg.get_long() == Some(name)).and_then(Arg::get_short);
    let flag = short.map_or_else(|| format!("--{name}"), |short| format!("-{short}, --{name}"));
    let value = super::text::printable(text(ContextKind::InvalidValue));
    Failure::usage(format!("invalid argument \"{value}\" for \"{flag}\" flag: {reason}"))
}
