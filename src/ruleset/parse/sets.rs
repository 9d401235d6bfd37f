//! Sets: what `ipset save` and `ipset list -terse` print.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{ParseError, numbered};
use crate::net::{Family, Protocol};
use crate::ruleset::set::{IpSet, Member, SetEntry, SetKind, SetShape};

/// What `ipset list -terse` says of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHeader {
    /// Kernel name.
    pub name: String,
    /// Its options.
    pub shape: SetShape,
    /// How many rules and sets refer to it.
    pub references: u32,
    /// How many members it has; `None` where the kernel does not say (before 4.10).
    pub entries: Option<u64>,
}

/// A set being read; members are sorted once, at the end.
struct Open {
    shape: SetShape,
    members: Vec<(SetEntry, Member)>,
}

/// Parses `ipset save` output: `create` and `add` lines, comments and blank lines.
pub fn parse_ipset_save(text: &str) -> Result<BTreeMap<String, IpSet>, ParseError> {
    let mut sets: Vec<(&str, Open)> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    let mut current: Option<usize> = None;
    for at in save_lines(text) {
        let line = at.1.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix("create ") {
            let (name, shape) = create(rest).ok_or_else(|| ParseError::at(at, 7, "a set needs a name and a type"))?;
            if index.insert(name, sets.len()).is_some() {
                return Err(ParseError::at(at, 7, format!("set {name:?} is created twice")));
            }
            current = Some(sets.len());
            sets.push((name, Open { shape, members: Vec::new() }));
        } else if let Some(rest) = line.strip_prefix("add ") {
            let (found, entry) = owner(rest, &sets, &index, current)
                .ok_or_else(|| ParseError::at(at, 4, "an entry of a set that was not created"))?;
            current = Some(found);
            if let Some((_, open)) = sets.get_mut(found) {
                open.members.push(parse_set_entry(&open.shape, entry));
            }
        } else {
            return Err(ParseError::at(at, 0, "expected \"create\" or \"add\""));
        }
    }
    Ok(sets
        .into_iter()
        .map(|(name, open)| (name.to_owned(), IpSet { shape: open.shape, members: open.members.into_iter().collect() }))
        .collect())
}

/// Lines of a save; one whose quoted comment holds line breaks, which nobody forbids, is one line.
fn save_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut rest, mut index) = (text, 0);
    std::iter::from_fn(move || {
        let mut end = rest.find('\n').unwrap_or(rest.len());
        if let Some(quote) = rest[..end].find(" comment \"").filter(|_| rest.starts_with("add ")) {
            let inside = quote + " comment \"".len();
            if !rest[inside..end].contains('"')
                && let Some(closing) = rest[end..].find('"')
            {
                let after = end + closing;
                end = rest[after..].find('\n').map_or(rest.len(), |more| after + more);
            }
        }
        if rest.is_empty() {
            return None;
        }
        let (line, here) = (&rest[..end], index);
        index += 1 + line.matches('\n').count();
        rest = rest.get(end + 1..).unwrap_or_default();
        Some((here, line))
    })
}

/// Splits `NAME ENTRY`. Names may hold blanks, which ipset does not quote, so that only the sets' names tell; saves
/// print entries below their set, so its name is tried first.
fn owner<'a>(
    rest: &'a str,
    sets: &[(&str, Open)],
    index: &HashMap<&str, usize>,
    current: Option<usize>,
) -> Option<(usize, &'a str)> {
    if let Some((found, (name, _))) = current.and_then(|found| Some((found, sets.get(found)?)))
        && let Some(entry) = rest.strip_prefix(name).and_then(|tail| tail.strip_prefix(' '))
    {
        return Some((found, entry.trim_start()));
    }
    // Kernel names have at most 31 bytes.
    rest.match_indices(' ')
        .take_while(|(blank, _)| *blank < 32)
        .filter_map(|(blank, _)| Some((*index.get(&rest[..blank])?, rest[blank..].trim_start())))
        .last()
}

/// `NAME TYPE OPTION...`.
fn create(rest: &str) -> Option<(&str, SetShape)> {
    let is_type = |word: &str| ["hash:", "bitmap:", "list:"].iter().any(|start| word.starts_with(start));
    // A type's colon tells where a name with blanks ends.
    let start = rest.match_indices(' ').map(|(blank, _)| blank).find(|&blank| is_type(&rest[blank + 1..]))?;
    let (name, text) = (&rest[..start], &rest[start + 1..]);
    let (kind, options) = text.split_once(' ').unwrap_or((text, ""));
    Some((name, shape(kind, options))).filter(|_| !name.is_empty())
}

fn shape(kind: &str, options: &str) -> SetShape {
    let mut shape = SetShape {
        kind: SetKind::from_name(kind),
        family: Family::V4,
        hashsize: 1024,
        maxelem: 65536,
        timeout: None,
        comment: false,
        counters: false,
    };
    let mut kept = String::from(kind);
    let mut understood = true;
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let value = match word {
            "comment" => {
                shape.comment = true;
                None
            }
            "counters" => {
                shape.counters = true;
                None
            }
            "skbinfo" | "forceadd" => None,
            "family" | "hashsize" | "maxelem" | "timeout" | "bucketsize" | "initval" | "range" | "size" | "netmask"
            | "bitmask" | "markmask" => words.next(),
            _ => {
                understood = false;
                None
            }
        };
        let number = value.and_then(|value| value.parse::<u32>().ok());
        match (word, number) {
            ("family", _) => shape.family = if value == Some("inet6") { Family::V6 } else { Family::V4 },
            ("hashsize", Some(number)) => shape.hashsize = number,
            ("maxelem", Some(number)) => shape.maxelem = number,
            ("timeout", Some(number)) => shape.timeout = Some(number),
            // These change what a member matches.
            ("netmask" | "bitmask" | "markmask", _) => understood = false,
            _ => {}
        }
        if !matches!(word, "bucketsize" | "initval") {
            for part in [Some(word), value].into_iter().flatten() {
                kept.push(' ');
                kept.push_str(part);
            }
        }
    }
    if !understood || matches!(shape.kind, SetKind::Other(_)) {
        shape.kind = SetKind::Other(kept);
    }
    shape
}

/// Parses what follows `add NAME ` in a set of that shape; what is not of our kinds becomes [`SetEntry::Other`].
pub fn parse_set_entry(shape: &SetShape, text: &str) -> (SetEntry, Member) {
    let (key, unknown, member) = said(text);
    let entry = if unknown.is_empty() { typed_entry(shape, key) } else { None };
    (entry.unwrap_or_else(|| SetEntry::Other(format!("{key}{unknown}"))), member)
}

/// The entry, options that are not known, and those that are.
fn said(text: &str) -> (&str, String, Member) {
    let (key, mut rest) = split_word(text);
    let mut member = Member::default();
    let mut unknown = String::new();
    while !rest.is_empty() {
        let (option, after) = split_word(rest);
        rest = after;
        match option {
            "nomatch" => member.nomatch = true,
            "timeout" => {
                let (value, after) = split_word(rest);
                rest = after;
                member.timeout = value.parse().ok();
            }
            "packets" | "bytes" | "skbmark" | "skbprio" | "skbqueue" => rest = split_word(rest).1,
            "comment" => {
                // Comments are printed raw between quotes and cannot hold one.
                let (comment, after) = match rest.strip_prefix('"') {
                    Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
                    None => split_word(rest),
                };
                rest = after.trim_start();
                member.comment = Some(comment.to_owned());
            }
            other => {
                unknown.push(' ');
                unknown.push_str(other);
            }
        }
    }
    (key, unknown, member)
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn typed_entry(shape: &SetShape, key: &str) -> Option<SetEntry> {
    let family = shape.family;
    match &shape.kind {
        SetKind::Ip | SetKind::Net => Some(SetEntry::Net(net(family, key)?)),
        SetKind::IpPort => {
            let (ip, rest) = key.split_once(',')?;
            let (protocol, number) = port(rest)?;
            Some(SetEntry::IpPort(address(family, ip)?, protocol, number))
        }
        SetKind::NetPort => {
            let (block, rest) = key.split_once(',')?;
            let (protocol, number) = port(rest)?;
            Some(SetEntry::NetPort(net(family, block)?, protocol, number))
        }
        SetKind::IpPortNet => {
            let (ip, rest) = key.split_once(',')?;
            let (middle, block) = rest.split_once(',')?;
            let (protocol, number) = port(middle)?;
            Some(SetEntry::IpPortNet(address(family, ip)?, protocol, number, net(family, block)?))
        }
        SetKind::NetIface => {
            let (block, interface) = key.split_once(',')?;
            if interface.is_empty() || interface.starts_with("physdev:") {
                return None;
            }
            Some(SetEntry::NetIface(net(family, block)?, interface.to_owned()))
        }
        SetKind::Other(_) => None,
    }
}

fn address(family: Family, text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address| Family::of(address) == family)
}

fn net(family: Family, text: &str) -> Option<IpNet> {
    if text.contains('/') {
        text.parse::<IpNet>().ok().map(|net| net.trunc()).filter(|net| Family::of(&net.addr()) == family)
    } else {
        address(family, text).map(IpNet::from)
    }
}

/// `tcp:80`, or a bare number, which ipset takes for tcp.
fn port(text: &str) -> Option<(Protocol, u16)> {
    let (protocol, number) = text.split_once(':').unwrap_or(("tcp", text));
    let protocol = Protocol::ALL.into_iter().find(|each| each.name() == protocol)?;
    Some((protocol, number.parse().ok()?))
}

/// Parses `ipset list -terse` output: names, options and counts, without members.
pub fn parse_ipset_list_terse(text: &str) -> Result<Vec<SetHeader>, ParseError> {
    let mut headers = Vec::new();
    let mut name: Option<&str> = None;
    let mut kind = "";
    for at in numbered(text) {
        let line = at.1;
        if let Some(value) = line.strip_prefix("Name: ") {
            name = Some(value);
            kind = "";
        } else if let Some(value) = line.strip_prefix("Type: ") {
            kind = value.trim();
        } else if let Some(value) = line.strip_prefix("Header:") {
            let Some(name) = name.take().filter(|_| !kind.is_empty()) else {
                return Err(ParseError::at(at, 0, "a set without a name or a type"));
            };
            headers.push(SetHeader { name: name.to_owned(), shape: shape(kind, value), references: 0, entries: None });
        } else if let Some(value) = line.strip_prefix("References: ") {
            let Some(header) = headers.last_mut() else {
                return Err(ParseError::at(at, 0, "references of no set"));
            };
            header.references = value.trim().parse().map_err(|_| ParseError::at(at, 12, "not a number"))?;
        } else if let Some(value) = line.strip_prefix("Number of entries: ") {
            let Some(header) = headers.last_mut() else {
                return Err(ParseError::at(at, 0, "entries of no set"));
            };
            header.entries = Some(value.trim().parse().map_err(|_| ParseError::at(at, 19, "not a number"))?);
        }
    }
    if name.is_some() {
        return Err(ParseError { line: text.lines().count(), column: 1, what: "a set without its header".to_owned() });
    }
    Ok(headers)
}
