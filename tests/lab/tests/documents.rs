//! README.md and the pages in docs, typed: every `console` block is run on a real engine and its output compared.
//!
//! Lines that begin with `# ` are commands of root, what follows them is their output. IDs of containers, moments and
//! images pulled are not compared. In comments, which readers do not see:
//!
//!   `<!-- lab: COMMAND -->`        runs a command first
//!   `<!-- only 8080: friend -->`   asserts by real connections, IPv4 and IPv6, who is answered: friend, stranger, nobody
//!   `<!-- not run: WHY -->`        passes the next block over
//!
//! With `INSTA_UPDATE=always` the outputs are written into the documents instead.
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use std::fs;
use std::path::{Path, PathBuf};

use desk::{Desk, Result};
use lab::{Client, Engine, Flavour};

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn what_they_show_is_what_happens() -> Result {
    let desk = Desk::up(Engine::V28_5, Flavour::Nft, "documents")?;
    for name in ["nginx", "postgres", "node-exporter"] {
        desk.shell(&format!("docker tag {} {name}", lab::IMAGE))?;
    }
    let (mut blocks, mut wrong) = (0, Vec::new());
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page");
        let mut page = Page { desk: &desk, written: String::new(), blocks: 0, wrong: Vec::new() };
        page.play(&text)?;
        println!("{}: {} blocks", path.display(), page.blocks);
        blocks += page.blocks;
        wrong.extend(page.wrong.iter().map(|fault| format!("{}: {fault}", path.display())));
        if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
            fs::write(&path, page.written).expect("a page to write");
            wrong.retain(|fault| fault.contains(": only "));
        }
        desk.clear()?;
        desk.shell(
            "docker ps -aq | xargs -r docker rm -f; docker network prune -f; rm -f /root/*.conf; ipset destroy",
        )?;
    }
    assert!(blocks > 10, "{blocks} blocks: are they still found?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root.join("docs")).expect("docs").map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

struct Page<'a> {
    desk: &'a Desk,
    /// The page with the outputs as they are.
    written: String,
    blocks: usize,
    wrong: Vec<String>,
}

impl Page<'_> {
    fn play(&mut self, text: &str) -> Result {
        let mut lines = text.lines();
        let mut skipped = false;
        while let Some(line) = lines.next() {
            self.write(line);
            if let Some(directive) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
                skipped |= self.obey(directive)?;
            } else if line == "```console" {
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                if skipped || block.iter().any(|line| line.starts_with("$ ")) {
                    for line in block {
                        self.write(line);
                    }
                } else {
                    self.blocks += 1;
                    self.block(&block)?;
                }
                self.write("```");
                skipped = false;
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &str) {
        self.written.push_str(line);
        self.written.push('\n');
    }

    /// Whether the next block is to be passed over.
    fn obey(&mut self, directive: &str) -> Result<bool> {
        if let Some(command) = directive.strip_prefix("lab: ") {
            self.desk.shell(&format!("cd /root; {command}"))?;
        } else if let Some((port, who)) = directive.strip_prefix("only ").and_then(|rest| rest.split_once(": ")) {
            self.only(port.parse().expect("a port"), who)?;
        }
        Ok(directive.starts_with("not run: "))
    }

    fn only(&mut self, port: u16, who: &str) -> Result {
        for (client, name) in [(Client::Friend, "friend"), (Client::Stranger, "stranger")] {
            for to in [Client::Host.v4(), Client::Host.v6()] {
                let reached = self.desk.lab.tcp(client, to, port)?.reached();
                if reached != who.split(' ').any(|one| one == name) {
                    self.wrong.push(format!("only {port}: {who}: {name} to {to}: reached is {reached}"));
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &[&str]) -> Result {
        let mut lines = block.iter().peekable();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("# ") else {
                self.wrong.push(format!("{line:?} stands before any command"));
                continue;
            };
            let mut expected = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("# ")) {
                expected.push((*line).to_owned());
            }
            let output = self.desk.lab.exec(&["bash", "-c", &format!("cd /root; {{ {command}\n}} 2>&1")])?;
            let found: Vec<String> = output.stdout.lines().map(|line| line.trim_end().to_owned()).collect();
            let agree = steady(&expected) == steady(&found);
            if !agree {
                self.wrong.push(format!("# {command}\n{}\nbut it says\n{}", expected.join("\n"), found.join("\n")));
            }
            self.write(line);
            // What differs only in moments and IDs stays as it is written.
            let kept = if agree { expected } else { found };
            for line in kept {
                self.write(&line);
            }
        }
        Ok(())
    }
}

/// Output without what changes from run to run: of the table of `ls` the packets, of all lines what [`steady_line`] says.
fn steady(lines: &[String]) -> Vec<String> {
    let mut counted = None;
    let mut told = Vec::new();
    for line in lines {
        let (from, to) = counted.unwrap_or_default();
        let rest: String =
            line.chars().enumerate().filter(|(at, _)| !(from..to).contains(at)).map(|(_, c)| c).collect();
        told.push(steady_line(&rest));
        let at = |heading: &str| line.find(heading);
        counted = at("ALLOWED   DROPPED").zip(at("RULES")).or(counted);
    }
    told
}

/// A line without what changes from run to run: moments, IDs of containers, and those of rules that end at a moment.
fn steady_line(line: &str) -> String {
    let is_moment = |word: &str| word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
    let bare = |word: &str| word.trim_end_matches([';', '.', ',']).to_owned();
    let ends = line.split(' ').any(|word| is_moment(&bare(word)));
    let word = |word: &str| {
        let hex = word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match word.len() {
            12 | 64 if hex => "ID".to_owned(),
            8 if hex && ends => "ID".to_owned(),
            _ if is_moment(&bare(word)) => word.replace(&bare(word), "MOMENT"),
            _ => word.to_owned(),
        }
    };
    line.trim_end().split(' ').map(word).collect::<Vec<_>>().join(" ")
}
