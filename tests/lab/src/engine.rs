//! The engines a lab can run, and where their roots lie. `tests/engines.sh` makes the roots.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::LabError;

/// A Docker engine, named by the release that its Debian root ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Engine {
    /// 20.10, from Debian 12.
    V20_10,
    /// 26.1, from Debian 13.
    V26_1,
    /// 28.5, from Debian sid.
    V28_5,
}

impl Engine {
    /// Every engine, oldest first.
    pub const ALL: [Self; 3] = [Self::V20_10, Self::V26_1, Self::V28_5];

    /// The name by which `tests/engines.sh` and the `lab` command know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V20_10 => "20.10",
            Self::V26_1 => "26.1",
            Self::V28_5 => "28.5",
        }
    }

    /// The directory of its Debian root.
    pub fn root(self) -> PathBuf {
        cache().join("roots").join(self.name())
    }

    /// The layer over that root with other programs that write rules.
    pub fn tools(self) -> PathBuf {
        cache().join("tools").join(self.name())
    }

    /// The arguments that give containers IPv6 addresses and let dockerd publish ports by ip6tables.
    pub fn ipv6_args(self) -> Vec<String> {
        let mut args = vec!["--ipv6", "--fixed-cidr-v6", "fd00:d0c::/64", "--ip6tables"];
        // Before 27 ip6tables counts as an experiment.
        if self < Self::V28_5 {
            args.push("--experimental");
        }
        args.into_iter().map(str::to_owned).collect()
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL.into_iter().find(|engine| engine.name() == text).ok_or_else(|| LabError::Unknown {
            what: "engine",
            name: text.to_owned(),
            known: "20.10, 26.1, 28.5",
        })
    }
}

/// Which kernel interface the host's `iptables` command writes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// iptables-nft, Debian's default.
    #[default]
    Nft,
    /// iptables-legacy.
    Legacy,
}

impl Flavour {
    /// Both flavours.
    pub const ALL: [Self; 2] = [Self::Nft, Self::Legacy];

    /// The suffix of the commands: `iptables-nft`, `iptables-legacy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Flavour {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL.into_iter().find(|flavour| flavour.name() == text).ok_or_else(|| LabError::Unknown {
            what: "flavour",
            name: text.to_owned(),
            known: "nft, legacy",
        })
    }
}

/// Where roots and compiled peers are kept between runs.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("DOCKER_FIREWALL_LAB_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/docker-firewall-lab"), PathBuf::from)
}
