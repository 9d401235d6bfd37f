//! A set as text and as kernel sets.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Line, SetFile, SourceEntry, half};
use crate::net::Family;
use crate::ruleset::{Gathered, IpSet, Member, Members, SetEntry, SetKind};

impl SetFile {
    /// The text to be stored or exported; `ipset restore` reads it.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.lines.len() * 32);
        let adds = self.adds();
        for line in self.lines.iter() {
            self.render_line(line, &adds, &mut text);
        }
        text
    }

    /// Whether a file with this text says the same.
    pub fn is_text(&self, text: &str) -> bool {
        let (adds, mut rest, mut rendered) = (self.adds(), text, String::new());
        for line in self.lines.iter() {
            rendered.clear();
            self.render_line(line, &adds, &mut rendered);
            match rest.strip_prefix(&rendered) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// How the lines of the entries begin.
    fn adds(&self) -> [String; 2] {
        Family::ALL.map(|family| {
            // Blocks of a set of single addresses may overlap, which ipset calls an error unless told otherwise, and
            // it must be told at each line (ipset 7 takes the option of the first line of a batch for all of it).
            let exist = if self.halves[half(family)].expanded > 0 { "-exist " } else { "" };
            format!("add {exist}{} ", self.kernel_name(family))
        })
    }

    fn render_line(&self, line: &Line, adds: &[String; 2], text: &mut String) {
        match line {
            Line::Text(line) => text.push_str(line),
            Line::Create(family) => self.render_create(*family, text),
            Line::Entry(entry) => {
                if let Some(expires) = entry.expires() {
                    let _ = writeln!(text, "# expires {expires}");
                }
                text.push_str(&adds[half(entry.family())]);
                entry.render(text);
            }
            Line::Gone => return,
        }
        text.push('\n');
    }

    fn render_create(&self, family: Family, text: &mut String) {
        let shape = self.shape(family);
        let kind = if shape.kind == SetKind::Ip { "hash:ip" } else { "hash:net" };
        let inet = match family {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        };
        let _ = write!(
            text,
            "create {} {kind} family {inet} hashsize {} maxelem {}",
            self.kernel_name(family),
            shape.hashsize,
            shape.maxelem
        );
        if let Some(timeout) = shape.timeout {
            let _ = write!(text, " timeout {timeout}");
        }
        if shape.comment {
            text.push_str(" comment");
        }
    }

    /// What the kernel is to hold at the moment `now`, IPv4 first: what has ended is left out, what will end has the
    /// seconds that are left.
    pub fn kernel_sets(&self, now: Timestamp) -> [(String, IpSet); 2] {
        Family::ALL.map(|family| {
            let shape = self.shape(family).clone();
            let mut members = Gathered::with_capacity(self.count(family), family == Family::V6);
            for entry in self.entries().filter(|entry| entry.family() == family && !entry.is_expired(now)) {
                let member = Member {
                    timeout: entry.seconds_left(now),
                    comment: entry.comment().map(str::to_owned),
                    nomatch: entry.nomatch(),
                };
                match addresses(entry) {
                    Some(addresses) if shape.kind == SetKind::Ip => {
                        addresses.for_each(|address| members.push(SetEntry::Net(address), member.clone()));
                    }
                    _ => members.push(SetEntry::Net(entry.block()), member),
                }
            }
            (self.kernel_name(family), IpSet { shape, members: members.members() })
        })
    }
}

impl SetFile {
    /// The blocks of all entries, of both families.
    pub fn blocks(&self) -> Members {
        let mut blocks = Gathered::with_capacity(self.count(Family::V4), false);
        self.entries().for_each(|entry| blocks.push(SetEntry::Net(entry.block()), Member::default()));
        blocks.members()
    }

    /// The members that end at a moment which the file names, IPv4 first, without those that have ended by `now`.
    pub fn dated(&self, now: Timestamp) -> [BTreeSet<SetEntry>; 2] {
        Family::ALL.map(|family| {
            let kind = self.shape(family).kind.clone();
            let ends = |entry: &&SourceEntry| entry.family() == family && entry.expires().is_some_and(|at| at > now);
            self.entries().filter(ends).flat_map(|entry| members(entry, &kind)).collect()
        })
    }

    /// Whether anything in it has ended by `now`.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.entries().any(|entry| entry.is_expired(now))
    }

    /// The same set without what has ended by `now`.
    pub fn living(&self, now: Timestamp) -> Cow<'_, Self> {
        if !self.has_ended(now) {
            return Cow::Borrowed(self);
        }
        let mut living = self.clone();
        living.prune(now);
        Cow::Owned(living)
    }
}

/// An entry as the kernel keeps it in a set of that kind.
fn members(entry: &SourceEntry, kind: &SetKind) -> Vec<SetEntry> {
    match addresses(entry) {
        Some(addresses) if *kind == SetKind::Ip => addresses.map(SetEntry::Net).collect(),
        _ => vec![SetEntry::Net(entry.block())],
    }
}

/// The addresses of a block one by one, as a set of single addresses keeps them; only IPv4 sets expand blocks.
fn addresses(entry: &SourceEntry) -> Option<impl Iterator<Item = IpNet>> {
    let IpNet::V4(block) = entry.block() else { return None };
    let (first, last) = (block.network().to_bits(), block.broadcast().to_bits());
    Some((first..=last).map(|bits| IpNet::from(std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(bits)))))
}
