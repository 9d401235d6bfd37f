//! Whether this kernel can tell of what it drops. One that cannot drops all the same.

use super::{Dump, Failure, Session};
use crate::policy::Policy;
use crate::ruleset::Action;

/// Whether it can.
#[derive(Debug, Default)]
pub(super) enum Logging {
    /// Nobody asked yet.
    #[default]
    Unasked,
    /// It can.
    Works,
    /// It cannot, and says why.
    Refused(String),
}

impl Session {
    /// Finds out whether the kernel can log, where `policy` wants it and nothing in it shows that it can.
    pub(super) fn settle_logging(&mut self, policy: &Policy, state: &Dump) {
        if !matches!(self.logging, Logging::Unasked) || !policy.logs() || !Self::is_privileged() {
            return;
        }
        let mut lines = state.tables.values().flat_map(|table| table.chains.values()).flat_map(|chain| &chain.lines);
        let can = lines.any(|line| line.rule.as_ref().is_some_and(|rule| matches!(rule.action, Action::Log(_))));
        let refused = if can { None } else { self.kernel.refuses_to_log() };
        self.logging = refused.map_or(Logging::Works, Logging::Refused);
    }

    /// Whether it was found that it cannot.
    pub(in crate::cli) fn is_mute(&self) -> bool {
        matches!(self.logging, Logging::Refused(_))
    }

    /// What is left out of a policy that wants a log where there can be none.
    pub(in crate::cli) fn missing_log(&self, policy: &Policy) -> Option<String> {
        let Logging::Refused(reason) = &self.logging else { return None };
        policy.logs().then(|| format!("nothing is logged, for this kernel cannot (xt_NFLOG, xt_hashlimit): {reason}"))
    }

    /// Refuses to switch a log on that there can not be.
    pub(in crate::cli) fn require_log(&mut self, policy: &Policy) -> Result<(), Failure> {
        let state = self.state()?;
        self.settle_logging(policy, &state);
        match self.missing_log(policy) {
            None => Ok(()),
            Some(text) => Err(Failure::environment(text).hinted(
                "Nothing was changed. The modules come with the kernel: modprobe xt_NFLOG, modprobe xt_hashlimit",
            )),
        }
    }
}
