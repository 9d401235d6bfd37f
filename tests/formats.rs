//! `--format` as people type it, of lists that need neither engine nor privileges.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cli_support;

use std::fs;

use cli_support::{BINARY, Ended, clean};
use tempfile::TempDir;

const POLICY: &str = r#"version = 1

[[rule]]
verdict = "deny"
target = "web"
from = "192.0.2.66"
comment = "noisy"

[[rule]]
verdict = "allow"
target = "web"
from = "any"
port = "443"
"#;

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("policy.toml"), POLICY).unwrap();
        Self(directory)
    }

    fn run(&self, words: &[&str]) -> Ended {
        let mut command = clean(BINARY);
        command.args(words).env("DOCKER_HOST", "unix:///nowhere");
        for which in ["CONFIG", "STATE", "RUN"] {
            command.env(format!("DOCKER_FIREWALL_{which}_DIR"), self.0.path());
        }
        command.output().unwrap().into()
    }

    fn says(&self, words: &[&str]) -> String {
        let ended = self.run(words);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{words:?}");
        ended.out
    }
}

#[test]
fn lists_take_templates() {
    let desk = Desk::new();
    for (format, said) in [
        ("{{.Rule}} {{.Verdict}} {{.Target}}", "1 deny web\n2 allow web\n"),
        (
            r"table {{.Rule}}\t{{upper .Verdict}}\t{{.Until}}",
            "RULE      VERDICT   UNTIL\n1         DENY\n2         ALLOW\n",
        ),
        (r#"{{if eq .Verdict "deny"}}{{.From | printf "%s!"}}{{end}}"#, "192.0.2.66!\n\n"),
        ("{{.Comment}}.", "noisy.\n.\n"),
        ("", &desk.says(&["rules"])),
        ("table", &desk.says(&["rules"])),
    ] {
        assert_eq!(desk.says(&["rules", "--format", format]), said, "{format}");
    }
    // As in Docker, a format given wins over -q; a quiet table is names.
    assert_eq!(desk.says(&["rules", "-q", "--format", "{{.Rule}}"]), "1\n2\n");
    assert_eq!(desk.says(&["rules", "-q", "--format", "table"]), desk.says(&["rules", "-q"]));
    let object: serde_json::Value =
        serde_json::from_str(desk.says(&["rules", "--format", "{{json .}}"]).lines().next().unwrap()).unwrap();
    assert_eq!(object["Target"], "web");
    assert_eq!(desk.says(&["set", "ls", "--format", r"table {{.Name}}\t{{.IPv4}}"]), "NAME      IPV4\n");
}

#[test]
fn a_template_that_is_none_exits_with_1_and_a_word_with_125() {
    let desk = Desk::new();
    for (format, code, said) in [
        ("{{.Rul}}", 1, "template error: no field Rul; did you mean Rule?"),
        ("{{.Rule", 1, "template error: unclosed action"),
        ("table {{nope}}", 1, "template error: function nope is not defined"),
        ("yaml", 125, "formats are table, json and templates such as '{{json .}}'"),
        ("html", 125, "formats are table, json and templates"),
    ] {
        let ended = desk.run(&["rules", "--format", format]);
        assert!(ended.code == code && ended.err.contains(said) && ended.out.is_empty(), "{format}: {ended:?}");
    }
}

#[test]
fn filters_are_judged_before_anybody_is_asked() {
    let desk = Desk::new();
    for (filter, said) in [
        ("exposd=world", "invalid filter 'exposd'\nDid you mean exposed?\n"),
        ("colour=red", "invalid filter 'colour'\nFilters are: container, label, network, exposed, managed\n"),
        ("exposed=everybody", "Write exposed=world or exposed=restricted or exposed=closed\n"),
    ] {
        for command in ["ls", "graph"] {
            let ended = desk.run(&[command, "--filter", filter]);
            assert!(ended.code == 1 && ended.err.ends_with(said), "{filter}: {ended:?}");
        }
    }
}
