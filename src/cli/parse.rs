//! From our words to a request: help or a command.

use clap::Command;

use super::args::Invocation;
use super::argv::{Called, Words};
use super::failure::{Failure, FailureKind};
use super::help::Page;
use super::pflag::{self, Lexed, Until};

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A page of help.
    Help(Help),
    /// A command.
    Run(Invocation),
}

/// Which page, and how it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Help {
    /// The page itself.
    pub text: String,
    /// Asked for with `-h`.
    pub short: bool,
    /// Not asked for at all: a group of commands was called without one of them.
    pub bare: bool,
}

/// Finds the command that a word names.
pub(super) fn find<'a>(command: &'a Command, word: &str) -> Option<&'a Command> {
    command.get_subcommands().find(|sub| sub.get_name() == word || sub.get_visible_aliases().any(|alias| alias == word))
}

/// Reads our words.
pub(super) fn parse(called: &Called, tree: &Command, words: &Words, width: usize) -> Result<Request, Failure> {
    let mut command = tree;
    let mut path: Vec<&str> = Vec::new();
    let mut rest = words.ours.as_slice();
    let (mut help, mut short) = (words.help, words.short_help);
    while command.has_subcommands() {
        let page = Page { called, path: &path, command };
        let lexed =
            pflag::lex(command, rest, Until::Positional).map_err(|text| page.hinted(Failure::usage(text), "Run"))?;
        help |= lexed.help;
        short |= lexed.short_help;
        rest = &rest[lexed.read..];
        let Some((word, tail)) = rest.split_first() else {
            return Ok(Request::Help(Help { text: page.render(width), short, bare: !help }));
        };
        rest = tail;
        if let Some(sub) = find(command, word) {
            path.push(sub.get_name());
            command = sub;
        } else if word == "help" {
            help = true;
        } else {
            return Err(unknown(&page, word, help));
        }
    }
    let page = Page { called, path: &path, command };
    let lexed = pflag::lex(command, rest, Until::End).map_err(|text| page.hinted(Failure::usage(text), "Run"))?;
    if help || lexed.help {
        let short = short || lexed.short_help;
        return Ok(Request::Help(Help { text: page.render(width), short, bare: false }));
    }
    check_count(&page, &lexed)?;
    check_needs(&page, &lexed)?;
    let matches = pflag::matches(command, &lexed).map_err(|failure| match failure.kind {
        FailureKind::Usage => page.hinted(failure, "Run"),
        _ => failure,
    })?;
    Invocation::from_matches(&path, &matches).map(Request::Run)
}

fn unknown(page: &Page<'_>, word: &str, help: bool) -> Failure {
    let word = super::text::printable(word);
    if help {
        return Failure::user(format!("unknown help topic: {word}"));
    }
    let message = format!("{}: unknown command: {} {word}", page.called.root, page.command_path());
    page.hinted(Failure::user(message), "Run")
}

/// Docker's checks of the number of arguments, in its words.
fn check_count(page: &Page<'_>, lexed: &Lexed) -> Result<(), Failure> {
    let args: Vec<_> = page.command.get_positionals().collect();
    let least = args.iter().filter(|arg| arg.is_required_set()).count();
    let endless = args.iter().any(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1));
    let most = if endless { usize::MAX } else { args.len() };
    let given = lexed.positionals.len();
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let arguments = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let (complaint, word) = if most == 0 {
        ("accepts no arguments".to_owned(), "Run")
    } else if least == most {
        (format!("requires {least} {}", arguments(least)), "Run")
    } else if given < least {
        (format!("requires at least {least} {}", arguments(least)), "See")
    } else {
        (format!("requires at most {most} {}", arguments(most)), "Run")
    };
    Err(page.hinted(Failure::user(complain(page, &complaint)), word))
}

fn complain(page: &Page<'_>, complaint: &str) -> String {
    format!("{}: '{}' {complaint}", page.called.root, page.command_path())
}

/// What a command cannot do without, beyond its arguments.
fn check_needs(page: &Page<'_>, lexed: &Lexed) -> Result<(), Failure> {
    let has = |name: &str| lexed.flags.iter().any(|(flag, _)| flag == name);
    match *page.path {
        [verb @ ("allow" | "deny")] if !has("from") => {
            let target = lexed.positionals.first().map_or("web", String::as_str);
            let example = format!("{} {verb} {} --from", page.called.program, super::text::printable(target));
            let failure = Failure::user(complain(page, "requires --from: say who comes"))
                .hinted("")
                .hinted("For example:")
                .hinted(format!("  {example} 192.0.2.0/24"))
                .hinted(format!("  {example} any"));
            Err(page.hinted(failure, "See"))
        }
        ["rm"] if lexed.positionals.is_empty() && !has("target") => {
            Err(page.hinted(Failure::user(complain(page, "requires at least 1 argument, or --target")), "See"))
        }
        _ => Ok(()),
    }
}
