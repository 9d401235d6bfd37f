//! Whether strangers get into a guarded container past everybody's rules, as the kernel holds them.

use super::facts::Strangers;
use super::{Check, count};

/// Judges what strangers found.
pub fn check(found: &Strangers, program: &str) -> Vec<Check> {
    let open = |way: &String| {
        Check::not_safe("reach", format!("a stranger gets into {way}"))
            .fixed_by(format!("{program} apply    (`{program} plan` shows what differs)"))
    };
    let mut checks: Vec<Check> = found.open.iter().map(open).collect();
    if let Some(first) = found.unknown.first() {
        let (many, tried) = (found.unknown.len(), found.tried);
        let text = format!("nobody can tell whether a stranger gets in in {many} of {tried} trials; such as {first}");
        checks.push(
            Check::unknown("reach", text)
                .fixed_by(format!("{program} explain TARGET --from ADDRESS --verbose shows the way there")),
        );
    }
    if checks.is_empty() {
        checks.push(match (found.guarded, found.tried) {
            (0, _) => Check::good("reach", "no guarded container that runs publishes a port"),
            (_, 0) => Check::unknown("reach", "no route leads to anybody outside who could be sent over the ways in")
                .fixed_by("ip route, once the network is up"),
            (_, tried) => {
                let trials = count(tried, "trial", "trials");
                let text = format!(
                    "strangers sent to published ports of guarded containers do not get in: {trials}, by all tables"
                );
                Check::good("reach", text)
            }
        });
    }
    checks
}
