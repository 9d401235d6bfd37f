//! What `explain` says of the cells, beside what the kernel did.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::cell::{Cell, Way};
use super::world::World;
use crate::LabError;

/// What came of asking it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// Answers that were held against the kernel's.
    pub compared: usize,
    /// Those that say that nobody can tell; in the table's worlds they are wrong too.
    pub unknown: usize,
    /// Those that the kernel contradicts.
    pub otherwise: usize,
}

impl Explained {
    pub(crate) fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.unknown += other.unknown;
        self.otherwise += other.otherwise;
    }
}

/// A cell as `explain` is asked about it.
struct Question {
    from: IpAddr,
    /// Container and its port.
    place: String,
}

/// Asks it about every cell that it can be asked about: what is wrong, and the count.
pub(crate) fn explained(world: &World<'_>, cells: &[(Cell, bool)]) -> Result<(Explained, Vec<String>), LabError> {
    let mut questions: Vec<(&Cell, bool, Question)> = Vec::new();
    let mut addresses: BTreeMap<(String, bool), Option<IpAddr>> = BTreeMap::new();
    for (cell, seen) in cells {
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
    let mut count = Explained { compared: questions.len(), ..Explained::default() };
    let mut wrong = Vec::new();
    for (cell, seen, question) in questions {
        let key = (question.from, SocketAddr::new(cell.to, cell.port), cell.protocol.to_string());
        // A way that is not listed is none.
        let said = answers.get(&key).map_or("denied: not listed", String::as_str);
        match said.split(':').next() {
            Some("allowed") if seen => continue,
            Some("denied") if !seen => continue,
            Some("unknown") => count.unknown += 1,
            _ => count.otherwise += 1,
        }
        wrong.push(format!("{cell}: {}, but explain says {said}", if seen { "open" } else { "closed" }));
    }
    Ok((count, wrong))
}

/// Caller, place called and protocol.
type Key = (IpAddr, SocketAddr, String);

/// Only of callers with one address, and of targets.
fn question(world: &World<'_>, cell: &Cell, only: Option<IpAddr>) -> Option<Question> {
    let target = world.targets.iter().find(|target| target.name == cell.peer)?;
    if matches!(cell.way, Way::Outward | Way::Loopback) {
        return None;
    }
    let from = cell.inbound.map_or(only, |attempt| Some(attempt.from))?;
    Some(Question { from, place: format!("{}:{}/{}", world.id(target), cell.inner, cell.protocol) })
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
