//! `iptables-restore --noflush`: a table's lines take effect together at its COMMIT, or not at all.

use docker_firewall::net::Family;
use docker_firewall::ruleset::{Action, Chain, Counts, Dump, Line, SetKind, Table, TableDump, parse_rule, render_rule};

use super::{MemoryKernel, values};

/// The number of the line that failed, and why.
type Failure = (usize, String);

pub(super) fn restore(kernel: &mut MemoryKernel, family: Family, text: &str) -> Result<(), Failure> {
    let mut open: Option<(Table, TableDump)> = None;
    let mut number = 0;
    for line in text.lines() {
        number += 1;
        let line = line.trim_end();
        let failure = |why: String| (number, why);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match &mut open {
            None => {
                let name = line.strip_prefix('*').ok_or_else(|| failure("a line outside of a table".to_owned()))?;
                let table = Table::ALL.into_iter().find(|table| table.name() == name);
                let found = table.and_then(|table| Some((table, kernel.state.tables.get(&(family, table))?.clone())));
                open = Some(found.ok_or_else(|| failure(format!("unable to initialize table '{name}'")))?);
            }
            Some((_, dump)) if line == "COMMIT" => {
                check_loops(dump).map_err(failure)?;
                kernel.step().map_err(failure)?;
                if let Some((table, dump)) = open.take() {
                    kernel.state.tables.insert((family, table), dump);
                }
                kernel.stepped();
            }
            Some((_, dump)) => obey(dump, (&kernel.state, family), line).map_err(failure)?,
        }
    }
    if open.is_some() { Err((number, "COMMIT expected".to_owned())) } else { Ok(()) }
}

fn obey(dump: &mut TableDump, (state, family): (&Dump, Family), line: &str) -> Result<(), String> {
    if let Some(declaration) = line.strip_prefix(':') {
        return declare(dump, declaration);
    }
    let (counts, line) = match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
        Some((counts, line)) => (Counts::parse(counts).ok_or("invalid counters")?, line),
        None => (Counts::default(), line),
    };
    let (command, rest) = line.split_once(' ').ok_or("an unknown command")?;
    let (name, spec) = rest.split_once(' ').unwrap_or((rest, ""));
    match command {
        "-N" if dump.chains.contains_key(name) => return Err("Chain already exists.".to_owned()),
        "-N" => {
            dump.chains.insert(name.to_owned(), Chain::default());
            return Ok(());
        }
        "-X" => return delete_chain(dump, name),
        _ => {}
    }
    let new = match command {
        "-A" | "-I" => {
            Some(read(dump, (state, family), spec.trim_start_matches(|l: char| command == "-I" && l.is_ascii_digit()))?)
        }
        _ => None,
    };
    let chain = dump.chains.get_mut(name).ok_or("No chain/target/match by that name.")?;
    match (command, new) {
        ("-A", Some(line)) => chain.lines.push(Line { counts, ..line }),
        ("-I", Some(line)) => {
            let digits: String = spec.chars().take_while(char::is_ascii_digit).collect();
            let at = if digits.is_empty() { 1 } else { digits.parse::<usize>().map_err(|error| error.to_string())? };
            if at == 0 || at > chain.lines.len() + 1 {
                return Err("Index of insertion too big.".to_owned());
            }
            chain.lines.insert(at - 1, Line { counts, ..line });
        }
        ("-D", _) => {
            let at = match spec.parse::<usize>() {
                Ok(number) => number.checked_sub(1).filter(|at| *at < chain.lines.len()),
                Err(_) => chain.lines.iter().position(|line| same(line, spec)),
            };
            chain.lines.remove(at.ok_or("Bad rule (does a matching rule exist in that chain?).")?);
        }
        ("-F", _) => chain.lines.clear(),
        _ => return Err(format!("unknown command {command}")),
    }
    Ok(())
}

/// `NAME POLICY [n:m]`: makes a chain or empties it; a built-in one keeps its rules.
fn declare(dump: &mut TableDump, declaration: &str) -> Result<(), String> {
    let mut words = declaration.split_ascii_whitespace();
    let (Some(name), Some(policy)) = (words.next(), words.next()) else { return Err("a chain without policy".into()) };
    let chain = dump.chains.entry(name.to_owned()).or_default();
    match &mut chain.policy {
        Some(old) if policy != "-" => policy.clone_into(old),
        Some(_) => {}
        None if policy == "-" => chain.lines.clear(),
        None => return Err(format!("{name} is no built-in chain")),
    }
    Ok(())
}

fn delete_chain(dump: &mut TableDump, name: &str) -> Result<(), String> {
    let chain = dump.chains.get(name).ok_or("No chain/target/match by that name.")?;
    let called = dump.chains.values().flat_map(|chain| &chain.lines);
    let called = called.into_iter().any(|line| values(&line.text, &["-j", "-g"]).any(|target| target == name));
    if chain.policy.is_some() || !chain.lines.is_empty() || called {
        return Err(format!("CHAIN_DEL failed (Device or resource busy): chain {name}"));
    }
    dump.chains.remove(name);
    Ok(())
}

/// A rule as the kernel would print it, with everything that it names there.
fn read(dump: &TableDump, (state, family): (&Dump, Family), spec: &str) -> Result<Line, String> {
    let spec = spec.trim();
    for name in values(spec, &["--match-set"]) {
        let set = state.sets.get(name).ok_or_else(|| format!("Set {name} doesn't exist."))?;
        if !matches!(set.shape.kind, SetKind::Other(_)) && set.shape.family != family {
            return Err(format!("The protocol family of set {name} is not applicable."));
        }
    }
    let rule = parse_rule(spec);
    if let Some(Action::Jump(to) | Action::Goto(to)) = rule.as_ref().map(|rule| &rule.action)
        && dump.chains.get(to).is_none_or(|chain| chain.policy.is_some())
    {
        return Err(format!("Chain '{to}' does not exist"));
    }
    let text = rule.as_ref().map_or_else(|| spec.to_owned(), render_rule);
    Ok(Line { text, rule, counts: Counts::default() })
}

fn same(line: &Line, spec: &str) -> bool {
    line.text == spec || line.rule.is_some() && line.rule == parse_rule(spec)
}

/// The kernel refuses a table in which a chain leads back to itself.
fn check_loops(dump: &TableDump) -> Result<(), String> {
    fn visit<'a>(dump: &'a TableDump, name: &'a str, path: &mut Vec<&'a str>, done: &mut Vec<&'a str>) -> bool {
        if path.contains(&name) {
            return false;
        }
        if done.contains(&name) {
            return true;
        }
        path.push(name);
        let lines = dump.chains.get(name).into_iter().flat_map(|chain| &chain.lines);
        let fine = lines.flat_map(|line| values(&line.text, &["-j", "-g"])).all(|to| visit(dump, to, path, done));
        path.pop();
        done.push(name);
        fine
    }
    let mut done = Vec::new();
    match dump.chains.keys().find(|name| !visit(dump, name, &mut Vec::new(), &mut done)) {
        Some(name) => Err(format!("Too many levels of symbolic links: chain {name}")),
        None => Ok(()),
    }
}
