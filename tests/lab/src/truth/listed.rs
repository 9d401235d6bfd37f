//! What `ls` says of the cells, beside what the kernel did.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cell::{Cell, Way};
use super::explained::Explained;
use super::world::World;
use crate::LabError;

/// One row, as far as it matters here.
struct Row {
    id: String,
    published: String,
    port: String,
    path: String,
    from: String,
}

/// Looks up every cell of the outside callers: what is wrong, and the count.
pub(crate) fn listed(world: &World<'_>, cells: &[(Cell, bool)]) -> Result<(Explained, Vec<String>), LabError> {
    let output = world.lab.docker(&["firewall", "ls", "--format", "json"])?;
    let rows: Vec<Row> = output.stdout.lines().filter_map(row).collect();
    if !output.success() || rows.is_empty() {
        return Err(LabError::Unknown { what: "answer of ls", name: output.said(), known: "" });
    }
    let mut members = Members { world, known: BTreeMap::new() };
    let (mut count, mut wrong) = (Explained::default(), Vec::new());
    for (cell, seen) in cells {
        let Some(target) = world.targets.iter().find(|target| target.name == cell.peer) else { continue };
        let listed = !matches!(cell.way, Way::Outward | Way::Loopback | Way::LinkLocal | Way::Forwarded);
        let Some(from) = cell.inbound.map(|attempt| attempt.from).filter(|_| listed) else { continue };
        let own = rows.iter().filter(|row| world.id(target).starts_with(&row.id));
        let row = own.filter(|row| leads(row, cell)).min_by_key(|row| row.port.starts_with("all"));
        let said = match row {
            // A way that is not listed is none.
            None => Some(false),
            Some(row) => members.lets(&row.from, from)?,
        };
        count.compared += 1;
        match said {
            Some(open) if open == *seen => continue,
            Some(_) => count.otherwise += 1,
            None => count.unknown += 1,
        }
        let said = row.map_or("nothing", |row| row.from.as_str());
        wrong.push(format!("{cell}: {}, but ls says {said}", if *seen { "open" } else { "closed" }));
    }
    Ok((count, wrong))
}

fn row(line: &str) -> Option<Row> {
    let value = |name: &str| {
        let start = line.find(&format!("\"{name}\":\""))? + name.len() + 4;
        Some(line[start..].split("\",\"").next()?.trim_end_matches("\"}").to_owned())
    };
    let row = Row {
        id: value("ID")?,
        published: value("Published")?,
        port: value("Port")?,
        path: value("Path")?,
        from: value("From")?,
    };
    (!row.id.is_empty()).then_some(row)
}

/// Whether a row is about the way that a cell takes.
fn leads(row: &Row, cell: &Cell) -> bool {
    let inner = speaks(&row.port, &cell.protocol.to_string(), cell.inner);
    match cell.way {
        Way::Published => {
            let any: IpAddr =
                if cell.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let place = |address: IpAddr| std::net::SocketAddr::new(address, cell.port).to_string();
            inner && [place(cell.to), place(any)].contains(&row.published)
        }
        Way::HostNetwork => {
            let family = if cell.to.is_ipv4() { "0.0.0.0:" } else { "[::]:" };
            row.path == "host" && (inner && row.published.contains(family) || row.published == "host network")
        }
        Way::Direct(_) => {
            (row.path == "direct" || row.path.ends_with("vlan"))
                && row.published.split(' ').next_back() == Some(cell.to.to_string().as_str())
                && (inner || row.port.starts_with("all"))
        }
        Way::Outward | Way::Loopback | Way::LinkLocal | Way::Forwarded => false,
    }
}

/// `80/tcp`, `80-90/tcp`.
fn speaks(port: &str, protocol: &str, number: u16) -> bool {
    let Some((range, own)) = port.split_once('/') else { return false };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return false };
    own == protocol && (first..=last).contains(&number)
}

/// Who is in the sets that are named.
struct Members<'a> {
    world: &'a World<'a>,
    known: BTreeMap<(String, IpAddr), bool>,
}

impl Members<'_> {
    /// Whether these words mean that an address gets in; `None`: they do not say.
    fn lets(&mut self, said: &str, from: IpAddr) -> Result<Option<bool>, LabError> {
        let said = said.trim_end_matches(" (routed to it)").trim_end_matches(" (not guarded)");
        if said.starts_with("unknown") {
            return Ok(None);
        }
        let (all, except) = said.split_once(" except ").unwrap_or((said, ""));
        let mut among = |names: &str| -> Result<bool, LabError> {
            for name in names.split(", ").filter(|name| !name.is_empty()) {
                if self.is(name, from)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        Ok(Some(among(all)? && !among(except)?))
    }

    fn is(&mut self, name: &str, from: IpAddr) -> Result<bool, LabError> {
        // Everybody outside lives on the one external link.
        let name = match name.split_once(" via ") {
            Some((name, "br-ext")) => name,
            Some(_) => return Ok(false),
            None => name,
        };
        if matches!(name, "everyone" | "any") {
            return Ok(true);
        }
        if name.starts_with("nobody") || name == "host only" || name == "no published port" {
            return Ok(false);
        }
        if let Some((first, last)) = name.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))) {
            let (first, last): (IpAddr, IpAddr) = (first, last);
            return Ok((first..=last).contains(&from));
        }
        let (address, length) = name.split_once('/').map_or((name, None), |(address, length)| (address, Some(length)));
        if let Ok(address) = address.parse::<IpAddr>() {
            return Ok(holds(address, length.and_then(|length| length.parse().ok()), from));
        }
        let set = match name.strip_prefix("ipset:") {
            Some(set) => set.to_owned(),
            None if from.is_ipv4() => name.to_owned(),
            None => format!("{name}-v6"),
        };
        if let Some(known) = self.known.get(&(set.clone(), from)) {
            return Ok(*known);
        }
        let holds = self.world.lab.exec(&["ipset", "test", &set, &from.to_string()])?.success();
        self.known.insert((set, from), holds);
        Ok(holds)
    }
}

/// Whether a block, or without a length the address itself, holds an address.
fn holds(block: IpAddr, length: Option<u32>, from: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    };
    let differing = bits(block) ^ bits(from);
    let length = length.unwrap_or(128).min(128);
    block.is_ipv4() == from.is_ipv4() && (length == 0 || differing >> (128 - length) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_ports_are_read() {
        let from: IpAddr = "203.0.113.66".parse().expect("an address");
        for (block, length, expected) in
            [("203.0.113.64", Some(26), true), ("203.0.113.0", Some(26), false), ("203.0.113.66", None, true)]
        {
            assert_eq!(holds(block.parse().expect("an address"), length, from), expected, "{block}");
        }
        assert!(speaks("80/tcp", "tcp", 80) && speaks("80-90/udp", "udp", 85));
        assert!(!speaks("80/tcp", "udp", 80) && !speaks("all others", "tcp", 80));
    }
}
