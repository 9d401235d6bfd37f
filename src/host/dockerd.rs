//! How the engine was told to write rules: its command line and its file, which its API does not show.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::doctor::{Setting, Settings};

/// More than any such file has, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Of the dockerd in this network namespace; `None` where none is seen.
pub fn settings() -> Option<Settings> {
    let own = fs::read_link("/proc/thread-self/ns/net").ok()?;
    let entries = fs::read_dir("/proc").ok()?;
    let mut processes = entries.flatten().map(|entry| entry.path());
    let process = processes.find(|process| {
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim_end() == "dockerd")
            && fs::read_link(process.join("ns/net")).is_ok_and(|namespace| namespace == own)
    })?;
    let line = fs::read(process.join("cmdline")).ok()?;
    let words: Vec<&str> = line.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    let file = word_of(&words, "config-file").map_or_else(|| PathBuf::from("/etc/docker/daemon.json"), PathBuf::from);
    Some(said(&words, &file))
}

fn said(words: &[&str], file: &Path) -> Settings {
    let text = super::files::read_limited(file, FILE_MAX).ok().flatten().unwrap_or_default();
    let written: Value = serde_json::from_str(&text).unwrap_or_default();
    // dockerd does not start when both say something.
    let switch = |name: &str| {
        let typed = words.iter().find_map(|word| match word.strip_prefix("--")?.split_once('=') {
            Some((key, value)) => {
                (key == name).then_some(!matches!(value, "false" | "0" | "f" | "F" | "FALSE" | "False"))
            }
            None => (word.strip_prefix("--") == Some(name)).then_some(true),
        });
        let typed = typed.map(|on| Setting { on, place: "dockerd's command line".to_owned() });
        typed.or_else(|| Some(Setting { on: written.get(name)?.as_bool()?, place: file.display().to_string() }))
    };
    Settings { iptables: switch("iptables"), ip6tables: switch("ip6tables") }
}

/// The value of `--NAME VALUE` or `--NAME=VALUE`.
fn word_of<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let rest = word.strip_prefix("--")?.strip_prefix(name)?;
        if rest.is_empty() { words.get(at + 1).copied() } else { rest.strip_prefix('=') }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_the_file_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("daemon.json");
        let words = ["dockerd", "--config-file", "/x", "--ip6tables=false", "--ipv6", ""];
        assert_eq!(word_of(&words, "config-file"), Some("/x"));
        assert_eq!(word_of(&["dockerd", "--config-file=/y"], "config-file"), Some("/y"));
        let found = said(&words, &file);
        assert_eq!((found.iptables, found.ip6tables.map(|setting| setting.on)), (None, Some(false)));
        fs::write(&file, r#"{"iptables": false, "ip6tables": true}"#).unwrap();
        let found = said(&["dockerd"], &file);
        assert_eq!(found.iptables, Some(Setting { on: false, place: file.display().to_string() }));
        assert_eq!(found.ip6tables.map(|setting| setting.on), Some(true));
        assert!(said(&["dockerd", "--iptables"], &file).iptables.is_some_and(|setting| setting.on));
        fs::write(&file, "no JSON").unwrap();
        assert_eq!(said(&["dockerd"], &file), Settings::default());
    }
}
