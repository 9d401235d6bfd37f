//! The hosts around the lab's host: who they are, where they live, how a thread becomes one of them.

use std::fmt;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::LabError;

/// A host of the lab from which one can look at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// The host on which the engine runs.
    Host,
    /// A neighbour that tests let in.
    Friend,
    /// A neighbour that tests keep out.
    Stranger,
}

impl Client {
    /// Every host of a lab.
    pub const ALL: [Self; 3] = [Self::Host, Self::Friend, Self::Stranger];

    /// Its name, which also ends the name of its network namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Friend => "friend",
            Self::Stranger => "stranger",
        }
    }

    /// The last part of both its addresses.
    fn number(self) -> u8 {
        match self {
            Self::Host => 1,
            Self::Friend => 10,
            Self::Stranger => 66,
        }
    }

    /// Its IPv4 address on the network between the hosts.
    pub fn v4(self) -> IpAddr {
        Ipv4Addr::new(203, 0, 113, self.number()).into()
    }

    /// Its IPv6 address there. The last group is read as the IPv4 address's is written: `fd00:1::66`.
    pub fn v6(self) -> IpAddr {
        let digits = u16::from(self.number());
        Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, digits / 10 * 16 + digits % 10).into()
    }

    /// The name of its network namespace in the lab of that name.
    pub fn namespace(self, lab: &str) -> String {
        format!("{lab}-{}", self.name())
    }

    /// The file of that namespace.
    pub(crate) fn place(self, lab: &str) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(lab))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Client {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL.into_iter().find(|client| client.name() == text).ok_or_else(|| LabError::Unknown {
            what: "client",
            name: text.to_owned(),
            known: "host, friend, stranger",
        })
    }
}

/// Puts the calling thread, and it alone, into a client's network namespace.
pub(crate) fn enter(lab: &str, client: Client) -> Result<(), LabError> {
    enter_at(&client.place(lab))
}

/// The same with any network namespace, named by its file.
pub(crate) fn enter_at(path: &Path) -> Result<(), LabError> {
    let what = path.display().to_string();
    let namespace = File::open(path).map_err(LabError::io(what.clone()))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| LabError::io(what)(error.into()))
}

/// Does something as a client, on a thread made for it. A socket opened there stays there, wherever it is used later.
pub(crate) fn within<T: Send>(
    lab: &str,
    client: Client,
    act: impl FnOnce() -> Result<T, LabError> + Send,
) -> Result<T, LabError> {
    thread::scope(|scope| {
        scope
            .spawn(|| enter(lab, client).and_then(|()| act()))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
