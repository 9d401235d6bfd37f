//! `ipset restore`, one line at a time.

use docker_firewall::net::Family;
use docker_firewall::ruleset::{Dump, IpSet, SetEntry, SetKind, parse_ipset_save, parse_set_entry};

use super::values;

/// Obeys one line.
pub(super) fn obey(state: &mut Dump, line: &str) -> Result<(), String> {
    let (line, exist) = without_exist(line);
    let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let (name, spec) = rest.split_once(' ').unwrap_or((rest, ""));
    match command {
        "create" | "-N" => create(state, name, rest, exist),
        "add" | "-A" => add(set(state, name)?, spec, exist),
        "del" | "-D" => {
            let set = set(state, name)?;
            let (entry, _) = parse_set_entry(&set.shape, spec);
            match set.members.remove(&entry) {
                None if !exist => Err("Element cannot be deleted from the set: it's not added".to_owned()),
                _ => Ok(()),
            }
        }
        "flush" | "-F" => {
            if name.is_empty() {
                state.sets.values_mut().for_each(|set| set.members.clear());
            } else {
                set(state, name)?.members.clear();
            }
            Ok(())
        }
        "destroy" | "-X" => destroy(state, name),
        "swap" | "-W" => swap(state, name, spec),
        "rename" | "-E" => rename(state, name, spec),
        _ => Err(format!("No command specified: unknown argument {command}")),
    }
}

/// `-exist` may stand at the end, before the command or behind it.
fn without_exist(line: &str) -> (String, bool) {
    let is_exist = |word: &str| matches!(word, "-exist" | "-!");
    if let Some((start, last)) = line.rsplit_once(' ')
        && is_exist(last)
    {
        return (start.trim_end().to_owned(), true);
    }
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(first), Some(second), Some(rest)) if is_exist(first) => (format!("{second} {rest}"), true),
        (Some(first), Some(second), Some(rest)) if is_exist(second) => (format!("{first} {rest}"), true),
        _ => (line.to_owned(), false),
    }
}

fn set<'a>(state: &'a mut Dump, name: &str) -> Result<&'a mut IpSet, String> {
    state.sets.get_mut(name).ok_or_else(|| "The set with the given name does not exist".to_owned())
}

fn create(state: &mut Dump, name: &str, rest: &str, exist: bool) -> Result<(), String> {
    if name.len() > 31 {
        return Err("Syntax error: setname is longer than 31 characters".to_owned());
    }
    let made = parse_ipset_save(&format!("create {rest}\n")).map_err(|error| error.to_string())?;
    let made = made.into_values().next().ok_or("Missing mandatory argument")?;
    if let Some(old) = state.sets.get(name) {
        // The kernel lets -exist pass only over a set made with the same options; the hash size is free.
        let mut like = made.shape.clone();
        like.hashsize = old.shape.hashsize;
        if exist && like == old.shape {
            return Ok(());
        }
        return Err("Set cannot be created: set with the same name already exists".to_owned());
    }
    state.sets.insert(name.to_owned(), made);
    Ok(())
}

fn add(set: &mut IpSet, spec: &str, exist: bool) -> Result<(), String> {
    let (entry, mut member) = parse_set_entry(&set.shape, spec);
    let typed = !matches!(set.shape.kind, SetKind::Other(_));
    if typed && matches!(entry, SetEntry::Other(_)) {
        return Err(format!("Syntax error: cannot parse {spec}"));
    }
    if member.timeout.is_some() && set.shape.timeout.is_none() {
        return Err("Timeout cannot be used: set was created without timeout support".to_owned());
    }
    if member.comment.is_some() && !set.shape.comment {
        return Err("Comment cannot be used: set was created without comment support".to_owned());
    }
    if member.nomatch && matches!(set.shape.kind, SetKind::Ip | SetKind::IpPort) {
        return Err("Unknown argument: `nomatch'".to_owned());
    }
    check_block(&set.shape.kind, &entry)?;
    // A set with timeouts prints one for every member, its default where none was given.
    member.timeout = member.timeout.or(set.shape.timeout);
    member.comment = member.comment.filter(|comment| !comment.is_empty());
    let known = set.members.contains_key(&entry);
    if known && !exist {
        return Err("Element cannot be added to the set: it's already added".to_owned());
    }
    if !known && set.members.len() >= usize::try_from(set.shape.maxelem).unwrap_or(usize::MAX) {
        return Err("Hash is full, cannot add more elements".to_owned());
    }
    set.members.insert(entry, member);
    Ok(())
}

/// Only `hash:net,iface` takes a block of everything; `hash:ip` takes addresses (the tool would spell a block out).
fn check_block(kind: &SetKind, entry: &SetEntry) -> Result<(), String> {
    let (SetEntry::Net(net) | SetEntry::NetPort(net, ..) | SetEntry::IpPortNet(.., net)) = entry else { return Ok(()) };
    if net.prefix_len() == 0 {
        return Err("The value of the CIDR parameter of the IP address is invalid".to_owned());
    }
    if *kind == SetKind::Ip && net.prefix_len() != Family::of(&net.addr()).bits() {
        return Err("this kernel takes only single addresses in hash:ip".to_owned());
    }
    Ok(())
}

fn referenced(state: &Dump, name: &str) -> bool {
    let chains = state.tables.values().flat_map(|table| table.chains.values());
    chains.flat_map(|chain| &chain.lines).any(|line| values(&line.text, &["--match-set"]).any(|set| set == name))
}

fn destroy(state: &mut Dump, name: &str) -> Result<(), String> {
    let names: Vec<String> = if name.is_empty() { state.sets.keys().cloned().collect() } else { vec![name.to_owned()] };
    for name in &names {
        if !state.sets.contains_key(name) {
            return Err("The set with the given name does not exist".to_owned());
        }
        if referenced(state, name) {
            return Err("Set cannot be destroyed: it is in use by a kernel component".to_owned());
        }
    }
    state.sets.retain(|name, _| !names.contains(name));
    Ok(())
}

/// Rules follow the name: after a swap they see the other set's members.
fn swap(state: &mut Dump, name: &str, other: &str) -> Result<(), String> {
    let missing = |which: &str| format!("Sets cannot be swapped: the {which} set does not exist");
    let first = state.sets.get(name).cloned().ok_or_else(|| missing("first"))?;
    let second = state.sets.get(other).cloned().ok_or_else(|| missing("second"))?;
    if first.shape.kind.name() != second.shape.kind.name() || first.shape.family != second.shape.family {
        return Err("The sets cannot be swapped: their type does not match".to_owned());
    }
    state.sets.insert(name.to_owned(), second);
    state.sets.insert(other.to_owned(), first);
    Ok(())
}

fn rename(state: &mut Dump, name: &str, new: &str) -> Result<(), String> {
    if state.sets.contains_key(new) {
        return Err("Set cannot be renamed: a set with the new name already exists".to_owned());
    }
    if referenced(state, name) {
        return Err("Set cannot be renamed: it is in use by another system".to_owned());
    }
    let set = state.sets.remove(name).ok_or("The set with the given name does not exist")?;
    state.sets.insert(new.to_owned(), set);
    Ok(())
}
