//! Which iptables: nft or legacy. Rules written with the other one than Docker's are inert, or filter twice.

use std::fmt;

use super::tools::Tools;
use crate::net::Family;

/// The two programs that go by the name of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `iptables-nft`.
    Nft,
    /// `iptables-legacy`, and everything before 1.8.
    Legacy,
}

impl Kind {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Nft => Self::Legacy,
            Self::Legacy => Self::Nft,
        }
    }

    /// `nft` or `legacy`, as in the programs' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iptables-{}", self.name())
    }
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flavour {
    /// Which one to use.
    pub kind: Kind,
    /// Why, for people.
    pub reason: String,
    /// Both hold Docker's chains: somebody switched without a reboot, and packets meet both.
    pub mixed: bool,
    /// Whether plain `iptables` is that one.
    pub default: bool,
}

impl Flavour {
    /// The name of the program that saves or restores, such as `ip6tables-legacy-restore`.
    pub fn program(&self, family: Family, verb: &str) -> String {
        let stem = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        if self.default { format!("{stem}-{verb}") } else { format!("{stem}-{}-{verb}", self.kind.name()) }
    }
}

/// Whether a save shows chains of Docker's, in `filter` or `nat`.
pub fn holds_docker(save: &str) -> bool {
    save.lines().any(|line| {
        let name = line.strip_prefix(':').and_then(|rest| rest.split_ascii_whitespace().next());
        matches!(name, Some("DOCKER" | "DOCKER-USER"))
    })
}

/// Decides from what plain `iptables-save` shows and, if it was asked, what the other kind's does.
pub fn decide(default: Kind, default_save: &str, other_save: Option<&str>) -> Flavour {
    let here = holds_docker(default_save);
    let there = other_save.is_some_and(holds_docker);
    let other = default.other();
    let (kind, reason) = match (here, there) {
        (true, false) => (default, format!("Docker's chains are in {default}")),
        (false, true) => (other, format!("Docker's chains are in {other}, though plain iptables is {default}")),
        (true, true) => {
            (default, format!("Docker's chains are in both {default} and {other}; plain iptables is {default}"))
        }
        (false, false) => (default, format!("Docker has no chains; plain iptables is {default}")),
    };
    Flavour { kind, reason, mixed: here && there, default: kind == default }
}

/// Which kind plain `iptables` is: all its names are links to one program that bears the kind in its name.
pub fn default_kind(tools: &Tools) -> Option<Kind> {
    let program = tools.find("iptables-save")?;
    let target = program.canonicalize().unwrap_or(program);
    let nft = target.file_name().is_some_and(|name| name.to_string_lossy().contains("nft"));
    Some(if nft { Kind::Nft } else { Kind::Legacy })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\nCOMMIT\n";
    const BARE: &str = "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-FIREWALL - [0:0]\nCOMMIT\n";

    #[test]
    fn goes_where_docker_is() {
        for (default_save, other_save, kind, mixed) in [
            (DOCKER, None, Kind::Nft, false),
            (DOCKER, Some(BARE), Kind::Nft, false),
            (DOCKER, Some(DOCKER), Kind::Nft, true),
            (BARE, Some(DOCKER), Kind::Legacy, false),
            (BARE, Some(BARE), Kind::Nft, false),
            ("", None, Kind::Nft, false),
        ] {
            let flavour = decide(Kind::Nft, default_save, other_save);
            assert_eq!((flavour.kind, flavour.mixed), (kind, mixed), "{default_save:?} {other_save:?}");
        }
    }

    #[test]
    fn names_programs() {
        let flavour = decide(Kind::Nft, "", Some(DOCKER));
        assert_eq!(flavour.program(Family::V6, "restore"), "ip6tables-legacy-restore");
        assert_eq!(decide(Kind::Legacy, "", None).program(Family::V4, "save"), "iptables-save");
    }
}
