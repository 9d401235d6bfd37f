//! One look at what the kernel counted: rules of both families, members of our sets, and how many entries sets have.

use std::collections::BTreeMap;

use super::kernel::{HostKernel, Kernel as _, KernelError};
use super::members::{self, Listed};
use crate::net::Family;
use crate::ruleset::{CountedMember, Dump, parse_iptables_save};
use crate::tally::{closes, speaks};

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Rules with their counters; of sets only the shapes.
    pub dump: Dump,
    /// All sets.
    pub sets: Vec<Listed>,
    /// Members of those of ours that say whose an address is.
    pub members: Vec<CountedMember>,
}

/// Reads them. Nobody is kept from changing rules meanwhile: what goes in between is not counted this time.
pub fn read(kernel: &mut HostKernel) -> Result<Counters, KernelError> {
    let dump = kernel.observe(&|_| false)?;
    with_sets(dump, &|name| closes(name) || speaks(name))
}

/// The same where rules were read already: `saves` is what the tools printed, with counters. Of members only those that
/// count; whom rules speak of the caller knows.
pub fn read_beside(saves: &BTreeMap<Family, String>) -> Result<Counters, KernelError> {
    let mut dump = Dump::default();
    for (family, save) in saves {
        let unparsable = |source| KernelError::Unparsable { tool: "iptables-save".to_owned(), source };
        dump.tables.extend(parse_iptables_save(*family, save).map_err(unparsable)?);
    }
    with_sets(dump, &closes)
}

fn with_sets(dump: Dump, wanted: &dyn Fn(&str) -> bool) -> Result<Counters, KernelError> {
    let unread = |source| KernelError::NotRun { tool: "netlink (ip_set)".to_owned(), source };
    let sets = members::list().map_err(unread)?;
    let counting = sets.iter().filter(|set| set.entries != Some(0) && wanted(&set.name)).map(|set| &*set.name);
    let members = members::counted(counting).map_err(unread)?;
    Ok(Counters { dump, sets, members })
}
