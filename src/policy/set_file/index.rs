//! Where the entry of a block is among the lines of a file.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use ipnet::IpNet;

use super::Line;

/// Four bytes a place, for the lines say the blocks. Whoever asks brings them along.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    places: HashTable<u32>,
    hasher: RandomState,
}

fn block_at(lines: &[Line], place: u32) -> Option<IpNet> {
    match lines.get(place as usize)? {
        Line::Entry(entry) => Some(entry.block()),
        _ => None,
    }
}

impl Index {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The place of a block.
    pub(super) fn get(&self, lines: &[Line], block: &IpNet) -> Option<usize> {
        let found =
            self.places.find(self.hasher.hash_one(block), |place| block_at(lines, *place).as_ref() == Some(block));
        found.map(|place| *place as usize)
    }

    /// The last line is the entry of a block that was not there.
    pub(super) fn push(&mut self, lines: &[Line], block: &IpNet) {
        let Ok(place) = u32::try_from(lines.len().saturating_sub(1)) else { return };
        let Self { places, hasher } = self;
        places.insert_unique(hasher.hash_one(block), place, |place| {
            hasher.hash_one(block_at(lines, *place).unwrap_or_default())
        });
    }

    /// Forgets a block; answers where it was, while the lines still say it.
    pub(super) fn remove(&mut self, lines: &[Line], block: &IpNet) -> Option<usize> {
        let hash = self.hasher.hash_one(block);
        let entry = self.places.find_entry(hash, |place| block_at(lines, *place).as_ref() == Some(block)).ok()?;
        Some(entry.remove().0 as usize)
    }

    /// A line came in at this place.
    pub(super) fn shift(&mut self, from: usize) {
        for place in self.places.iter_mut().filter(|place| **place as usize >= from) {
            *place += 1;
        }
    }
}
