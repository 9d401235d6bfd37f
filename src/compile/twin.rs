//! The second line of defence asks sets of its own.
//!
//! `filter` and `security` judge the same packet, and both must let it pass. If they asked the same sets, whoever emptied
//! or edited one of those would have put both out of action. So each of our sets that the second line asks has a twin of the
//! same members, and the second line asks the twin.

use std::collections::BTreeMap;

use super::blind;
use crate::ruleset::{DesiredTable, IpSet, Line, Match};

/// The set that the second line asks where the first one asks `name`.
pub fn twin(name: &str) -> String {
    format!("{name}-2")
}

/// Lets `table` ask twins, and makes those. `sets` are ours: what somebody else keeps has none. Neither has the canary,
/// which no edit can make anybody wider; both lines have to see it sing at the same moment.
pub(super) fn ask_twins(table: &mut DesiredTable, sets: &mut BTreeMap<String, IpSet>) {
    let mut twins = BTreeMap::new();
    let lines = table.chains.values_mut().flatten();
    for line in lines.chain(table.hooks.iter_mut().flat_map(|hook| &mut hook.lines)) {
        let Some(rule) = &mut line.rule else { continue };
        let mut renamed = false;
        for condition in &mut rule.matches {
            let Match::Set { name, .. } = condition else { continue };
            if let Some(set) = sets.get(name).filter(|_| !blind::is_canary(name)) {
                let twin = twin(name);
                twins.entry(twin.clone()).or_insert_with(|| set.clone());
                *name = twin;
                renamed = true;
            }
        }
        if renamed {
            *line = Line::of(rule.clone());
        }
    }
    sets.extend(twins);
}
