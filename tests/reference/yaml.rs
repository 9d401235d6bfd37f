//! The reference as docs.docker.com reads it (docker/cli-docs-tool `clidocstool_yaml.go`).

use std::fmt::Write as _;

use docker_firewall::cli::reference::Reference;

/// The page of one command.
pub(crate) fn page(reference: &Reference) -> String {
    let command = reference.path.join(" ");
    let parent = &reference.path[..reference.path.len() - 1];
    let mut text = format!("command: {command}\n");
    if !reference.aliases.is_empty() {
        let names = std::iter::once(command.clone()).chain(reference.aliases.clone()).collect::<Vec<_>>();
        let _ = writeln!(text, "aliases: {}", quoted(&names.join(", ")));
    }
    let usage = if reference.commands.is_empty() { reference.usage.clone() } else { command.clone() };
    let _ = writeln!(text, "short: {}", quoted(&reference.short));
    field(&mut text, "long", &reference.long);
    let _ = writeln!(text, "usage: {}", quoted(&usage));
    let _ = writeln!(text, "pname: {}", parent.join(" "));
    let _ = writeln!(text, "plink: {}.yaml", parent.join("_"));
    if !reference.commands.is_empty() {
        let names = || reference.commands.iter().map(|(name, _)| name);
        text.push_str("cname:\n");
        names().for_each(|name| _ = writeln!(text, "    - {command} {name}"));
        text.push_str("clink:\n");
        names().for_each(|name| _ = writeln!(text, "    - {}_{name}.yaml", reference.path.join("_")));
    }
    if !reference.flags.is_empty() {
        text.push_str("options:\n");
    }
    for flag in &reference.flags {
        let _ = writeln!(text, "    - option: {}", flag.long);
        if let Some(letter) = flag.short {
            let _ = writeln!(text, "      shorthand: {letter}");
        }
        let _ = writeln!(text, "      value_type: {}", flag.kind);
        if flag.kind == "bool" {
            text.push_str("      default_value: \"false\"\n");
        }
        let _ = writeln!(text, "      description: {}", quoted(&flag.help));
        for known in ["deprecated", "hidden", "experimental", "experimentalcli", "kubernetes", "swarm"] {
            let _ = writeln!(text, "      {known}: false");
        }
    }
    if !reference.examples.is_empty() {
        let lines: Vec<String> = reference.examples.iter().map(|line| format!("# {line}")).collect();
        field(&mut text, "examples", &format!("```console\n{}\n```", lines.join("\n")));
    }
    for known in ["deprecated", "hidden", "experimental", "experimentalcli", "kubernetes", "swarm"] {
        let _ = writeln!(text, "{known}: false");
    }
    text
}

/// A text of several lines as a block.
fn field(text: &mut String, name: &str, value: &str) {
    if !value.contains('\n') {
        let _ = writeln!(text, "{name}: {}", quoted(value));
        return;
    }
    let _ = writeln!(text, "{name}: |-");
    for line in value.lines() {
        let _ = writeln!(text, "{}", format!("    {line}").trim_end());
    }
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
