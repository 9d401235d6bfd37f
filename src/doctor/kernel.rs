//! The kernel against the policy, and the second line of defence.

use super::{Check, Evidence, count, hook};
use crate::net::Family;
use crate::ruleset::Table;

/// Whether the kernel holds what the policy says.
pub(super) fn in_force(evidence: &Evidence<'_>) -> Check {
    let (changes, program) = (evidence.changes, &evidence.host.program);
    let Some(first) = changes.first() else {
        return Check::good("in-force", "the kernel holds what the policy says");
    };
    let lines = count(changes.len(), "line", "lines");
    let text =
        format!("the kernel differs from the policy in {lines}; the first is in {}: {}", first.place, first.text);
    Check::not_safe("in-force", text).fixed_by(format!("{program} apply    (`{program} plan` shows all of it)"))
}

/// Whether what Docker's chain is not asked about is judged all the same.
pub(super) fn backstop(evidence: &Evidence<'_>) -> Vec<Check> {
    let program = &evidence.host.program;
    let missing = |family: &Family| !evidence.state.tables.contains_key(&(*family, Table::Security));
    let without: Vec<Family> = Family::ALL.into_iter().filter(missing).collect();
    if !without.is_empty() {
        return without.iter().map(|family| no_table(evidence, *family)).collect();
    }
    let broken = hook::troubles(evidence, Table::Security);
    if !broken.is_empty() {
        return broken;
    }
    let missed = evidence.filters.missed;
    if missed == 0 {
        let text = "the security table judges every packet a second time, IPv4 and IPv6";
        return vec![Check::good("backstop", text)];
    }
    let since = evidence.host.clock.written.map(|written| format!(" (at {} or later)", to_the_second(written)));
    let text = format!(
        "it alone kept out {} since our chains were written{}: another program's rule lets them past our first line",
        count(usize::try_from(missed).unwrap_or(usize::MAX), "packet", "packets"),
        since.unwrap_or_default()
    );
    vec![Check::warning("backstop", text).fixed_by(format!(
        "{program} explain CONTAINER --from SOURCE --verbose shows whose; iptables -t security -Z and ip6tables -t \
         security -Z count anew"
    ))]
}

fn to_the_second(moment: jiff::Timestamp) -> jiff::Timestamp {
    moment.round(jiff::Unit::Second).unwrap_or(moment)
}

fn no_table(evidence: &Evidence<'_>, family: Family) -> Check {
    let module = match family {
        Family::V4 => "iptable_security",
        Family::V6 => "ip6table_security",
    };
    let text = format!(
        "this kernel has no security table for {family}: what another program accepts before our chain is asked gets \
         in, and so does everybody for the moments in which dockerd raises its own jump"
    );
    let check = if evidence.desired.tables.is_empty() {
        Check::warning("backstop", text)
    } else {
        Check::not_safe("backstop", text)
    };
    check.fixed_by(format!("modprobe {module}, then {} apply", evidence.host.program))
}
