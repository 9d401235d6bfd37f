//! Whether the kernel and its tools can log as our rules do: asked by writing such a rule where nothing comes by.

use super::kernel::{HostKernel, Kernel as _};
use crate::net::Family;
use crate::ruleset::{Action, LogPath, LogPrefix, Match, Rule, render_rule};

/// A chain that nobody calls. Left behind by a crash it is one of ours that nobody wants, and goes with the next apply.
const TRIAL: &str = "DOCKER-FIREWALL-TRIAL";

impl HostKernel {
    /// Why it cannot; `None` when it can.
    pub fn refuses_to_log(&mut self) -> Option<String> {
        let prefix = LogPrefix { backstop: false, path: LogPath::Host, rule: None };
        let rule = Rule::new([Match::Unknown, Match::Seldom(Family::V4)], Action::Log(prefix.to_string()));
        let text = format!("*filter\n:{TRIAL} - [0:0]\n-A {TRIAL} {}\nCOMMIT\n", render_rule(&rule));
        let refused = self.restore_rules(Family::V4, &text).err();
        if refused.is_none() {
            // What could not be taken away the next plan finds and removes.
            let _ = self.restore_rules(Family::V4, &format!("*filter\n:{TRIAL} - [0:0]\n-X {TRIAL}\nCOMMIT\n"));
        }
        refused.map(|error| error.to_string())
    }
}
