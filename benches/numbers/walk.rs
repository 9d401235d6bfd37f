//! How many kernel rules the first packet of a connection is held against, read off the kernel's own counters: they are put to
//! zero, one datagram is sent, and whichever rule counted has matched. So its way through the chains can be told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Result;
use crate::layouts::{Flavour, Layout};
use crate::traffic::Traffic;
use crate::wires::{CLIENT, Wires, run};

/// A rule: whether it counted the packet, and where it sends it.
struct Rule {
    counted: bool,
    target: String,
    is_goto: bool,
}

type Chains = BTreeMap<String, Vec<Rule>>;

/// The rules of `FORWARD` in `filter` and `security` that a friend's first packet is held against.
pub(crate) fn rules(layout: Layout, wires: &Wires, flavour: Flavour) -> Result<usize> {
    let save = format!("iptables-{}-save", flavour.name());
    let set = format!("iptables-{}", flavour.name());
    let all = || wires.at_router(|| run(&[&save, "--counters"], ""));
    for table in all()?.lines().filter_map(|line| line.strip_prefix('*')) {
        wires.at_router(|| run(&[&set, "-t", table, "-Z"], ""))?;
    }
    wires.flush()?;
    if !Traffic::new(wires, layout.target())?.arrives(CLIENT, Duration::from_secs(2))? {
        return Err(format!("{}: the friend's packet does not arrive", layout.name()).into());
    }
    let text = all()?;
    let walked: usize = ["filter", "security"].iter().map(|table| walk(&chains(&text, table), "FORWARD").0).sum();
    if walked == 0 { Err(format!("{}: no rule of FORWARD counted", layout.name()).into()) } else { Ok(walked) }
}

/// The chains of one table of `iptables-save --counters`.
fn chains(text: &str, table: &str) -> Chains {
    let mut chains = Chains::new();
    let begin = text.lines().skip_while(|line| line.strip_prefix('*') != Some(table));
    for line in begin.take_while(|line| *line != "COMMIT") {
        let Some((counts, rule)) = line.split_once("] -A ") else { continue };
        let words: Vec<&str> = rule.split(' ').collect();
        let after = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
        let is_goto = after("-g").is_some();
        let target = after("-g").or_else(|| after("-j")).map_or(String::new(), ToString::to_string);
        let counted = !counts.starts_with("[0:");
        chains.entry(words[0].to_owned()).or_default().push(Rule { counted, target, is_goto });
    }
    chains
}

/// Rules seen from a chain on, and whether the packet's way ended there.
fn walk(chains: &Chains, chain: &str) -> (usize, bool) {
    let mut seen = 0;
    for rule in chains.get(chain).into_iter().flatten() {
        seen += 1;
        if !rule.counted {
            continue;
        }
        match rule.target.as_str() {
            "RETURN" => return (seen, false),
            "ACCEPT" | "DROP" | "REJECT" => return (seen, true),
            next if chains.contains_key(next) => {
                let (more, ended) = walk(chains, next);
                seen += more;
                if ended || rule.is_goto {
                    return (seen, ended);
                }
            }
            _ => {}
        }
    }
    (seen, false)
}
