//! The reference in Markdown, as docker/cli-docs-tool writes it.

use std::fmt::Write as _;

use docker_firewall::cli::reference::Reference;

/// The page of one command.
pub(crate) fn page(reference: &Reference) -> String {
    let mut text = format!("# {}\n\n<!---MARKER_GEN_START-->\n{}\n", reference.path.join(" "), cell(&reference.short));
    if !reference.aliases.is_empty() {
        let names = std::iter::once(reference.path.join(" ")).chain(reference.aliases.clone());
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let _ = write!(text, "\n### Aliases\n\n{}\n", names.join(", "));
    }
    if !reference.commands.is_empty() {
        let rows = reference.commands.iter().map(|(name, short)| {
            let page = format!("{}_{name}.md", reference.path[1..].join("_"));
            vec![format!("[`{name}`]({page})"), cell(short)]
        });
        text.push_str("\n### Subcommands\n\n");
        table(&mut text, &["Name", "Description"], rows);
    }
    if !reference.flags.is_empty() {
        let rows = reference.flags.iter().map(|flag| {
            let short = flag.short.map_or_else(String::new, |letter| format!("`-{letter}`, "));
            vec![format!("{short}`--{}`", flag.long), format!("`{}`", flag.kind), String::new(), cell(&flag.help)]
        });
        text.push_str("\n### Options\n\n");
        table(&mut text, &["Name", "Type", "Default", "Description"], rows);
    }
    text.push_str("\n\n<!---MARKER_GEN_END-->\n");
    if reference.commands.is_empty() {
        let _ = write!(text, "\n## Usage\n\n```text\n{}\n```\n", reference.usage);
    }
    if reference.long != reference.short {
        text.push_str("\n## Description\n");
        for paragraph in reference.long.split("\n\n") {
            if paragraph.lines().any(|line| line.trim().contains("  ")) {
                let _ = write!(text, "\n```text\n{paragraph}\n```\n");
            } else {
                let _ = write!(text, "\n{}\n", prose(paragraph));
            }
        }
    }
    if !reference.examples.is_empty() {
        let _ = write!(text, "\n## Examples\n\n```console\n");
        for line in &reference.examples {
            let _ = writeln!(text, "# {line}");
        }
        text.push_str("```\n");
    }
    text
}

fn table(text: &mut String, titles: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(text, "| {} |", titles.join(" | "));
    let _ = writeln!(text, "|{}", ":---|".repeat(titles.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

/// One line that parts no columns.
fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|").replace('\n', "<br>")
}

/// `'*'` and `<` are no marks.
fn prose(text: &str) -> String {
    text.replace('*', "\\*").replace('<', "&lt;")
}
