//! Completion, in the two dialects that Docker's shell scripts speak.
//!
//! cobra's scripts make Docker call `__complete firewall WORDS`; the older bash script calls the plugin itself with
//! `__completeNoDesc WORDS`, Docker's global flags' values sometimes in front and our name not always there. The last
//! word is the one being typed. The answer is a candidate a line, then `:` and cobra's directive.

use clap::{Arg, Command};

use super::environment::Env;
use super::help::value_name;
use super::output::Output;
use super::parse::find;
use super::pflag::is_switch;

/// cobra's `ShellCompDirectiveNoFileComp`.
const NO_FILES: u8 = 4;
/// cobra's `ShellCompDirectiveDefault`: the shell offers file names.
const FILES: u8 = 0;

/// A word that fits, and what it means.
struct Candidate {
    word: String,
    about: String,
}

impl Candidate {
    fn new(word: &str, about: &str) -> Self {
        Self { word: word.to_owned(), about: about.to_owned() }
    }
}

/// Answers a request; `verb` is the first argument, `words` what follows.
pub(super) fn answer(tree: &Command, plugin: &str, verb: &str, words: &[String], env: &Env, output: &mut Output) {
    let words = match words.iter().position(|word| word == plugin) {
        Some(at) => &words[at + 1..],
        None => words,
    };
    let off = |name| matches!(env.text(name), Some("0" | "f" | "F" | "false" | "FALSE" | "False"));
    let describe =
        verb == "__complete" && !off("DOCKER_COMPLETION_DESCRIPTIONS") && !off("COBRA_COMPLETION_DESCRIPTIONS");
    let (candidates, directive) = candidates(tree, words);
    for Candidate { word, about } in candidates {
        let about = about.lines().next().unwrap_or_default().trim();
        if describe && !about.is_empty() {
            output.line(&format!("{word}\t{about}"));
        } else {
            output.line(&word);
        }
    }
    output.line(&format!(":{directive}"));
}

fn candidates(tree: &Command, words: &[String]) -> (Vec<Candidate>, u8) {
    let (typed, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = tree;
    let mut arguments = 0;
    let mut only_arguments = false;
    let mut pending: Option<&Arg> = None;
    for word in before {
        if pending.take().is_some() {
            continue;
        }
        if only_arguments || !word.starts_with('-') || word == "-" {
            match find(command, word) {
                Some(sub) if arguments == 0 => command = sub,
                _ => arguments += 1,
            }
        } else if word == "--" {
            only_arguments = true;
        } else {
            pending = waits_for_value(command, word);
        }
    }
    let (found, typed) = if let Some(flag) = pending {
        (values_of_flag(flag), typed)
    } else if let Some((flag, value)) = typed.split_once('=').filter(|_| !only_arguments && typed.starts_with("--")) {
        let flag = command.get_opts().find(|arg| arg.get_long() == flag.strip_prefix("--"));
        (flag.map_or_else(|| (Vec::new(), NO_FILES), values_of_flag), value)
    } else if typed.starts_with('-') && !only_arguments {
        (flags(command), typed)
    } else if command.has_subcommands() {
        let found = if arguments == 0 { subcommands(command) } else { Vec::new() };
        ((found, NO_FILES), typed)
    } else {
        (values_of_argument(command, arguments), typed)
    };
    let (mut found, directive) = found;
    found.retain(|candidate| candidate.word.starts_with(typed));
    found.sort_by(|one, other| one.word.cmp(&other.word));
    (found, directive)
}

/// The flag that takes the next word, if `word` is one that does.
fn waits_for_value<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let arg = match word.strip_prefix("--") {
        Some(long) => command.get_opts().find(|arg| arg.get_long() == Some(long)),
        None => command.get_opts().find(|arg| arg.get_short() == word.chars().next_back()),
    };
    arg.filter(|arg| !is_switch(arg))
}

fn subcommands(command: &Command) -> Vec<Candidate> {
    let about = |sub: &Command| sub.get_about().map(ToString::to_string).unwrap_or_default();
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| Candidate::new(sub.get_name(), &about(sub)))
        .collect()
}

fn flags(command: &Command) -> (Vec<Candidate>, u8) {
    let about = |arg: &Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut found: Vec<Candidate> = command
        .get_opts()
        .filter(|arg| !arg.is_hide_set())
        .map(|arg| Candidate::new(&format!("--{}", arg.get_long().unwrap_or_default()), &about(arg)))
        .collect();
    found.push(Candidate::new("--help", "Print usage"));
    (found, NO_FILES)
}

fn words(words: &[&str]) -> (Vec<Candidate>, u8) {
    (words.iter().map(|word| Candidate::new(word, "")).collect(), NO_FILES)
}

fn values_of_flag(flag: &Arg) -> (Vec<Candidate>, u8) {
    match flag.get_long().unwrap_or_default() {
        "format" => words(&["table", "json"]),
        "hook" => words(&["docker-user", "docker", "forward"]),
        "type" => words(&["hash:net", "hash:ip"]),
        "from" => words(&["any"]),
        "file" => (Vec::new(), FILES),
        _ => words(&[]),
    }
}

fn values_of_argument(command: &Command, place: usize) -> (Vec<Candidate>, u8) {
    let args: Vec<&Arg> = command.get_positionals().collect();
    // The last argument of a command may repeat.
    let repeats = |arg: &&&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    match args.get(place).or_else(|| args.last().filter(repeats)).map(|arg| value_name(arg)) {
        Some("open|closed") => words(&["open", "closed"]),
        Some("FILE|-") => (Vec::new(), FILES),
        _ => words(&[]),
    }
}
