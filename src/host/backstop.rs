//! How much the backstop alone had to drop.

use super::kernel::HostKernel;
use crate::net::Family;
use crate::ruleset::names;

/// Packets that our chains in the `security` table dropped, of both families: what our first line judged before them, in
/// `filter`, does not come that far. They stay when the chains are written anew.
pub fn dropped(kernel: &HostKernel) -> u64 {
    let Some(known) = kernel.capabilities() else { return 0 };
    let mut all = 0;
    for family in Family::ALL {
        let program = known.flavour.program(family, "save");
        // A family or a table that is not there drops nothing.
        let Ok(ran) = kernel.call(&program, &["-c", "-t", "security"], "") else { continue };
        all += ran.stdout.lines().filter_map(of_line).sum::<u64>();
    }
    all
}

/// The packets of a rule of ours that drops: `[3:180] -A DOCKER-FIREWALL-TO ... -j DROP`.
fn of_line(line: &str) -> Option<u64> {
    let (counters, rule) = line.strip_prefix('[')?.split_once("] -A ")?;
    let ours = rule.starts_with(names::PREFIX) && (rule.ends_with("-j DROP") || rule.contains("-j REJECT"));
    counters.split(':').next().filter(|_| ours)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drops_of_ours_count() {
        assert_eq!(of_line("[3:180] -A DOCKER-FIREWALL-TO -m set --match-set df4-guarded dst -j DROP"), Some(3));
        assert_eq!(of_line("[3:180] -A DOCKER-FIREWALL-TO -m set --match-set df4-guarded dst -j RETURN"), None);
        assert_eq!(of_line("[3:180] -A FORWARD -j DROP"), None);
        assert_eq!(of_line(":INPUT ACCEPT [5:300]"), None);
    }
}
