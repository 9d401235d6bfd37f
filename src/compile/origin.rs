//! Which rules a kernel rule comes of, told by the name of its set: for counters, which the kernel keeps by its own rules.
//!
//! The name is a digest of what is asked, so nobody has to know the containers: the policy is enough.

use std::collections::{BTreeMap, BTreeSet};

use super::twin::twin;
use super::{atom, sets};
use crate::net::Family;
use crate::policy::Policy;
use crate::resolve::Resolved;

/// The sets `allow-...` and `deny-...` that the policy's rules may be asked by, with the indices of those rules: several
/// where what they ask is the same. Those of the second line count too. `ipsets` are the kernel's sets of other tools.
pub fn origins(policy: &Policy, ipsets: &BTreeMap<String, Family>) -> BTreeMap<String, BTreeSet<usize>> {
    let telling = Resolved {
        log: policy.log,
        rules: policy.rules.clone(),
        remaining: policy.rules.iter().map(|rule| rule.expires.map(|_| 1)).collect(),
        ipsets: ipsets.clone(),
        ..Resolved::default()
    };
    // A kernel that cannot log has other sets; names do not lie.
    let mute = telling.clone().muted();
    let mut origins: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (resolved, family) in [&telling, &mute].into_iter().flat_map(|one| Family::ALL.map(|family| (one, family))) {
        for index in 0..resolved.rules.len() {
            for key in atom::possible(resolved, index, family).keys() {
                let name = sets::of_key(key, family);
                origins.entry(twin(&name)).or_default().insert(index);
                origins.entry(name).or_default().insert(index);
            }
        }
    }
    origins
}
