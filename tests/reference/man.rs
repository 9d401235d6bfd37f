//! Man pages in the shape of Docker's.

use std::fmt::Write as _;

use docker_firewall::cli::reference::Reference;

/// The page of one command.
pub(crate) fn page(reference: &Reference, all: &[Reference]) -> String {
    let name = reference.path.join("-");
    let version = env!("CARGO_PKG_VERSION");
    let mut text =
        format!(".TH \"{}\" \"1\" \"\" \"docker-firewall {version}\" \"Docker User Manuals\"\n", name.to_uppercase());
    section(&mut text, "NAME");
    let _ = writeln!(text, "{} \\- {}", escape(&name), escape(&reference.short));
    section(&mut text, "SYNOPSIS");
    let _ = writeln!(text, ".B {}", escape(&reference.path.join(" ")));
    let rest = reference.usage.strip_prefix(&reference.path.join(" ")).unwrap().trim();
    let rest = if reference.commands.is_empty() { rest } else { "COMMAND" };
    let _ = writeln!(text, "{}", escape(rest));
    section(&mut text, "DESCRIPTION");
    paragraphs(&mut text, &reference.long);
    if !reference.commands.is_empty() {
        section(&mut text, "COMMANDS");
        for (command, short) in &reference.commands {
            let _ = writeln!(text, ".TP\n.BR {}-{} (1)\n{}", escape(&name), escape(command), escape(short));
        }
    }
    if !reference.flags.is_empty() {
        section(&mut text, "OPTIONS");
        for flag in &reference.flags {
            let short = flag.short.map_or_else(String::new, |letter| format!("\\-{letter}, "));
            let kind = if flag.kind == "bool" { String::new() } else { format!(" \\fI{}\\fR", escape(&flag.kind)) };
            let _ = writeln!(text, ".TP\n\\fB{short}\\-\\-{}\\fR{kind}", escape(&flag.long));
            let _ = writeln!(text, "{}", flag.help.lines().map(escape).collect::<Vec<_>>().join("\n.br\n"));
        }
    }
    if !reference.examples.is_empty() {
        section(&mut text, "EXAMPLES");
        let lines: Vec<String> = reference.examples.iter().map(|line| escape(line)).collect();
        let _ = writeln!(text, ".nf\n{}\n.fi", lines.join("\n"));
    }
    section(&mut text, "SEE ALSO");
    let parent = &reference.path[..reference.path.len() - 1];
    let related = all.iter().filter(|other| {
        other.path == parent
            || (other.path.len() == reference.path.len() + 1 && other.path.starts_with(&reference.path))
    });
    let mut related: Vec<String> =
        related.map(|other| format!("\\fB{}\\fR(1)", escape(&other.path.join("-")))).collect();
    if reference.path.len() == 2 {
        related.insert(0, "\\fBdocker\\fR(1)".to_owned());
        related.push("\\fBiptables\\fR(8)".to_owned());
        related.push("\\fBipset\\fR(8)".to_owned());
    }
    let _ = writeln!(text, "{}", related.join(",\n"));
    text
}

fn section(text: &mut String, title: &str) {
    let _ = writeln!(text, ".SH {title}");
}

/// Paragraphs flow, except where the author aligned columns.
fn paragraphs(text: &mut String, long: &str) {
    for (index, paragraph) in long.split("\n\n").enumerate() {
        if index > 0 {
            text.push_str(".PP\n");
        }
        let lines: Vec<String> = paragraph.lines().map(escape).collect();
        if paragraph.lines().any(|line| line.trim().contains("  ")) {
            let _ = writeln!(text, ".nf\n{}\n.fi", lines.join("\n"));
        } else {
            let _ = writeln!(text, "{}", lines.join("\n"));
        }
    }
}

/// Text that troff prints as it stands.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}
