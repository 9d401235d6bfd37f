//! What commands see that ask what rules do, and not who is in the sets.

use super::Session;
use crate::access::{is_guarded, rules_of};
use crate::cli::complaint;
use crate::cli::failure::Failure;
use crate::inventory::Container;
use crate::reconcile::Record;

impl Session {
    /// Which containers' own network namespaces hold something of ours.
    pub(in crate::cli) fn written_inside(&self) -> Result<Record, Failure> {
        Record::read(self.ledger.paths()).map_err(|error| complaint::file(&error))
    }

    /// Whether a rule or the default speaks of a container.
    pub(in crate::cli) fn speaks_of(&self, container: &Container) -> bool {
        let spoken = |inventory| {
            is_guarded(self.policy(), inventory, container) || !rules_of(self.policy(), inventory, container).is_empty()
        };
        self.inventory.as_ref().is_some_and(spoken)
    }
}
