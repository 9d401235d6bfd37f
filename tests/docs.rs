//! What the documents say exists: files, commands, flags.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cli_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cli_support::{BINARY, Ended, ORIGINAL, clean, plugin};

const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Those and the pages in docs, without what is generated.
fn documents() -> Vec<String> {
    let mut documents: Vec<String> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()))
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "md"))
        .collect();
    documents.sort();
    DOCUMENTS.iter().map(ToString::to_string).chain(documents).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The lines within fences, or those outside.
fn lines(text: &str, fenced: bool) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside == fenced {
            found.push(line);
        }
    }
    found
}

/// What stands between backticks outside the fences.
fn code(text: &str) -> Vec<String> {
    let prose = lines(text, false).join("\n");
    let spans = prose.split('`').skip(1).step_by(2);
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The targets of Markdown links to our own files.
fn links(text: &str) -> Vec<String> {
    let prose = lines(text, false).join("\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}

/// Words as a shell would part them, of lines without blanks in quotes.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().map(|word| word.trim_matches('\'')).collect()
}

/// Runs a command as far as it goes with a policy that nobody can read and an engine that is not there: what is wrong
/// with its words is said before, and nothing is touched after.
fn parsed(arguments: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("policy.toml"), "no policy").unwrap();
    let mut command = clean(BINARY);
    command.arg("firewall").args(words(arguments)).env(ORIGINAL, "docker").env("DOCKER_HOST", "unix:///nowhere");
    for which in ["CONFIG", "STATE", "RUN"] {
        command.env(format!("DOCKER_FIREWALL_{which}_DIR"), directory.path());
    }
    command.current_dir(directory.path()).output().unwrap().into()
}

/// The commands that a page of help lists.
fn listed(page: &str) -> BTreeSet<String> {
    let indented = page.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    indented.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn files_exist() {
    let top: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "target")
        .collect();
    let mut missing = Vec::new();
    for document in &documents() {
        let text = text(document);
        let named = code(&text).into_iter().filter_map(|span| {
            let path = span.split(' ').next().unwrap().to_owned();
            let ours = match path.split_once('/') {
                Some((first, _)) => top.contains(first),
                None => [".md", ".rs", ".sh"].iter().any(|ending| path.ends_with(ending)),
            };
            ours.then_some(path)
        });
        let beside = Path::new(document).parent().unwrap().to_owned();
        let links = links(&text).into_iter().map(|link| beside.join(link).display().to_string());
        let paths = named.chain(links);
        missing.extend(paths.filter(|path| !root().join(path).exists()).map(|path| format!("{document}: {path}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn commands_in_blocks_are_understood() {
    let text =
        documents().iter().filter(|name| !name.ends_with("CHANGELOG.md")).map(|name| text(name)).collect::<String>();
    let mut count = 0;
    for line in lines(&text, true) {
        let line = line.trim_start_matches(['#', '$', ' ']).trim_start_matches("sudo ");
        let Some(arguments) = line.strip_prefix("docker firewall ") else { continue };
        let arguments = arguments.split(" | ").next().unwrap();
        // It works without a policy, and on the kernel.
        assert!(!arguments.starts_with("reset") && !arguments.starts_with("service"), "{line}");
        // It would go on for ever.
        let ended =
            if arguments.starts_with("top") { parsed(&format!("{arguments} --no-stream")) } else { parsed(arguments) };
        let refused = ended.code == 125 || ended.err.contains("Usage:");
        assert!(!refused, "{line}\n{}", ended.err);
        count += 1;
    }
    assert!(count >= 40, "{count} commands: are they still found?");
}

#[test]
fn commands_in_sentences_exist() {
    for document in &documents() {
        for span in code(&text(document)) {
            let Some(arguments) = span.strip_prefix("docker firewall") else { continue };
            let ended = plugin(&format!("firewall {} --help", words(arguments).join(" ")));
            assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{document}: {span}");
            let first = words(arguments).first().map_or_else(String::new, |word| format!(" {word}"));
            let usage = format!("Usage:  docker firewall{first}");
            assert!(ended.out.starts_with(&usage), "{document}: {span}\n{}", ended.out);
        }
    }
}

#[test]
fn the_table_has_all_commands() {
    let text = text("README.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `docker firewall ")).collect();
    let named: BTreeSet<String> = rows
        .iter()
        .map(|row| row.trim_start_matches("| `docker firewall ").split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(named, listed(&plugin("firewall --help").out));

    let set = rows.iter().find(|row| row.starts_with("| `docker firewall set`")).unwrap();
    let named: BTreeSet<String> = code(set).into_iter().skip(1).collect();
    assert_eq!(named, listed(&plugin("firewall set --help").out));
}

/// The names of the checks, as the code gives them to `Check`.
fn checks() -> BTreeSet<String> {
    let mut files = vec![root().join("src/doctor.rs"), root().join("src/cli/commands/doctor.rs")];
    files.extend(fs::read_dir(root().join("src/doctor")).unwrap().map(|entry| entry.unwrap().path()));
    let mut names = BTreeSet::new();
    for file in files {
        let text: String = fs::read_to_string(&file).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        for constructor in ["Check::good(", "Check::warning(", "Check::unknown(", "Check::not_safe("] {
            for (_, rest) in text.match_indices(constructor).map(|(at, word)| text.split_at(at + word.len())) {
                // A name that is not written there is written where it comes from.
                names.extend(
                    rest.trim_start().strip_prefix('"').and_then(|rest| Some(rest.split_once('"')?.0.to_owned())),
                );
            }
        }
    }
    names
}

#[test]
fn the_page_of_the_doctor_has_all_checks() {
    let text = text("docs/doctor.md");
    let table = text.split("## The checks").nth(1).unwrap();
    let named: BTreeSet<String> = lines(table, false)
        .iter()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(named, checks());
    assert!(named.len() > 20, "{named:?}: are they still found?");
}
