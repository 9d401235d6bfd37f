//! What stays in force where the files do not say what shall be.

use super::{Applied, Context, Dump, Failure, FailureKind, Owner, Session, report};
use crate::reconcile::Boot;
use crate::ruleset::is_own_chain;

impl Session {
    /// Makes the files as they are true; but where they say what cannot be believed in, what was last in
    /// force stays in force, for the containers as they are now.
    pub(in crate::cli) fn keep_true(&mut self, ctx: &mut Context) -> Result<Applied, Failure> {
        let result = self.make_true(ctx, self.config().clone());
        match result {
            Err(failure) if failure.kind == FailureKind::User && self.fault.is_none() && self.ledger.has_last() => {
                self.fault = Some(failure.message.replace('\n', "; "));
                self.ledger.stand_on_last();
                self.make_true(ctx, self.config().clone())
            }
            result => result,
        }
    }

    /// Containers that were guarded when the kernel was last written, under the names that they had.
    pub(in crate::cli) fn guarded_before(&self) -> Vec<Owner> {
        Boot::read(self.ledger.paths()).record.map(|record| record.owners).unwrap_or_default()
    }

    /// The command brings a whole policy of its own: that the old one is missing does not matter.
    pub(in crate::cli) fn policy_replaced(&mut self) {
        self.ledger.policy_replaced();
    }

    /// See [`Ledger::policy_gone`](crate::reconcile::Ledger::policy_gone).
    pub(super) fn refuse_lost_policy(&self, state: &Dump) -> Result<(), Failure> {
        let in_force = state.tables.values().any(|table| table.chains.keys().any(|chain| is_own_chain(chain)));
        if !self.ledger.policy_gone() || !in_force {
            return Ok(());
        }
        let paths = self.ledger.paths();
        let (policy, copy) = (paths.policy_file(), paths.last_good_paths().policy_file());
        let rules = report::count(self.last_policy().rules.len(), "rule", "rules");
        Err(Failure::refused(format!("{} is missing, but what it said last is in force: {rules}", policy.display()))
            .hinted(format!("Nothing was changed. To have it back: cp {} {}", copy.display(), policy.display()))
            .hinted(format!("To begin anew without any rule: echo 'version = 1' > {}", policy.display())))
    }
}
