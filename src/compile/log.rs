//! What tells of a drop, in front of it. It decides nothing: whatever it asks, the drop behind it asks too.

use crate::net::Family;
use crate::ruleset::{Action, DesiredTable, Line, LogPath, LogPrefix, Match, Rule};

/// Rules that tell of what `drop` drops, as far as it begins something: one for each way it can have come.
pub(super) fn in_front(drop: &[Match], rule: Option<&str>, family: Family, paths: &[LogPath]) -> Vec<Rule> {
    let rewritten = drop.iter().any(|each| matches!(each, Match::Dnat | Match::Published(_)));
    let possible = paths.iter().filter(|path| !rewritten || **path != LogPath::Direct);
    let telling = |path: &LogPath| {
        let mut matches = drop.to_vec();
        matches.extend(path.condition().filter(|_| !rewritten));
        matches.extend([Match::Unknown, Match::Seldom(family)]);
        let prefix = LogPrefix { backstop: false, path: *path, rule: rule.map(str::to_owned) };
        Rule::new(matches, Action::Log(prefix.to_string()))
    };
    possible.map(telling).collect()
}

/// The same table where it is the backstop: what it tells of is told apart.
pub(super) fn as_backstop(mut table: DesiredTable) -> DesiredTable {
    for line in table.chains.values_mut().flatten() {
        if let Some(Rule { matches, action: Action::Log(prefix) }) = &line.rule
            && let Some(prefix) = LogPrefix::parse(prefix)
        {
            let action = Action::Log(LogPrefix { backstop: true, ..prefix }.to_string());
            *line = Line::of(Rule::new(matches.clone(), action));
        }
    }
    table
}
