//! Everything that packets meet in this network namespace, whoever put it there.

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use serde::Deserialize;

use super::flavour::{Flavour, Kind};
use super::kernel::{HostKernel, KernelError};
use super::observe::{self, Save, joined};
use crate::doctor::OtherKind;
use crate::net::Family;
use crate::ruleset::{WholeRuleset, names, parse_whole};

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Every table of both families, in the flavour of iptables that is in use.
    pub rulesets: BTreeMap<Family, WholeRuleset>,
    /// The same as it was printed, with counters.
    pub saves: BTreeMap<Family, String>,
    /// What judges packets besides and cannot be read here, in words.
    pub unread: Vec<String>,
}

/// Reads it.
pub fn read(kernel: &mut HostKernel) -> Result<Whole, KernelError> {
    let known = kernel.capabilities().map(|known| known.flavour.clone());
    let reader: &HostKernel = kernel;
    let (flavour, v4, v6, rest) = thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let routing = Family::ALL.into_iter().filter_map(|family| policy_routing(reader, family));
            native(reader).into_iter().chain(routing).collect::<Vec<_>>()
        });
        let (flavour, v4, v6) = observe::save_both(reader, known.as_ref())?;
        let v6 = scope.spawn({
            let flavour = flavour.clone();
            move || ruleset(reader, &flavour, Family::V6, v6)
        });
        let v4 = ruleset(reader, &flavour, Family::V4, v4);
        let v6 = joined(v6);
        let mut rest = other_flavour(reader, flavour.kind);
        rest.extend(joined(beside));
        Ok::<_, KernelError>((flavour, v4?, v6?, rest))
    })?;
    observe::settle(kernel, flavour);
    let mut whole = Whole::default();
    for (family, ruleset) in [(Family::V4, v4), (Family::V6, v6)] {
        let Some((ruleset, save)) = ruleset else { continue };
        whole.unread.extend(ruleset.unreadable.iter().map(|said| format!("a table of native nft rules ({said})")));
        whole.rulesets.insert(family, ruleset);
        whole.saves.insert(family, save);
    }
    whole.unread.extend(rest);
    Ok(whole)
}

/// One family's; `None` where the kernel has none.
fn ruleset(
    kernel: &HostKernel,
    flavour: &Flavour,
    family: Family,
    save: Save,
) -> Result<Option<(WholeRuleset, String)>, KernelError> {
    let save = match save {
        Ok(save) => save,
        Err(error) if observe::is_absence(kernel, family, &error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let ruleset = parse_whole(&save)
        .map_err(|source| KernelError::Unparsable { tool: flavour.program(family, "save"), source })?;
    Ok(Some((ruleset, save)))
}

/// Rules of policy routing besides the kernel's own three: they look into other routing tables than the main one.
fn policy_routing(kernel: &HostKernel, family: Family) -> Option<String> {
    let flag = match family {
        Family::V4 => "-4",
        Family::V6 => "-6",
    };
    match kernel.call("ip", &[flag, "rule"], "") {
        Ok(ran) => ran.stdout.lines().find(|line| !is_usual(line)).map(|line| {
            let rule: Vec<&str> = line.split_whitespace().collect();
            format!("policy routing (ip {flag} rule: {})", rule.join(" "))
        }),
        // A kernel without IPv6 has none.
        Err(KernelError::Failed { .. }) if family == Family::V6 => None,
        Err(_) => Some(format!("policy routing, maybe, which `ip {flag} rule` would show,")),
    }
}

/// `32766: from all lookup main`.
fn is_usual(line: &str) -> bool {
    let rule = line.split_once(':').map_or(line, |(_, rule)| rule).trim();
    ["local", "main", "default"].iter().any(|table| rule.strip_prefix("from all lookup ") == Some(table))
}

/// The other kind of iptables, if it holds anything: packets meet both.
fn other_flavour(kernel: &HostKernel, kind: Kind) -> Vec<String> {
    let mut found = Vec::new();
    for (_, name, save) in other_saves(kernel, kind) {
        match save {
            Ok(save) if bars(&save) => found.push(format!("what {name}-save shows")),
            Err(_) if kind.other() == Kind::Legacy => {
                found.push(format!("the tables of {name}, which is not installed,"));
            }
            _ => {}
        }
    }
    found
}

/// What the other kind's `iptables-save` prints, by family and program.
fn other_saves(kernel: &HostKernel, kind: Kind) -> Vec<(Family, String, Result<String, KernelError>)> {
    let other = kind.other();
    let mut found = Vec::new();
    for (family, stem, tables) in
        [(Family::V4, "iptables", "ip_tables_names"), (Family::V6, "ip6tables", "ip6_tables_names")]
    {
        // The kernel lists the legacy tables that somebody has used; asking the tool would make more of them.
        let used = fs::read_to_string(format!("/proc/thread-self/net/{tables}")).unwrap_or_default();
        if other == Kind::Legacy && used.trim().is_empty() {
            continue;
        }
        let name = format!("{stem}-{}", other.name());
        let save = kernel.call(&format!("{name}-save"), &[], "").map(|ran| ran.stdout);
        found.push((family, name, save));
    }
    found
}

/// The chains of the other kind that hold rules, or drop what none of them knows; `None` where none does.
pub fn other_kind(kernel: &HostKernel) -> Option<OtherKind> {
    let kind = kernel.capabilities()?.flavour.kind;
    let saves = other_saves(kernel, kind).into_iter().filter_map(|(family, _, save)| Some((family, save.ok()?)));
    let chains: Vec<_> = saves
        .flat_map(|(family, save)| busy_chains(&save).into_iter().map(move |(chain, rules)| (family, chain, rules)))
        .collect();
    (!chains.is_empty()).then(|| OtherKind { name: kind.other().to_string(), chains })
}

/// `filter/INPUT` and its number of rules, of those that hold any or drop.
fn busy_chains(save: &str) -> Vec<(String, usize)> {
    let mut table = "";
    let mut chains: Vec<(String, usize)> = Vec::new();
    for line in save.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split_once(" DROP")) {
            chains.push((format!("{table}/{}", chain.0), 0));
        } else if let Some(chain) = line.strip_prefix("-A ").and_then(|rest| rest.split(' ').next()) {
            let name = format!("{table}/{chain}");
            match chains.iter_mut().find(|(known, _)| *known == name) {
                Some((_, rules)) => *rules += 1,
                None => chains.push((name, 1)),
            }
        }
    }
    chains
}

/// Whether a save holds more than open chains without a rule.
fn bars(save: &str) -> bool {
    save.lines().any(|line| line.starts_with('-') || line.starts_with(':') && line.contains(" DROP"))
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    chain: Option<BaseChain>,
}

#[derive(Deserialize)]
struct BaseChain {
    family: String,
    table: String,
    hook: Option<String>,
}

/// Tables of `nf_tables` that hang in the packets' way and are nobody's iptables. Without the program `nft` nobody can look,
/// and hardly anybody can have made one.
fn native(kernel: &HostKernel) -> Vec<String> {
    let Ok(ran) = kernel.call("nft", &["--json", "list", "chains"], "") else { return Vec::new() };
    let Ok(listing) = serde_json::from_str::<Listing>(&ran.stdout) else {
        return vec!["an nftables ruleset that nft cannot list".to_owned()];
    };
    let hooked = listing.nftables.into_iter().filter_map(|entry| entry.chain).filter(|chain| chain.hook.is_some());
    let mut found: Vec<String> = hooked
        .filter(|chain| !is_iptables(chain) && !is_third_line(chain) && chain.family != "arp")
        .map(|chain| format!("the nftables table {} {}", chain.family, chain.table))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Tables that iptables-nft makes. With legacy in use they are the other flavour's, which is looked at as such.
fn is_iptables(chain: &BaseChain) -> bool {
    matches!(chain.family.as_str(), "ip" | "ip6")
        && matches!(chain.table.as_str(), "raw" | "mangle" | "nat" | "filter" | "security")
}

/// The agent's own: it lets through whatever the backstop let through, which is read.
fn is_third_line(chain: &BaseChain) -> bool {
    chain.family == "inet" && chain.table == names::THIRD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_kernels_own_routing_rules() {
        assert!(is_usual("0:\tfrom all lookup local "));
        assert!(is_usual("32766:\tfrom all lookup main"));
        assert!(!is_usual("5270:\tfrom all lookup 52"));
        assert!(!is_usual("100:\tfrom 203.0.113.66 lookup main"));
        assert!(!is_usual("100:\tfrom all blackhole"));
    }

    #[test]
    fn counts_the_rules_of_chains() {
        let save = "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n:DOCKER - [0:0]\n-A INPUT -j ACCEPT\n\
                    -A DOCKER -j RETURN\n-A INPUT -j LOG\nCOMMIT\n";
        assert_eq!(busy_chains(save), [("filter/INPUT".to_owned(), 2), ("filter/DOCKER".to_owned(), 1)]);
    }

    #[test]
    fn tells_empty_tables_from_others() {
        assert!(!bars("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"));
        assert!(bars("*filter\n:INPUT DROP [0:0]\nCOMMIT\n"));
        assert!(bars("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n"));
    }
}
