//! From our words to a request: help or a command.

use clap::Command;

use super::args::Invocation;
use super::argv::{Called, Words};
use super::failure::{Failure, FailureKind};
use super::help::Page;
use super::pflag::{self, Lexed, Until};
use crate::policy::shell_word;

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
            let target = shell_word(target).into_owned();
            let example = format!("{} {verb} {} --from", page.called.program, super::text::printable(&target));
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::args::{ApplyArgs, Input, LsArgs, RmArgs, RuleName, SetType, StatusArgs};
    use super::super::format::{Filters, Format, ListStyle};
    use super::*;
    use crate::policy::{DefaultAccess, Hook, Verdict};

    fn invocation(words: &[&str]) -> Invocation {
        let called =
            Called { program: "docker firewall".to_owned(), root: "docker".to_owned(), plugin: "firewall".to_owned() };
        let words = Words { ours: words.iter().map(ToString::to_string).collect(), ..Words::default() };
        match parse(&called, &super::super::tree::root(), &words, 80) {
            Ok(Request::Run(invocation)) => invocation,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn line(words: &str) -> Invocation {
        invocation(&words.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn the_tree_is_sound() {
        super::super::tree::root().debug_assert();
        super::super::globals::command().debug_assert();
    }

    #[test]
    fn a_rule_with_everything() {
        let words = "allow web shop/api web --from ipfriends,10.1.2.3/8 --port 80,443 --from any --port 53/udp \
                     --published 8443 --interface eth0 --for 1h30m --before 2 --before 3 --pending --dry-run=1";
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.extend(["--comment", "--not a flag"]);
        let Invocation::Rule(rule) = invocation(&words) else { panic!() };
        assert_eq!(rule.verdict, Verdict::Allow);
        assert_eq!(rule.targets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web", "shop/api"]);
        let sources: Vec<String> = rule.sources.iter().map(|source| source.source.to_string()).collect();
        assert_eq!(sources, ["ipfriends", "10.0.0.0/8", "any"]);
        assert_eq!(rule.ports.container.unwrap().to_string(), "80/tcp,443/tcp,53/udp");
        assert_eq!(rule.ports.published.unwrap().to_string(), "8443/tcp");
        assert_eq!(rule.interface.as_deref(), Some("eth0"));
        assert_eq!(rule.lifetime, Some(Duration::from_secs(5400)));
        assert_eq!((rule.before, rule.pending, rule.dry_run), (Some(3), true, true));
        assert_eq!(rule.comment.as_deref(), Some("--not a flag"));
    }

    #[test]
    fn a_rule_with_the_least() {
        let Invocation::Rule(rule) = line("deny * --from any") else { panic!() };
        assert_eq!(rule.verdict, Verdict::Deny);
        assert_eq!((rule.ports.container, rule.ports.published, rule.interface), (None, None, None));
        assert_eq!((rule.lifetime, rule.comment, rule.before), (None, None, None));
        assert!(!rule.pending && !rule.dry_run);
    }

    #[test]
    fn lists() {
        let style = ListStyle { quiet: true, format: Some(Format::Json), no_trunc: true };
        let filters = Filters(vec![("network".to_owned(), "front=1".to_owned())]);
        let targets = vec!["web".parse().unwrap()];
        assert_eq!(
            line("list -q --format json web --no-trunc -f NETWORK=front=1"),
            Invocation::Ls(LsArgs { targets, style, filters })
        );
        let Invocation::SetLs(args) = line("set list -q --quiet=false") else { panic!() };
        assert_eq!(args.style, ListStyle::default());
        let Invocation::Rules(args) = line("rules -q --format table") else { panic!() };
        assert!(args.style.quiet && args.style.format == Some(Format::Table));
        assert_eq!(line("status --format json"), Invocation::Status(StatusArgs { format: Some(Format::Json) }));
        let Invocation::SetInspect(args) = line("set inspect a b --format json") else { panic!() };
        assert!(args.format == Some(Format::Json) && args.names.len() == 2);
    }

    #[test]
    fn the_rest_of_the_policy() {
        assert_eq!(
            line("remove 3 4f1c09 --target web --dry-run"),
            Invocation::Rm(RmArgs {
                rules: vec![RuleName::Number(3), RuleName::Id("4f1c09".to_owned())],
                targets: vec!["web".parse().unwrap()],
                dry_run: true,
            })
        );
        assert_eq!(
            line("apply -f policy.toml --hook forward"),
            Invocation::Apply(ApplyArgs {
                file: Some(Input::File(PathBuf::from("policy.toml"))),
                hook: Some(Hook::Forward),
                dry_run: false,
            })
        );
        let Invocation::Default(args) = line("default closed") else { panic!() };
        assert_eq!(args.access, Some(DefaultAccess::Closed));
        let Invocation::Default(args) = line("default") else { panic!() };
        assert_eq!(args.access, None);
        let Invocation::Reset(args) = line("reset -f") else { panic!() };
        assert!(args.force);
    }

    #[test]
    fn sets() {
        let Invocation::SetCreate(args) = line("set create office --type hash:ip --comment x") else { panic!() };
        assert_eq!((args.kind, args.comment.as_deref()), (SetType::Ip, Some("x")));
        let Invocation::SetAdd(args) = line("set add office 192.0.2.1 fd00::/8 --for 2h") else { panic!() };
        assert_eq!((args.entries.len(), args.lifetime), (2, Some(Duration::from_secs(7200))));
        let Invocation::SetDel(args) = line("set del office 192.0.2.1-192.0.2.9") else { panic!() };
        assert_eq!(args.entries[0].text, "192.0.2.1-192.0.2.9");
        let Invocation::SetImport(args) = line("set import office -") else { panic!() };
        assert_eq!(args.from, Input::Stdin);
        let Invocation::SetTest(args) = line("set test office ::ffff:192.0.2.1") else { panic!() };
        assert_eq!(args.address.to_string(), "192.0.2.1");
        let Invocation::SetRm(args) = line("set rm a b") else { panic!() };
        assert_eq!(args.names.len(), 2);
        let Invocation::SetExport(args) = line("set export office") else { panic!() };
        assert_eq!(args.name.as_str(), "office");
    }
}
