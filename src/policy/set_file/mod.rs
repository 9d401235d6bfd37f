//! Set files: the `ipset restore` text that administrators already keep, IPv4 and IPv6 of one set in one file.
//!
//! What is written here loads with plain `ipset restore` too. Comment lines, empty lines and the order of the entries
//! survive edits. An end of an entry is written as a comment right above it, `# expires 2030-01-31T18:00:00Z`, for
//! `timeout N` counts from each load and would start anew with every boot; the kernel counts 24 days at most, and what
//! ends later is left out by us once it has ended.
//!
//! An imported set keeps its type. In one of single addresses (`hash:ip`) the kernel expands a block: up to a /16 at
//! once and 1,048,576 addresses in all we let it, beyond that an import makes the half `hash:net`, with a note, and an
//! edit or a stored file is refused. The half that a file does not create is `hash:net`. `maxelem` grows as needed.

mod entry;
mod error;
mod index;
mod read;
mod words;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

pub use entry::{SourceEntry, TIMEOUT_MAX};
pub use error::{EntryError, SetFileError};
use index::Index;

use super::source::SetName;
use crate::net::{Family, kernel_blocks};
use crate::ruleset::{SetKind, SetShape};

/// Most addresses of one block in a set of single addresses: a /16.
const EXPANSION_MAX: u64 = 1 << 16;
/// Most addresses that all blocks of a set of single addresses may come to.
const EXPANSIONS_MAX: u64 = 1 << 20;

/// One set: its two kernel shapes, its entries, and the comments between them. A copy costs nothing until it is edited.
#[derive(Clone, Debug)]
pub struct SetFile {
    name: SetName,
    halves: [Half; 2],
    lines: Arc<Vec<Line>>,
    /// From a block to its place in `lines`.
    index: Arc<Index>,
}

/// What is kept for one family.
#[derive(Clone, Debug)]
struct Half {
    shape: SetShape,
    /// Entries by the length of their prefix.
    lengths: [usize; 129],
    /// Members that the kernel will have: of sets of single addresses more than entries.
    members: u64,
    /// Of the members those that come from blocks, in a set of single addresses.
    expanded: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// A comment or an empty line.
    Text(Box<str>),
    /// Where the set is created.
    Create(Family),
    Entry(SourceEntry),
    /// An entry that was removed; its place stays so that the index need not move.
    Gone,
}

/// The place of a family in arrays of two.
fn half(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
}

impl Half {
    fn new(family: Family) -> Self {
        let shape = SetShape {
            kind: SetKind::Net,
            family,
            hashsize: 1024,
            maxelem: 65536,
            timeout: Some(0),
            comment: true,
            counters: false,
        };
        Self { shape, lengths: [0; 129], members: 0, expanded: 0 }
    }

    /// Whether the kernel's set of this kind can hold the entry.
    fn check(&self, entry: &SourceEntry) -> Result<(), EntryError> {
        if self.shape.kind != SetKind::Ip {
            return Ok(());
        }
        if entry.nomatch() {
            return Err(EntryError::NoMatch);
        }
        if entry.is_single() {
            return Ok(());
        }
        if entry.family() == Family::V6 {
            return Err(EntryError::NotAnAddress(entry.block()));
        }
        if entry.addresses() > EXPANSION_MAX || self.expanded + entry.addresses() > EXPANSIONS_MAX {
            return Err(EntryError::TooWide(entry.block()));
        }
        Ok(())
    }

    /// Members of the kernel that an entry is.
    fn weight(&self, entry: &SourceEntry) -> u64 {
        if self.shape.kind == SetKind::Ip { entry.addresses() } else { 1 }
    }

    fn count(&mut self, entry: &SourceEntry) {
        self.lengths[usize::from(entry.block().prefix_len())] += 1;
        self.members += self.weight(entry);
        if self.shape.kind == SetKind::Ip && !entry.is_single() {
            self.expanded += entry.addresses();
        }
        self.make_room_for(entry);
    }

    fn discount(&mut self, entry: &SourceEntry) {
        self.lengths[usize::from(entry.block().prefix_len())] -= 1;
        self.members -= self.weight(entry);
        if self.shape.kind == SetKind::Ip && !entry.is_single() {
            self.expanded -= entry.addresses();
        }
    }

    /// The kernel refuses members beyond `maxelem`, and comments and timeouts that the set was not made for.
    fn make_room_for(&mut self, entry: &SourceEntry) {
        if self.members > u64::from(self.shape.maxelem) {
            self.shape.maxelem = u32::try_from(self.members.next_power_of_two()).unwrap_or(u32::MAX);
        }
        if entry.comment().is_some() {
            self.shape.comment = true;
        }
        if entry.timeout().is_some() || entry.expires().is_some() {
            self.shape.timeout.get_or_insert(0);
        }
    }
}

impl SetFile {
    /// An empty set, of blocks, with timeouts and comments.
    pub fn new(name: &SetName) -> Self {
        let mut file = Self::bare(name);
        Arc::make_mut(&mut file.lines).extend(Family::ALL.map(Line::Create));
        file
    }

    fn bare(name: &SetName) -> Self {
        let halves = Family::ALL.map(Half::new);
        Self { name: name.clone(), halves, lines: Arc::default(), index: Arc::default() }
    }

    /// The name of the set.
    pub fn name(&self) -> &SetName {
        &self.name
    }

    /// The kernel's name of one family's half.
    pub fn kernel_name(&self, family: Family) -> String {
        self.name.kernel_name(family)
    }

    /// The kernel's options for one family's half.
    pub fn shape(&self, family: Family) -> &SetShape {
        &self.halves[half(family)].shape
    }

    /// How many entries of a family there are.
    pub fn count(&self, family: Family) -> usize {
        self.halves[half(family)].lengths.iter().sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = &SourceEntry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            _ => None,
        })
    }

    /// Adds an entry at the end, or changes the one that is there; an entry without a comment leaves the one that is
    /// there. Says whether anything changed. Grows `maxelem`, and adds comments and timeouts to the set's shape, where
    /// the entry needs it.
    pub fn add(&mut self, entry: SourceEntry) -> Result<bool, EntryError> {
        let halves = kernel_blocks(entry.block());
        if halves.len() == 1 {
            return self.add_one(entry);
        }
        let mut changed = false;
        for block in halves {
            changed |= self.add_one(entry.clone().at(block))?;
        }
        Ok(changed)
    }

    fn add_one(&mut self, mut entry: SourceEntry) -> Result<bool, EntryError> {
        let place = &mut self.halves[half(entry.family())];
        if let Some(line) = self.index.get(&self.lines, &entry.block()) {
            let Line::Entry(old) = &self.lines[line] else { return Ok(false) };
            entry.keep_comment_of(old);
            if *old == entry {
                return Ok(false);
            }
            if entry.nomatch() {
                place.check(&entry)?;
            }
            place.make_room_for(&entry);
            Arc::make_mut(&mut self.lines)[line] = Line::Entry(entry);
            return Ok(true);
        }
        place.check(&entry)?;
        place.count(&entry);
        let block = entry.block();
        Arc::make_mut(&mut self.lines).push(Line::Entry(entry));
        Arc::make_mut(&mut self.index).push(&self.lines, &block);
        Ok(true)
    }

    /// Removes the entry of exactly this block (both halves of everything); says whether there was one.
    pub fn del(&mut self, block: IpNet) -> bool {
        let mut removed = false;
        for block in kernel_blocks(block.trunc()) {
            if self.index.get(&self.lines, &block).is_none() {
                continue;
            }
            let Some(line) = Arc::make_mut(&mut self.index).remove(&self.lines, &block) else { continue };
            if let Line::Entry(entry) = std::mem::replace(&mut Arc::make_mut(&mut self.lines)[line], Line::Gone) {
                self.halves[half(entry.family())].discount(&entry);
                removed = true;
            }
        }
        removed
    }

    /// Whether there is an entry of exactly this block (both halves of everything).
    pub fn contains(&self, block: IpNet) -> bool {
        let held = |block: &IpNet| self.index.get(&self.lines, block).is_some();
        if block.prefix_len() > 0 { held(&block.trunc()) } else { kernel_blocks(block).iter().all(held) }
    }

    /// The entry of exactly this block.
    pub fn get(&self, block: IpNet) -> Option<&SourceEntry> {
        match self.lines.get(self.index.get(&self.lines, &block.trunc())?)? {
            Line::Entry(entry) => Some(entry),
            _ => None,
        }
    }

    /// The entry by which an address is in the set: the smallest block that holds it, unless that is an exception.
    pub fn test(&self, address: IpAddr, now: Timestamp) -> Option<&SourceEntry> {
        let family = Family::of(&address);
        let lengths = &self.halves[half(family)].lengths;
        (0..=family.bits())
            .rev()
            .filter(|&length| lengths[usize::from(length)] > 0)
            .filter_map(|length| self.get(IpNet::new(address, length).ok()?))
            .find(|entry| !entry.is_expired(now))
            .filter(|entry| !entry.nomatch())
    }

    /// Whether another one would be stored in the same words.
    pub fn is_written_like(&self, other: &Self) -> bool {
        let kept = |line: &&Line| !matches!(line, Line::Gone);
        let alike =
            |(one, other): (&Half, &Half)| one.shape == other.shape && (one.expanded > 0) == (other.expanded > 0);
        self.name == other.name
            && self.halves.iter().zip(&other.halves).all(alike)
            && (Arc::ptr_eq(&self.lines, &other.lines)
                || self.lines.iter().filter(kept).eq(other.lines.iter().filter(kept)))
    }

    /// Removes the entries that have ended, and returns their blocks.
    pub fn prune(&mut self, now: Timestamp) -> Vec<IpNet> {
        let ended: Vec<IpNet> = self.entries().filter(|entry| entry.is_expired(now)).map(SourceEntry::block).collect();
        for &block in &ended {
            self.del(block);
        }
        ended
    }

    /// Writes down when entries end that so far have seconds only; says how many. To be called after an import.
    pub fn pin_timeouts(&mut self, now: Timestamp) -> usize {
        if self.entries().all(|entry| entry.timeout().is_none()) {
            return 0;
        }
        let pinned = Arc::make_mut(&mut self.lines).iter_mut().map(|line| match line {
            Line::Entry(entry) => usize::from(entry.pin(now)),
            _ => 0,
        });
        pinned.sum()
    }

    /// Makes a set of single addresses one of blocks, which holds the same and more.
    fn widen(&mut self, family: Family) {
        let place = &mut self.halves[half(family)];
        place.shape.kind = SetKind::Net;
        place.members = place.lengths.iter().map(|&count| count as u64).sum();
        place.expanded = 0;
    }

    /// Removes all entries.
    fn clear(&mut self) {
        Arc::make_mut(&mut self.lines).retain(|line| !matches!(line, Line::Entry(_) | Line::Gone));
        self.index = Arc::default();
        for half in &mut self.halves {
            *half = Half { shape: half.shape.clone(), ..Half::new(half.shape.family) };
        }
    }
}
