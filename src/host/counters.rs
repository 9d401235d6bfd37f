//! One look at what the kernel counted: rules of both families, members of our sets, and how many entries sets have.

use std::fmt::Write as _;

use super::kernel::{HostKernel, Kernel as _, KernelError};
use super::observe::list_sets;
use crate::ruleset::{
    CountedMember, Dump, SetHeader, is_own_set, is_temporary_set, parse_counted_members, parse_ipset_list_terse,
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
    let (sets, members) = match members(kernel) {
        // A set may go between the list and the look.
        Err(KernelError::Failed { .. }) => members(kernel)?,
        answer => answer?,
    };
    Ok(Counters { dump, sets, members })
}

fn members(kernel: &HostKernel) -> Result<(Vec<SetHeader>, Vec<CountedMember>), KernelError> {
    let unparsable = |source| KernelError::Unparsable { tool: "ipset".to_owned(), source };
    let sets = parse_ipset_list_terse(&list_sets(kernel)?).map_err(unparsable)?;
    let mut script = String::new();
    for set in sets.iter().filter(|set| set.entries != Some(0) && tells(&set.name)) {
        let _ = writeln!(script, "save {}", set.name);
    }
    if script.is_empty() {
        return Ok((sets, Vec::new()));
    }
    let save = kernel.call("ipset", &["restore"], &script)?.stdout;
    Ok((sets, parse_counted_members(&save).map_err(unparsable)?))
}

/// Whether the members of a set are containers.
fn tells(name: &str) -> bool {
    let rest = name.get(4..).unwrap_or_default();
    is_own_set(name)
        && !is_temporary_set(name)
        && (rest.contains("guarded") || rest.starts_with("allow-") || rest.starts_with("deny-"))
}
