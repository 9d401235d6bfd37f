//! The commands as plain data, for those who write about them: man pages, the reference, the tests of both.

use clap::Command;

use super::argv::Called;
use super::help::{Page, value_name};
use super::pflag::is_switch;
use super::tree;

/// One command or group of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `docker`, `firewall`, `set`, `add`.
    pub path: Vec<String>,
    /// As `--help` prints it behind `Usage:`, without `[OPTIONS]` resolved.
    pub usage: String,
    /// One line.
    pub short: String,
    /// Everything; the short line where there is no more.
    pub long: String,
    /// Other names, each the whole command.
    pub aliases: Vec<String>,
    /// Lines of examples, without indentation.
    pub examples: Vec<String>,
    /// Flags, sorted by name.
    pub flags: Vec<Flag>,
    /// The commands of a group: last word and short line.
    pub commands: Vec<(String, String)>,
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without dashes.
    pub long: String,
    /// The letter.
    pub short: Option<char>,
    /// pflag's name of the type; `bool` for switches.
    pub kind: String,
    /// One line or more.
    pub help: String,
}

/// All commands that `--help` shows, groups before their commands.
pub fn commands() -> Vec<Reference> {
    let called =
        Called { program: "docker firewall".to_owned(), root: "docker".to_owned(), plugin: "firewall".to_owned() };
    let mut all = Vec::new();
    collect(&called, &[], &tree::root(), &mut all);
    all
}

fn collect(called: &Called, path: &[&str], command: &Command, all: &mut Vec<Reference>) {
    all.push(reference(&Page { called, path, command }));
    let mut shown: Vec<&Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    shown.sort_by_key(|sub| sub.get_name());
    for sub in shown {
        collect(called, &[path, &[sub.get_name()]].concat(), sub, all);
    }
}

fn reference(page: &Page<'_>) -> Reference {
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let command = page.command;
    let short = text(command.get_about());
    let parent = page.path.split_last().map_or(&[][..], |(_, parent)| parent);
    let parent = Page { path: parent, ..*page }.command_path();
    let mut flags: Vec<Flag> = command
        .get_opts()
        .filter(|arg| !arg.is_hide_set())
        .map(|arg| Flag {
            long: arg.get_long().unwrap_or_default().to_owned(),
            short: arg.get_short(),
            kind: if is_switch(arg) { "bool".to_owned() } else { value_name(arg).to_owned() },
            help: text(arg.get_help()),
        })
        .collect();
    flags.sort_by(|one, other| one.long.cmp(&other.long));
    let mut commands: Vec<(String, String)> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| (sub.get_name().to_owned(), text(sub.get_about())))
        .collect();
    commands.sort();
    Reference {
        path: page.command_path().split(' ').map(str::to_owned).collect(),
        usage: page.use_line(),
        long: command.get_long_about().map_or_else(|| short.clone(), ToString::to_string).trim().to_owned(),
        short,
        aliases: command.get_visible_aliases().map(|alias| format!("{parent} {alias}")).collect(),
        examples: text(command.get_after_help()).lines().map(|line| line.trim().to_owned()).collect(),
        flags,
        commands,
    }
}
