//! Rules and the policy they make up.

use jiff::Timestamp;

use super::source::RuleSource;
use super::target::Target;
use crate::net::PortSet;

/// What a matching rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Our chain lets the packet go on to Docker's own rules.
    Allow,
    /// The packet is dropped.
    Deny,
}

/// What happens to containers that no allow rule selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultAccess {
    /// They stay as Docker left them.
    #[default]
    Open,
    /// They are guarded too: nobody reaches them.
    Closed,
}

/// Where in the `filter` table our rules are called from (DESIGN: "Hooks"). The backstop in `security` is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// First in `DOCKER-USER`, or in `FORWARD` where a family has no such chain.
    #[default]
    DockerUser,
    /// At the top of `DOCKER`, literally, with ACCEPT verdicts.
    Docker,
    /// First in `FORWARD`.
    Forward,
}

/// Which ports a rule speaks of. Both `None`: everything, every protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Ports of the container (`--port`).
    pub container: Option<PortSet>,
    /// Ports of the host (`--published`).
    pub published: Option<PortSet>,
}

/// One rule. Which number it has is its place in [`Policy::rules`], counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The decision.
    pub verdict: Verdict,
    /// Whom it protects; never empty.
    pub targets: Vec<Target>,
    /// Which ports. With both kinds set the rule speaks of either.
    pub ports: Ports,
    /// Who comes; never empty.
    pub sources: Vec<RuleSource>,
    /// Only packets that come in over this interface of the host.
    pub interface: Option<String>,
    /// From then on the rule allows or denies nothing more. An expired allow still guards its targets.
    pub expires: Option<Timestamp>,
    /// The author's words.
    pub comment: Option<String>,
    /// The author said that targets may not exist yet.
    pub pending: bool,
    /// The line of the policy file where it starts, counted from 1; `None` for one not written yet.
    pub line: Option<usize>,
}

/// Everything the policy file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// For containers that no allow rule selects.
    pub default: DefaultAccess,
    /// Where the rules hang.
    pub hook: Hook,
    /// In order: the first that matches decides.
    pub rules: Vec<Rule>,
}
