//! The commands and their flags, described with clap: the one source of help, parsing and completion.

use clap::{Arg, ArgAction, Command};

use super::values;

mod figures;
mod policy;
mod service;
mod sets;

const FORMAT: &str = "Format output:\n\
    'table':           Columns with headings (default)\n\
    'table TEMPLATE':  Columns of a Go template\n\
    'json':            One JSON object a line\n\
    'TEMPLATE':        A line of a Go template each";
const PAGE_FORMAT: &str = "Format output:\n\
    'table':           Columns with headings (default)\n\
    'table TEMPLATE':  Columns of a Go template\n\
    'json':            One JSON object a line\n\
    'html':            One page for a browser\n\
    'TEMPLATE':        A line of a Go template each";

/// The whole tree. Its root stands for `docker firewall`.
pub(super) fn root() -> Command {
    command("firewall", "Decide who may reach which container")
        .subcommands(policy::commands())
        .subcommands(figures::commands())
        .subcommand(sets::command())
        .subcommand(service::command_group())
}

/// A command in our style: clap adds nothing of its own.
fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).disable_help_flag(true).disable_help_subcommand(true).disable_version_flag(true)
}

/// A flag that is there or not; takes `=true` and `=false`.
pub(super) fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    flag(name, short, help)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(values::parse_bool)
}

/// A flag with a text; the last one counts.
pub(super) fn value(name: &'static str, short: Option<char>, kind: &'static str, help: &'static str) -> Arg {
    flag(name, short, help).value_name(kind)
}

/// A flag that may be repeated.
pub(super) fn list(name: &'static str, short: Option<char>, kind: &'static str, help: &'static str) -> Arg {
    value(name, short, kind, help).action(ArgAction::Append)
}

fn flag(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).help(help).allow_hyphen_values(true);
    match short {
        Some(letter) => arg.short(letter),
        None => arg,
    }
}

/// An argument that must be there once.
fn one(id: &'static str, kind: &'static str) -> Arg {
    Arg::new(id).value_name(kind).required(true)
}

/// An argument that may be there once.
fn at_most_one(id: &'static str, kind: &'static str) -> Arg {
    Arg::new(id).value_name(kind)
}

/// An argument that must be there and may be repeated.
fn some(id: &'static str, kind: &'static str) -> Arg {
    Arg::new(id).value_name(kind).required(true).num_args(1..).action(ArgAction::Append)
}

/// An argument that may be there any number of times.
fn any_number(id: &'static str, kind: &'static str) -> Arg {
    Arg::new(id).value_name(kind).num_args(0..).action(ArgAction::Append)
}

/// `--format` of lists.
fn format() -> Arg {
    value("format", None, "string", FORMAT).value_parser(values::parse_format)
}

/// `--format` of lists that are a page too.
fn page_format() -> Arg {
    value("format", None, "string", PAGE_FORMAT).value_parser(values::parse_page_format)
}

/// `-q`.
fn quiet(help: &'static str) -> Arg {
    switch("quiet", Some('q'), help)
}

/// `--no-trunc`.
fn no_trunc() -> Arg {
    switch("no-trunc", None, "Don't truncate output")
}

/// `--dry-run`.
fn dry_run() -> Arg {
    switch("dry-run", None, "Show what would change and change nothing")
}
