//! Completion, in the two dialects that Docker's shell scripts speak.
//!
//! cobra's scripts make Docker call `__complete firewall WORDS`, and ours (`docker-firewall completion`) call
//! `docker-firewall __complete WORDS`; the older bash script calls the plugin itself with `__completeNoDesc WORDS`,
//! Docker's global flags' values sometimes in front and our name not always there. The last word is the one being typed.
//! The answer is a candidate a line, then `:` and cobra's directive.
//!
//! `place` finds out what is being typed, `answers` which words fit there, `names` asks files and engine for them.
//! Nothing here is ever an error: what cannot be known in time is not offered.

use std::ffi::OsString;

use clap::Command;

use super::argv::{self, Called};
use super::environment::Env;
use super::output::Output;
use super::parse::find;
use super::text::{printable, shorten};
use names::Names;
use place::{Place, Slot};

mod answers;
mod names;
mod place;
mod script;

pub(super) use script::script;

/// cobra's `ShellCompDirectiveDefault`: the shell offers file names.
const FILES: u8 = 0;
/// cobra's `ShellCompDirectiveNoSpace`: the word goes on.
const NO_SPACE: u8 = 2;
/// cobra's `ShellCompDirectiveNoFileComp`.
const NO_FILES: u8 = 4;
/// cobra's `ShellCompDirectiveKeepOrder`.
const KEEP_ORDER: u8 = 32;

/// More words than this no shell shows.
const MOST: usize = 2000;
/// Longest description.
const ABOUT: usize = 60;

/// A word that fits, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    word: String,
    about: String,
}

impl Candidate {
    fn new(word: impl Into<String>, about: impl Into<String>) -> Self {
        Self { word: word.into(), about: about.into() }
    }

    /// Whether a shell takes the word as it stands. The older bash script hands all words to `compgen -W`, which runs
    /// what is in `$(...)`, and labels come from whoever made the image.
    fn is_plain(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@=,+%-".contains(c);
        !self.word.is_empty() && self.word.chars().all(plain)
    }
}

/// What fits at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answer {
    candidates: Vec<Candidate>,
    directive: u8,
}

impl Answer {
    /// Words in alphabetical order.
    fn of(candidates: impl IntoIterator<Item = Candidate>) -> Self {
        let mut candidates: Vec<Candidate> = candidates.into_iter().collect();
        candidates.sort_by(|one, other| one.word.cmp(&other.word));
        candidates.dedup_by(|one, other| one.word == other.word);
        Self { candidates, directive: NO_FILES }
    }

    /// Words in the order given.
    fn in_order(candidates: impl IntoIterator<Item = Candidate>) -> Self {
        Self { candidates: candidates.into_iter().collect(), directive: NO_FILES | KEEP_ORDER }
    }

    /// Whatever files the shell finds.
    fn files() -> Self {
        Self { candidates: Vec::new(), directive: FILES }
    }

    /// Nothing, not even files.
    fn nothing() -> Self {
        Self { candidates: Vec::new(), directive: NO_FILES }
    }

    /// Those that begin with `typed` and that no shell misreads. A word that ends in `:` or `=` goes on.
    fn narrowed(mut self, typed: &str) -> Self {
        self.candidates.retain(|candidate| candidate.word.starts_with(typed) && candidate.is_plain());
        self.candidates.truncate(MOST);
        if !self.candidates.is_empty() && self.candidates.iter().all(|one| one.word.ends_with([':', '='])) {
            self.directive |= NO_SPACE;
        }
        self
    }
}

/// Answers a request; `verb` is the first argument, `words` what follows.
pub(super) fn answer(tree: &Command, called: &Called, verb: &str, words: &[String], env: &Env, output: &mut Output) {
    let (before, typed) = words.split_last().map_or((&[][..], ""), |(last, before)| (before, last.as_str()));
    let os_words: Vec<OsString> = before.iter().map(OsString::from).collect();
    let split = argv::split(called, &os_words).unwrap_or_default();
    let first_is_ours = split.ours.first().is_some_and(|word| find(tree, word).is_some());
    let before: &[String] = match before.iter().position(|word| *word == called.plugin) {
        Some(at) if !first_is_ours => &before[at + 1..],
        _ => &split.ours,
    };
    let joined = rejoined(before, typed);
    let (before, typed, cut) = match &joined {
        Some((before, typed, cut)) if verb == "__completeNoDesc" => (before.as_slice(), typed.as_str(), *cut),
        _ => (before, typed, 0),
    };
    let breaks = breaks(verb, env);
    let place = Place::find(tree, before, typed);
    let names = Names::new(env, &split.globals);
    // Not to be completed rather than wrongly.
    let lost = cut == 0 && place.typed.contains(breaks) && !matches!(place.slot, Slot::Command | Slot::Flag);
    let answer = if lost { Answer::nothing() } else { answers::at(&place, &names, breaks.contains(&':')) };
    let answer = answer.narrowed(place.typed);
    let off = |name| matches!(env.text(name), Some("0" | "f" | "F" | "false" | "FALSE" | "False"));
    let describe =
        verb == "__complete" && !off("DOCKER_COMPLETION_DESCRIPTIONS") && !off("COBRA_COMPLETION_DESCRIPTIONS");
    for Candidate { word, about } in &answer.candidates {
        let word = word.get(cut..).unwrap_or_default();
        let about = about.lines().next().unwrap_or_default().trim();
        if describe && !about.is_empty() {
            output.line(&format!("{word}\t{}", shorten(&printable(about), ABOUT)));
        } else {
            output.line(word);
        }
    }
    output.line(&format!(":{}", answer.directive));
}

/// Characters after which the script that asks puts our words into the wrong place. bash replaces what stands behind the
/// last `:` or `=`; cobra's script knows of the first, the older one of none, and ours of both.
fn breaks(verb: &str, env: &Env) -> &'static [char] {
    match verb {
        "__completeNoDesc" => &[':'],
        _ if env.get(argv::ORIGINAL_COMMAND).is_some() => &['='],
        _ => &[],
    }
}

/// bash parts words at `=`, and the older script leaves it at that: what `label:tier=fr` was, typed or before it. Also
/// how many bytes of the typed word are not to be printed again.
fn rejoined(before: &[String], typed: &str) -> Option<(Vec<String>, String, usize)> {
    let (at, rest) = match before {
        [.., _, equals] if equals == "=" => (before.len() - 2, typed),
        [.., _] if typed == "=" => (before.len() - 1, ""),
        _ => return None,
    };
    let head = format!("{}=", before[at]);
    // The name of a flag is no part of its value.
    let cut = if head.starts_with("--") { 0 } else { head.len() };
    Some((before[..at].to_vec(), head + rest, cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_run_are_never_offered() {
        for word in ["label:x=$(reboot)", "label:x=`id`", "a b", "a;b", "a\tb", "'", "*", "a\u{202e}b", ""] {
            assert!(!Candidate::new(word, "").is_plain(), "{word:?} was offered");
        }
        assert!(Candidate::new("label:tier=front", "").is_plain());
    }

    #[test]
    fn joins_what_bash_parted() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (before, typed, cut) = rejoined(&words("allow label:tier ="), "fr").unwrap();
        assert_eq!((before, typed.as_str(), cut), (words("allow"), "label:tier=fr", 11));
        let (before, typed, cut) = rejoined(&words("ls --format"), "=").unwrap();
        assert_eq!((before, typed.as_str(), cut), (words("ls"), "--format=", 0));
        assert_eq!(rejoined(&words("ls web"), "x"), None);
    }
}
