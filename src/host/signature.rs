//! What nobody tells of when it changes, in a few bytes: sets, and rules of iptables-legacy.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;

use super::flavour::Kind;
use super::kernel::HostKernel;
use super::watch::SetProbe;
use crate::net::Family;
use crate::ruleset::{is_own_set, names};

/// A number that is another one when a set of ours, or one of `users`, has come, gone, or has other entries in number, or
/// when a chain of ours or one that calls ours has other rules and nobody tells of it. Members of a set that are
/// exchanged one for one, and counters, leave it as it is. No process is needed for sets.
pub fn signature(kernel: &HostKernel, users: &BTreeSet<String>) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let heads = SetProbe::open().and_then(|probe| probe.heads())?;
    for (name, head) in heads.iter().filter(|(name, _)| is_own_set(name) || users.contains(*name)) {
        hasher.write(name.as_bytes());
        hasher.write(head);
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
