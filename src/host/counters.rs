//! One look at what the kernel counted: rules of both families, members of our sets, and how many entries sets have.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::kernel::{HostKernel, Kernel as _, KernelError};
use super::observe::list_sets;
use crate::net::Family;
use crate::ruleset::{
    CountedMember, Dump, SetHeader, is_own_set, is_temporary_set, parse_counted_members, parse_ipset_list_terse,
    parse_iptables_save,
};

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Rules with their counters; of sets only the shapes.
    pub dump: Dump,
    /// All sets.
    pub sets: Vec<SetHeader>,
    /// Members of those of ours that say whose an address is.
    pub members: Vec<CountedMember>,
}

/// Reads them. Nobody is kept from changing rules meanwhile: what goes in between is not counted this time.
pub fn read(kernel: &mut HostKernel) -> Result<Counters, KernelError> {
    let dump = kernel.observe(&|_| false)?;
    with_sets(kernel, dump, &|name| counts(name) || tells(name))
}

/// The same where rules were read already: `saves` is what the tools printed, with counters. Of members only those that
/// count; whom rules speak of the caller knows.
pub fn read_beside(kernel: &HostKernel, saves: &BTreeMap<Family, String>) -> Result<Counters, KernelError> {
    let mut dump = Dump::default();
    for (family, save) in saves {
        let unparsable = |source| KernelError::Unparsable { tool: "iptables-save".to_owned(), source };
        dump.tables.extend(parse_iptables_save(*family, save).map_err(unparsable)?);
    }
    with_sets(kernel, dump, &counts)
}

fn with_sets(kernel: &HostKernel, dump: Dump, wanted: &dyn Fn(&str) -> bool) -> Result<Counters, KernelError> {
    let (sets, members) = match members(kernel, wanted) {
        // A set may go between the list and the look.
        Err(KernelError::Failed { .. }) => members(kernel, wanted)?,
        answer => answer?,
    };
    Ok(Counters { dump, sets, members })
}

fn members(
    kernel: &HostKernel,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(Vec<SetHeader>, Vec<CountedMember>), KernelError> {
    let unparsable = |source| KernelError::Unparsable { tool: "ipset".to_owned(), source };
    let sets = parse_ipset_list_terse(&list_sets(kernel)?).map_err(unparsable)?;
    let mut script = String::new();
    for set in sets.iter().filter(|set| set.entries != Some(0) && wanted(&set.name)) {
        let _ = writeln!(script, "save {}", set.name);
    }
    if script.is_empty() {
        return Ok((sets, Vec::new()));
    }
    let save = kernel.call("ipset", &["restore"], &script)?.stdout;
    Ok((sets, parse_counted_members(&save).map_err(unparsable)?))
}

/// Whether the members of a set count.
fn counts(name: &str) -> bool {
    is_own_set(name) && !is_temporary_set(name) && name.contains("guarded")
}

/// Whether the members of a set tell whom rules speak of.
fn tells(name: &str) -> bool {
    let rest = name.get(4..).unwrap_or_default();
    is_own_set(name) && !is_temporary_set(name) && (rest.starts_with("allow-") || rest.starts_with("deny-"))
}
