//! The third line that an agent holds, as far as it concerns whoever writes the kernel.

use std::collections::BTreeSet;

use super::Session;
use crate::compile::{self, Ground, ThirdLine};
use crate::ruleset::{Desired, Dump};

impl Session {
    /// What an agent's third line has to ask of a kernel that holds `state`.
    pub(in crate::cli) fn third_line(&self, state: &Dump) -> Option<ThirdLine> {
        let earlier = self.ledger.earlier();
        let resolved = self.pass(self.config(), &earlier, self.inventory.as_ref()?).resolved(state);
        ThirdLine::of(&resolved, |family| Ground::of(state, family))
    }

    /// What stays when everything of ours goes, `users`' sets with it.
    pub(super) fn nothing_but_the_proof(&self, state: &Dump, users: &BTreeSet<String>) -> Desired {
        let standing = compile::standing(self.proof, |family| Ground::of(state, family));
        Desired { gone: users.clone(), ..standing }
    }
}
