//! The bodies of the commands on sets.

pub mod add;
pub mod create;
pub mod del;
pub mod export;
pub mod import;
pub mod inspect;
pub mod ls;
pub mod rm;
pub mod test;

use crate::cli::args::EntryArg;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::report::count;
use crate::cli::text::printable;
use crate::net::Family;
use crate::policy::{Policy, RuleSource, SetFile, SetName, nearest};
use crate::reconcile::Config;

/// The set, or a failure that names the nearest one.
fn existing<'a>(config: &'a Config, name: &SetName, program: &str) -> Result<&'a SetFile, Failure> {
    config.sets.get(name.as_str()).ok_or_else(|| {
        let near = nearest(name.as_str(), config.sets.keys().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        Failure::user(format!("there is no set {name}{near}"))
            .hinted(format!("`{program} set ls` lists them; `{program} set create {name}` makes it"))
    })
}

/// Numbers of the rules that ask the set, from 1.
fn users(policy: &Policy, name: &SetName) -> Vec<usize> {
    let asks = |source: &RuleSource| matches!(source, RuleSource::Set(set) if set == name);
    let numbered = policy.rules.iter().enumerate();
    numbered.filter(|(_, rule)| rule.sources.iter().any(asks)).map(|(index, _)| index + 1).collect()
}

/// `rule 1`, `rules 1, 3`.
fn rule_list(numbers: &[usize]) -> String {
    let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("{} {}", if list.len() == 1 { "rule" } else { "rules" }, list.join(", "))
}

/// Entries of both families.
fn total(set: &SetFile) -> usize {
    Family::ALL.iter().map(|family| set.count(*family)).sum()
}

/// Remarks on entries that were typed with host bits.
fn say_normalised(ctx: &mut Context, entries: &[EntryArg]) {
    for entry in entries {
        if let Some(block) = entry.normalised {
            ctx.output.note(&format!("note: {} has host bits set: it means {block}", printable(&entry.text)));
        }
    }
}

/// `ipfriends now has 3 entries; rule 1 asks it.`
fn now_has(set: &SetFile, policy: &Policy) -> String {
    let asking = users(policy, set.name());
    let use_ = match asking.as_slice() {
        [] => "no rule asks it yet".to_owned(),
        [_] => format!("{} asks it", rule_list(&asking)),
        _ => format!("{} ask it", rule_list(&asking)),
    };
    format!("{} now has {}; {use_}.", set.name(), count(total(set), "entry", "entries"))
}
