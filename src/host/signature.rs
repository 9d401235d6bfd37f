//! What nobody tells of when it changes, in a few bytes: sets, and rules of iptables-legacy.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};

use super::flavour::Kind;
use super::kernel::{HostKernel, KernelError};
use crate::net::Family;
use crate::ruleset::{is_own_set, names};

/// A number that is another one when a set of ours, or one of `users`, has come, gone, or has other entries in number, or
/// when a chain of ours or one that calls ours has other rules and nobody tells of it. Members of a set that are
/// exchanged one for one, and counters, leave it as it is.
pub fn signature(kernel: &HostKernel, users: &BTreeSet<String>) -> Result<u64, KernelError> {
    let mut hasher = DefaultHasher::new();
    let mut ours = false;
    for line in kernel.call("ipset", &["list", "-terse"], "")?.stdout.lines() {
        if let Some(name) = line.strip_prefix("Name: ") {
            ours = is_own_set(name) || users.contains(name);
        }
        // The others are settled when a set is made, or change with its members: how many, and the room that they take.
        if ours && ["Name: ", "Type: ", "Number of entries: "].iter().any(|kind| line.starts_with(kind)) {
            hasher.write(line.as_bytes());
        }
    }
    let Some(flavour) = kernel.capabilities().map(|known| &known.flavour) else { return Ok(hasher.finish()) };
    if flavour.kind == Kind::Legacy {
        for family in Family::ALL {
            let Ok(ran) = kernel.call(&flavour.program(family, "save"), &[], "") else { continue };
            for line in ran.stdout.lines().filter(|line| concerns(line)) {
                hasher.write(line.split(" [").next().unwrap_or(line).as_bytes());
            }
        }
    }
    Ok(hasher.finish())
}

/// Whether a line of a save is about a chain of ours, or one that calls ours.
fn concerns(line: &str) -> bool {
    let chain = line.strip_prefix("-A ").or_else(|| line.strip_prefix(':')).and_then(|rest| rest.split(' ').next());
    chain.is_some_and(|chain| {
        chain.starts_with(names::PREFIX)
            || [names::FORWARD, names::INPUT, names::OUTPUT, names::DOCKER_USER].contains(&chain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_own_chains_are_passed_over() {
        assert!(concerns("-A DOCKER-FIREWALL-TO -j DROP"));
        assert!(concerns(":FORWARD DROP [3:180]"));
        assert!(concerns("-A DOCKER-USER -j RETURN"));
        assert!(!concerns("-A DOCKER -d 172.17.0.2/32 -j ACCEPT"));
        assert!(!concerns("*filter"));
        assert!(!concerns("# a comment"));
    }
}
