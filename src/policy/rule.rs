//! Rules and the policy they make up.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::shell::shell_word;
use super::source::RuleSource;
use super::target::Target;
use crate::net::{PortRange, PortSet, Protocol};

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

/// What becomes of packets from outside to an address of Docker's networks that the agent has not placed yet. Without an
/// agent, which would place it, the key means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unseen {
    /// They are dropped: a container that starts is never open before its rules.
    #[default]
    Closed,
    /// Docker alone decides until the agent has seen the container.
    Open,
}

/// Where in the `filter` table our rules are called from (DESIGN: "Hooks"). The backstop in `security` is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// First in `DOCKER-USER`, or in `FORWARD` where nothing calls such a chain.
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

impl Ports {
    /// Whether they leave no port out.
    pub fn is_every(&self) -> bool {
        self.container.is_none() && self.published.is_none()
    }

    /// All ranges, the container's and the host's: on the host's network both are the same.
    pub fn ranges(&self) -> impl Iterator<Item = PortRange> + '_ {
        self.container.iter().chain(&self.published).flat_map(PortSet::ranges).copied()
    }

    /// Whether they speak of a container's port that is published as `published`, if it is.
    pub fn speak_of(&self, protocol: Protocol, port: u16, published: Option<u16>) -> bool {
        if self.is_every() {
            return true;
        }
        self.container.as_ref().is_some_and(|ports| ports.contains(protocol, port))
            || published.is_some_and(|host| self.published.as_ref().is_some_and(|ports| ports.contains(protocol, host)))
    }
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
    /// What it denies is written down. Of deny rules only.
    pub log: bool,
    /// The line of the policy file where it starts, counted from 1; `None` for one not written yet.
    pub line: Option<usize>,
}

/// Everything the policy file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// For containers that no allow rule selects.
    pub default: DefaultAccess,
    /// For addresses of Docker's networks that the agent has not placed yet.
    pub unseen: Unseen,
    /// Where the rules hang.
    pub hook: Hook,
    /// Whoever is kept out of a guarded container, or denied by any rule, is written down.
    pub log: bool,
    /// In order: the first that matches decides.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Whether anything is written down at all.
    pub fn logs(&self) -> bool {
        self.log || self.rules.iter().any(|rule| rule.log)
    }

    /// Whether what is selected by these rules of it, and by no others, is guarded: what none of them allows is dropped.
    pub fn guards<'a>(&self, mut selecting: impl Iterator<Item = &'a Rule>) -> bool {
        self.default == DefaultAccess::Closed || selecting.any(|rule| rule.verdict == Verdict::Allow)
    }
}

impl Verdict {
    /// The word in commands and in the policy file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DefaultAccess {
    /// Both, in the order in which help lists them.
    pub const ALL: [Self; 2] = [Self::Open, Self::Closed];

    /// The word in commands and in the policy file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for DefaultAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Unseen {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Closed, Self::Open];

    /// The word in the policy file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DockerUser, Self::Docker, Self::Forward];

    /// The word in the policy file.
    pub fn name(self) -> &'static str {
        match self {
            Self::DockerUser => "docker-user",
            Self::Docker => "docker",
            Self::Forward => "forward",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rule {
    /// A short name for the rule that lives as long as its meaning: it changes with what the rule says, not with its
    /// place, comment, or the order of its targets and sources. Rules that say the same share it.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.canonical());
        digest.iter().take(4).fold(String::with_capacity(8), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        })
    }

    /// What the ID stands for. Fields and items are parted by control characters, which none of them can hold.
    fn canonical(&self) -> String {
        fn list(items: impl Iterator<Item = String>) -> String {
            let sorted: BTreeSet<String> = items.collect();
            sorted.into_iter().collect::<Vec<_>>().join("\u{1f}")
        }
        fn optional(value: Option<&impl ToString>) -> String {
            value.map(ToString::to_string).unwrap_or_default()
        }
        [
            self.verdict.name().to_owned(),
            list(self.targets.iter().map(ToString::to_string)),
            optional(self.ports.container.as_ref()),
            optional(self.ports.published.as_ref()),
            list(self.sources.iter().map(ToString::to_string)),
            optional(self.interface.as_ref()),
            optional(self.expires.as_ref()),
        ]
        .join("\n")
    }
}

impl fmt::Display for Rule {
    /// The rule as a command: `allow web --from ipfriends --port 80/tcp`. The comment is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verdict.name())?;
        for target in &self.targets {
            write!(f, " {}", shell_word(&target.to_string()))?;
        }
        let sources: Vec<String> = self.sources.iter().map(ToString::to_string).collect();
        write!(f, " --from {}", shell_word(&sources.join(",")))?;
        if let Some(ports) = &self.ports.container {
            write!(f, " --port {ports}")?;
        }
        if let Some(ports) = &self.ports.published {
            write!(f, " --published {ports}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " --interface {}", shell_word(interface))?;
        }
        if let Some(expires) = &self.expires {
            write!(f, " --until {expires}")?;
        }
        if self.log {
            f.write_str(" --log")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::parse_ports;

    fn rule() -> Rule {
        Rule {
            verdict: Verdict::Allow,
            targets: vec![Target::Container("web".to_owned())],
            ports: Ports { container: Some(parse_ports("80").unwrap()), published: None },
            sources: vec![RuleSource::Set("ipfriends".parse().unwrap())],
            interface: None,
            expires: None,
            comment: None,
            pending: false,
            log: false,
            line: None,
        }
    }

    #[test]
    fn reads_like_a_command() {
        assert_eq!(rule().to_string(), "allow web --from ipfriends --port 80/tcp");
        let full = Rule {
            verdict: Verdict::Deny,
            targets: vec![Target::All, Target::Label("a".to_owned(), Some("b c".to_owned()))],
            ports: Ports { container: None, published: Some(parse_ports("8443,53/udp").unwrap()) },
            sources: vec![RuleSource::Any, RuleSource::parse("10.0.0.1-10.0.0.9").unwrap().0],
            interface: Some("eth0".to_owned()),
            expires: Some("2026-11-22T18:00:00Z".parse().unwrap()),
            log: true,
            ..rule()
        };
        assert_eq!(
            full.to_string(),
            "deny '*' 'label:a=b c' --from any,10.0.0.1-10.0.0.9 --published 8443/tcp,53/udp --interface eth0 \
             --until 2026-11-22T18:00:00Z --log"
        );
    }

    #[test]
    fn id_follows_the_meaning() {
        // Written down: people keep IDs in scripts, so it must not change between versions.
        assert_eq!(rule().id(), "1918610c");
        let retold = Rule { comment: Some("x".to_owned()), line: Some(9), pending: true, log: true, ..rule() };
        assert_eq!(retold.id(), rule().id());
        let two = |first: &str, second: &str| Rule {
            targets: vec![first.parse().unwrap(), second.parse().unwrap()],
            ..rule()
        };
        assert_eq!(two("a", "b").id(), two("b", "a").id());
        assert_ne!(two("a", "b").id(), rule().id());
        assert_ne!(Rule { verdict: Verdict::Deny, ..rule() }.id(), rule().id());
        let published = Ports { container: None, published: Some(parse_ports("80").unwrap()) };
        assert_ne!(Rule { ports: published, ..rule() }.id(), rule().id());
    }
}
