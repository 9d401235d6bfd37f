//! What `explain` says of the cells, beside what the kernel did.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::cell::{Cell, Way};
use super::world::World;
use crate::{LabError, Protocol};

/// A cell as `explain` is asked about it.
struct Question {
    from: IpAddr,
    /// Container and its port.
    place: String,
}

/// One answer a cell that it can be asked about: what is wrong with it, if anything is.
pub(crate) fn explained(world: &World<'_>, cells: &[(Cell, bool)]) -> Result<Vec<Option<String>>, LabError> {
    let mut questions: Vec<(&Cell, bool, Question)> = Vec::new();
    let mut addresses: BTreeMap<(String, bool), Option<IpAddr>> = BTreeMap::new();
    for (cell, seen) in cells {
        // A server on several addresses, docker-proxy too, answers a datagram from the one that is nearest to the caller, who
        // does not know it. Whether the datagrams of other containers came is not looked at.
        if !seen && cell.protocol == Protocol::Udp && cell.inbound.is_none() {
            continue;
        }
        let caller = (cell.caller.name.clone(), cell.to.is_ipv4());
        if let Entry::Vacant(place) = addresses.entry(caller.clone()) {
            place.insert(world.only_address(&cell.caller, cell.to)?);
        }
        questions.extend(question(world, cell, addresses[&caller]).map(|question| (cell, *seen, question)));
    }
    let mut answers: BTreeMap<Key, String> = BTreeMap::new();
    for link_local in [false, true] {
        let of_link = questions.iter().filter(|(cell, ..)| (cell.way == Way::LinkLocal) == link_local);
        answers.extend(ask(world, of_link.map(|(_, _, question)| question), link_local)?);
    }
    let judge = |(cell, seen, question): (&Cell, bool, Question)| {
        let key = (question.from, SocketAddr::new(cell.to, cell.port), cell.protocol.to_string());
        // A way that is not listed is none.
        let said = answers.get(&key).map_or("denied: not listed", String::as_str);
        let agrees = said.split(':').next() == Some(if seen { "allowed" } else { "denied" });
        (!agrees).then(|| format!("{cell}: {}, but explain says {said}", if seen { "open" } else { "closed" }))
    };
    Ok(questions.into_iter().map(judge).collect())
}

/// Caller, place called and protocol.
type Key = (IpAddr, SocketAddr, String);

/// Only of callers with one address, and of targets.
fn question(world: &World<'_>, cell: &Cell, only: Option<IpAddr>) -> Option<Question> {
    let target = world.targets.iter().find(|target| target.name == cell.peer)?;
    if matches!(cell.way, Way::Outward | Way::Loopback) {
        return None;
    }
    let (from, inner) = if let Some(attempt) = cell.inbound {
        (attempt.from, attempt.port.1)
    } else {
        let from = only?;
        let leads = |(protocol, inner): &&(Protocol, u16)| {
            *protocol == cell.protocol && target.published(*protocol, *inner).contains(&cell.port)
        };
        let by_host = target.tried.iter().find(leads).map(|(_, inner)| *inner);
        let inner = if cell.way == Way::Published { by_host.unwrap_or(cell.port) } else { cell.port };
        (from, inner)
    };
    Some(Question { from, place: format!("{}:{inner}/{}", world.id(target), cell.protocol) })
}

/// One process for all of them.
fn ask<'a>(
    world: &World<'_>,
    questions: impl Iterator<Item = &'a Question>,
    link_local: bool,
) -> Result<BTreeMap<Key, String>, LabError> {
    let (mut from, mut places) = (BTreeSet::new(), BTreeSet::new());
    for question in questions {
        from.insert(question.from.to_string());
        places.insert(question.place.clone());
    }
    if from.is_empty() {
        return Ok(BTreeMap::new());
    }
    let from = from.into_iter().collect::<Vec<_>>().join(",");
    let mut words = vec!["firewall", "explain", "--format", "json", "--from", &from];
    if link_local {
        words.extend(["--interface", "br-ext"]);
    }
    words.extend(places.iter().map(String::as_str));
    let output = world.lab.docker(&words)?;
    let mut answers = BTreeMap::new();
    for line in output.stdout.lines() {
        let value = |name: &str| {
            let start = line.find(&format!("\"{name}\":\""))? + name.len() + 4;
            Some(line[start..].split("\",\"").next()?.trim_end_matches("\"}").to_owned())
        };
        let read = || {
            let protocol = value("Port")?.split_once('/')?.1.to_owned();
            let key = (value("Address")?.parse().ok()?, value("To")?.parse().ok()?, protocol);
            Some((key, format!("{}: {}", value("Answer")?, value("Because")?)))
        };
        answers.extend(read());
    }
    if answers.is_empty() && !output.stderr.contains("no container") {
        return Err(LabError::Unknown { what: "answer of explain", name: output.said(), known: "" });
    }
    Ok(answers)
}
