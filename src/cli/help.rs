//! Help pages and usage errors in Docker's shape, to the letter of its template.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::argv::Called;
use super::failure::Failure;
use super::pflag::is_switch;

/// cobra's narrowest column of command names.
const NAME_PADDING: usize = 11;

/// A command and the words that lead to it.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub called: &'a Called,
    pub path: &'a [&'a str],
    pub command: &'a Command,
}

impl Page<'_> {
    /// `docker firewall set ls`.
    pub(super) fn command_path(&self) -> String {
        let mut text = self.called.program.clone();
        for word in self.path {
            text.push(' ');
            text.push_str(word);
        }
        text
    }

    /// `docker firewall allow [OPTIONS] TARGET [TARGET...]`; of a group only its path.
    pub(super) fn use_line(&self) -> String {
        let mut text = self.command_path();
        if self.command.has_subcommands() {
            return text;
        }
        if self.command.get_opts().next().is_some() {
            text.push_str(" [OPTIONS]");
        }
        for arg in self.command.get_positionals() {
            let name = value_name(arg);
            let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
            let _ = match (arg.is_required_set(), many) {
                (true, true) => write!(text, " {name} [{name}...]"),
                (true, false) => write!(text, " {name}"),
                (false, true) => write!(text, " [{name}...]"),
                (false, false) => write!(text, " [{name}]"),
            };
        }
        text
    }

    /// Adds what Docker prints below a bad command line; `word` is `Run` or `See`, as it has both.
    pub(super) fn hinted(&self, failure: Failure, word: &str) -> Failure {
        failure
            .hinted("")
            .hinted(format!("Usage:  {}", self.use_line()))
            .hinted("")
            .hinted(format!("{word} '{} --help' for more information", self.command_path()))
    }

    /// The page that `--help` prints.
    pub(super) fn render(&self, width: usize) -> String {
        let mut text = String::new();
        let group = self.command.has_subcommands();
        let _ = writeln!(text, "Usage:  {}{}\n", self.use_line(), if group { " COMMAND" } else { "" });
        let about = self.command.get_long_about().or(self.command.get_about());
        let _ = writeln!(text, "{}", about.map(ToString::to_string).unwrap_or_default().trim());
        let aliases: Vec<&str> = self.command.get_visible_aliases().collect();
        if !aliases.is_empty() {
            let path = self.command_path();
            let parent = path.rsplit_once(' ').map_or("", |(parent, _)| parent);
            let _ = write!(text, "\nAliases:\n  {path}");
            for alias in aliases {
                let _ = write!(text, ", {parent} {alias}");
            }
            text.push('\n');
        }
        if let Some(examples) = self.command.get_after_help() {
            let examples = examples.to_string().replace("docker firewall", &self.called.program);
            let _ = writeln!(text, "\nExamples:\n{examples}");
        }
        if self.command.get_opts().next().is_some() {
            let _ = writeln!(text, "\nOptions:\n{}", options(self.command, width.saturating_sub(1)));
        }
        if group {
            self.commands(&mut text, "Management Commands", Command::has_subcommands);
            self.commands(&mut text, "Commands", |command| !command.has_subcommands());
            let path = self.command_path();
            let _ = writeln!(text, "\nRun '{path} COMMAND --help' for more information on a command.");
        }
        text
    }

    fn commands(&self, text: &mut String, title: &str, belongs: impl Fn(&Command) -> bool) {
        let shown = || self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let width = shown().map(|command| command.get_name().len()).max().unwrap_or(0).max(NAME_PADDING);
        let mut commands: Vec<&Command> = shown().filter(|command| belongs(command)).collect();
        commands.sort_by_key(|command| command.get_name());
        if commands.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{title}:");
        for command in commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {:width$} {about}", command.get_name());
        }
    }
}

/// The name of a value in capitals or, of a flag, its type.
pub(super) fn value_name(arg: &Arg) -> &str {
    arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str())
}

/// pflag's table of flags, sorted, wrapped to `width`.
fn options(command: &Command, width: usize) -> String {
    let mut flags: Vec<&Arg> = command.get_opts().filter(|arg| !arg.is_hide_set()).collect();
    flags.sort_by_key(|arg| arg.get_long());
    let names: Vec<String> = flags
        .iter()
        .map(|arg| {
            let long = arg.get_long().unwrap_or_default();
            let kind = if is_switch(arg) { "" } else { value_name(arg) };
            let gap = if kind.is_empty() { "" } else { " " };
            match arg.get_short() {
                Some(short) => format!("  -{short}, --{long}{gap}{kind}"),
                None => format!("      --{long}{gap}{kind}"),
            }
        })
        .collect();
    let indent = names.iter().map(String::len).max().unwrap_or(0) + 3;
    let lines: Vec<String> = flags
        .iter()
        .zip(&names)
        .map(|(arg, name)| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            format!("{name:indent$}{}", wrap(indent, width, &help))
        })
        .collect();
    lines.join("\n")
}

/// pflag's wrapping, its slack of 5 columns and its surrender on narrow terminals included.
fn wrap(mut indent: usize, width: usize, text: &str) -> String {
    const SLACK: usize = 5;
    const NARROW: usize = 24;
    let mut wrapped = String::new();
    let mut room = width.saturating_sub(indent);
    if room < NARROW {
        indent = 16;
        room = width.saturating_sub(indent);
        let _ = write!(wrapped, "\n{:indent$}", "");
        if room < NARROW {
            return wrapped + &text.replace('\n', &format!("\n{:indent$}", ""));
        }
    }
    room -= SLACK;
    let newline = format!("\n{:indent$}", "");
    let mut rest = text;
    loop {
        let (line, tail) = break_line(rest, room, SLACK);
        wrapped.push_str(&line.replace('\n', &newline));
        if tail.is_empty() {
            return wrapped;
        }
        wrapped.push_str(&newline);
        rest = tail;
    }
}

/// The first line of at most `room` bytes, or `room + slack` if that is all there is, and the rest.
fn break_line(text: &str, room: usize, slack: usize) -> (&str, &str) {
    if room + slack > text.len() {
        return (text, "");
    }
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let head = &text[..end];
    let Some(space) = head.rfind([' ', '\t', '\n']).filter(|at| *at > 0) else {
        return (text, "");
    };
    let at = head.rfind('\n').filter(|at| *at > 0).unwrap_or(space);
    (&text[..at], &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_as_pflag_does() {
        // As `docker ps --help` prints them at 80 columns.
        let format = "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template";
        assert_eq!(
            wrap(24, 79, format),
            "Format output using a custom template:\n\
             \x20                       'table':            Print output in table format\n\
             \x20                       with column headers (default)\n\
             \x20                       'table TEMPLATE':   Print output in table format\n\
             \x20                       using the given Go template"
        );
        assert_eq!(
            wrap(24, 79, "Show n last created containers (includes all states) (default -1)"),
            "Show n last created containers (includes all\n                        states) (default -1)"
        );
    }

    #[test]
    fn gives_up_on_narrow_terminals() {
        assert_eq!(wrap(24, 30, "a b"), "\n                a b");
        assert_eq!(wrap(24, 0, "a b"), "\n                a b");
    }
}
