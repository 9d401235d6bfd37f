//! Looking: who gets through, with or without an answer.

use std::net::Ipv4Addr;

use super::cell::Cell;
use super::world::World;
use crate::{Answer, Client, LabError, Probe, Protocol, Say};

/// Looks at cells, each time with words that no datagram has said before.
#[derive(Debug)]
pub(crate) struct Eye {
    next: u64,
    /// Cells that somebody answered who is not meant.
    pub(crate) strange: Vec<String>,
}

impl Eye {
    pub(crate) fn new() -> Self {
        Self { next: 1, strange: Vec::new() }
    }

    /// Who gets through, with or without an answer.
    pub(crate) fn observe(&mut self, world: &World<'_>, cells: &[Cell]) -> Result<Vec<bool>, LabError> {
        let first = self.next;
        let mut seen = self.answered(world, cells)?;
        ask_the_peers(world, cells, first, &mut seen)?;
        Ok(seen)
    }

    /// Who gets an answer.
    pub(crate) fn answered(&mut self, world: &World<'_>, cells: &[Cell]) -> Result<Vec<bool>, LabError> {
        let probes: Vec<_> = (self.next..)
            .zip(cells)
            .map(|(word, cell)| (cell.caller.place.clone(), cell.probe().say(Say::Hello(word))))
            .collect();
        self.next += cells.len() as u64;
        let answers = world.lab.probe_from(&probes)?;
        let mut seen = Vec::with_capacity(cells.len());
        for (cell, answer) in cells.iter().zip(&answers) {
            seen.push(cell.reached(answer).unwrap_or_else(|strange| {
                self.strange.push(strange);
                true
            }));
        }
        Ok(seen)
    }
}

/// A datagram that came and whose answer was lost did come: the peers are asked, each from its own side.
fn ask_the_peers(world: &World<'_>, cells: &[Cell], first: u64, seen: &mut [bool]) -> Result<(), LabError> {
    let mut places = Vec::new();
    let mut probes = Vec::new();
    for (place, cell) in cells.iter().enumerate() {
        let peer = world.inner.iter().find(|peer| peer.name == cell.peer);
        let (Some(peer), Some(port), false) = (peer, cell.datagrams(), seen[place]) else { continue };
        let probe = Probe::new(Client::Host, Protocol::Udp, Ipv4Addr::LOCALHOST.into(), port);
        places.push(place);
        probes.push((peer.place.clone(), probe.say(Say::Heard(first + place as u64))));
    }
    for (place, answer) in places.into_iter().zip(world.lab.probe_from(&probes)?) {
        // No answer at all is no proof of silence.
        seen[place] = answer != Answer::Answered("no".to_owned());
    }
    Ok(())
}
