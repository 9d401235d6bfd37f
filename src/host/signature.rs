//! Rules of iptables-legacy, of whose changes nobody tells, in a few bytes.

use std::hash::{DefaultHasher, Hasher as _};

use super::flavour::Kind;
use super::kernel::HostKernel;
use crate::net::Family;
use crate::ruleset::names;

/// A number that is another one when a chain of ours, or one that calls ours, has other rules and nobody tells of it.
/// Counters leave it as it is. `None` where somebody does tell, or nothing can be read.
pub fn legacy_rules(kernel: &HostKernel) -> Option<u64> {
    let flavour = &kernel.capabilities()?.flavour;
    if flavour.kind != Kind::Legacy {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    for family in Family::ALL {
        let Ok(ran) = kernel.call(&flavour.program(family, "save"), &[], "") else { continue };
        for line in ran.stdout.lines().filter(|line| concerns(line)) {
            hasher.write(line.split(" [").next().unwrap_or(line).as_bytes());
        }
    }
    Some(hasher.finish())
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
