//! `rm`: rules go, by number, ID or target.

use std::collections::BTreeSet;

use crate::cli::args::{RmArgs, RuleName};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::report;
use crate::cli::session::{Need, Session};
use crate::cli::text::printable;
use crate::policy::{Policy, Rule};

/// Runs it. All of the rules named go, or none.
pub fn run(ctx: &mut Context, args: RmArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    let doomed = doomed(session.policy(), &args, &ctx.program)?;
    let rules: Vec<Rule> = doomed.iter().map(|&index| session.policy().rules[index].clone()).collect();
    let mut config = session.config().clone();
    // From the end, so that numbers stay true.
    for &index in doomed.iter().rev() {
        config.document.remove(index).map_err(|error| Failure::internal(error.to_string()))?;
    }
    if args.dry_run {
        return session.show_plan(ctx, &config);
    }
    session.change(ctx, config)?;
    for (rule, index) in rules.iter().zip(&doomed) {
        ctx.output.line(&format!("Removed rule {}: {}", index + 1, printable(&rule.to_string())));
    }
    report::now_true(ctx, &session, &rules.iter().collect::<Vec<_>>(), &[]);
    Ok(Exit::Success)
}

fn doomed(policy: &Policy, args: &RmArgs, program: &str) -> Result<BTreeSet<usize>, Failure> {
    let rules = &policy.rules;
    let mut doomed = BTreeSet::new();
    for name in &args.rules {
        let index = match name {
            RuleName::Number(number) => number.checked_sub(1).filter(|index| *index < rules.len()),
            RuleName::Id(id) => {
                let with_id: Vec<usize> =
                    (0..rules.len()).filter(|&index| rules[index].id().starts_with(id.as_str())).collect();
                match with_id.as_slice() {
                    [] => None,
                    [one] => Some(*one),
                    _ => return Err(Failure::user(format!("the ID {id} is the beginning of several rules'"))),
                }
            }
        };
        let shown = match name {
            RuleName::Number(number) => number.to_string(),
            RuleName::Id(id) => id.clone(),
        };
        let missing = || {
            let count = report::count(rules.len(), "rule", "rules");
            Failure::user(format!("there is no rule {shown}: the policy has {count}"))
                .hinted(format!("`{program} rules` lists them"))
        };
        doomed.insert(index.ok_or_else(missing)?);
    }
    for target in &args.targets {
        let of_target = (0..rules.len()).filter(|&index| rules[index].targets.contains(target));
        let before = doomed.len();
        let mut shared = None;
        for index in of_target {
            if rules[index].targets.len() > 1 {
                shared = Some(index);
            }
            doomed.insert(index);
        }
        if let Some(index) = shared {
            // Taking the whole rule would change what others are promised.
            return Err(Failure::user(format!("rule {} speaks of other targets than {target} too", index + 1))
                .hinted(format!("Remove it by its number, and write it again for the others: {}", rules[index])));
        }
        if doomed.len() == before && !rules.iter().any(|rule| rule.targets.contains(target)) {
            return Err(Failure::user(format!("no rule names {}", printable(&target.to_string())))
                .hinted(format!("`{program} rules` lists them")));
        }
    }
    Ok(doomed)
}
