//! Sets: entries that no file holds, and room for more.

use super::{Check, Evidence};
use crate::plan;
use crate::policy::shell_word;
use crate::ruleset::{IpSet, Member, is_own_set, render_set_entry};

/// Entries that are shown one by one.
const SHOWN: usize = 3;

/// Entries that somebody added by hand and that no file holds.
pub(super) fn unsaved(evidence: &Evidence<'_>) -> Check {
    let unsaved = plan::unsaved(evidence.state, evidence.desired);
    let Some((name, entries)) = unsaved.first() else {
        return Check::good("unsaved", "every entry of our sets is in a file");
    };
    let named: Vec<String> = unsaved.iter().map(|(name, entries)| format!("{name} ({})", entries.len())).collect();
    let shown = entries.iter().take(SHOWN).map(|entry| render_set_entry(entry, &Member::default()));
    let shown: Vec<String> = shown.map(|entry| shell_word(&entry).into_owned()).collect();
    let rest = if entries.len() > SHOWN { " ..." } else { "" };
    Check::warning("unsaved", format!("entries that no file holds, gone with the next reboot: {}", named.join(", ")))
        .fixed_by(format!("{} set add {} {}{rest}", evidence.host.program, shell_word(of_user(name)), shown.join(" ")))
}

/// Sets that can hardly take another entry.
pub(super) fn room(evidence: &Evidence<'_>) -> Check {
    // Ours are made anew with more room when they need it.
    let full =
        |(name, set): &(&String, &IpSet)| !is_own_set(name) && set.members.len() * 10 >= set.shape.maxelem as usize * 9;
    let tight: Vec<(&String, &IpSet)> = evidence.state.sets.iter().filter(full).collect();
    let Some((first, _)) = tight.first() else {
        return Check::good("room", "no set is near its maxelem");
    };
    let named: Vec<String> =
        tight.iter().map(|(name, set)| format!("{name} ({} of {})", set.members.len(), set.shape.maxelem)).collect();
    Check::warning("room", format!("nearly full, so that the next `ipset add` may fail: {}", named.join(", ")))
        .fixed_by(format!(
            "raise maxelem in the `create` line of /etc/docker-firewall/sets/{}.conf, then {} apply",
            of_user(first),
            evidence.host.program
        ))
}

/// The set of ours that a kernel set is one family's half of.
fn of_user(kernel_name: &str) -> &str {
    kernel_name.strip_suffix("-v6").unwrap_or(kernel_name)
}
