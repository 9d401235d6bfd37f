//! What an import tells the user.

use ipnet::IpNet;

use super::super::{SetFile, half};
use crate::net::Family;

/// What was read otherwise than written.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) bare_flush: bool,
    /// Entries above a flush.
    pub(super) flushed: usize,
    pub(super) counters: bool,
    pub(super) relative: bool,
    pub(super) moved_to_v6: usize,
    pub(super) repeated: usize,
    pub(super) default_timeout: Option<u32>,
    /// What the file asked for; 0 when it did not create the half.
    pub(super) asked_maxelem: [u32; 2],
    /// The first block for which a set of single addresses became one of blocks.
    pub(super) widened: [Option<IpNet>; 2],
    cleared: usize,
    first_cleared: Option<(String, IpNet)>,
}

impl Notes {
    pub(super) fn host_bits(&mut self, text: &str, block: IpNet) {
        self.cleared += 1;
        self.first_cleared.get_or_insert_with(|| (text.to_owned(), block));
    }

    /// One sentence each.
    pub(super) fn lines(&self, file: &SetFile, base: Option<&str>) -> Vec<String> {
        let name = file.name();
        let mut lines = Vec::new();
        if let Some(base) = base.filter(|base| *base != name.as_str()) {
            lines.push(format!("the file calls the set {base}; it was read as {name}"));
        }
        if self.bare_flush {
            lines.push(format!(
                "a bare `flush` empties every ipset of the host when ipset reads it; here it was read as `flush {name}`"
            ));
        }
        if self.flushed > 0 {
            lines.push(format!("{} above a flush left out", entries(self.flushed, "was", "were")));
        }
        if let Some((text, block)) = &self.first_cleared {
            let more =
                if self.cleared > 1 { format!(", and {} more like it", self.cleared - 1) } else { String::new() };
            lines.push(format!("{text} has host bits set: read as {block}{more}"));
        }
        for family in Family::ALL {
            if let Some(block) = self.widened[half(family)] {
                lines.push(format!(
                    "{} becomes hash:net: hash:ip keeps single addresses, and {block} is too many of them",
                    file.kernel_name(family)
                ));
            }
            let (asked, got) = (self.asked_maxelem[half(family)], file.shape(family).maxelem);
            if asked != 0 && asked != got {
                lines.push(format!(
                    "maxelem of {} grows from {asked} to {got}, for its entries would not fit",
                    file.kernel_name(family)
                ));
            }
        }
        if self.moved_to_v6 > 0 {
            let v6 = file.kernel_name(Family::V6);
            lines.push(format!("{} to {v6}, for an ipset has one family", entries(self.moved_to_v6, "goes", "go")));
        }
        if self.repeated > 0 {
            lines.push(format!("{} there already: the last one counts", entries(self.repeated, "was", "were")));
        }
        if self.counters {
            lines.push("counters, skbinfo and forceadd are not kept".to_owned());
        }
        if let Some(seconds) = self.default_timeout {
            lines.push(format!(
                "the set's default timeout of {seconds} s now stands at each entry; entries added later stay until removed"
            ));
        }
        if self.relative {
            lines.push("timeouts count from this import on".to_owned());
        }
        lines
    }
}

fn entries(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 entry {one}") } else { format!("{count} entries {many}") }
}
