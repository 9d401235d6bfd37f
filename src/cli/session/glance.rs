//! What commands see that ask what rules do, and not who is in the sets.

use std::collections::BTreeSet;

use super::Session;
use crate::cli::complaint;
use crate::cli::failure::Failure;
use crate::plan;
use crate::policy::SetFile;
use crate::reconcile::{self, Record};
use crate::ruleset::Dump;

/// Entries of a set's file above which `ls` leaves its members alone.
const LARGE_SET: usize = 10_000;

impl Session {
    /// The kernel's state, and in how many lines it differs from what the files want. Members of users' sets whose files
    /// are large are neither read nor compared: who only asks what rules do has no use for them.
    pub(in crate::cli) fn rules_in_force(&mut self) -> Result<(Dump, usize), Failure> {
        let config = self.config().clone();
        let record = Record::read(self.ledger.paths()).map_err(|error| complaint::file(&error))?;
        let is_large = |set: &&SetFile| set.entries().nth(LARGE_SET).is_some();
        let large: BTreeSet<String> = reconcile::kernel_names(config.sets.values().filter(is_large)).collect();
        if large.is_empty() || !record.is_empty() || self.containers_with_sandbox(self.policy()).next().is_some() {
            // The namespaces of containers hold copies of those sets, which can only be compared whole.
            let state = self.state()?;
            return Ok((state, self.differences(&config)?.len()));
        }
        let names: BTreeSet<String> = self.ledger.users(&config).difference(&large).cloned().collect();
        let state = reconcile::observe(&mut self.kernel, &names).map_err(|error| complaint::kernel(&error))?;
        self.seen = Some((names, state.clone()));
        self.settle_logging(config.document.policy(), &state);
        let mut desired = self.desired(&config, &state);
        desired.sets.retain(|name, _| !large.contains(name));
        let changes = plan::diff(&state, &desired).len();
        Ok((state, changes))
    }
}
