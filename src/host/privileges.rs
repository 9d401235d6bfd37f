//! Whether this process may change the firewall.

use rustix::thread::CapabilitySet;
use thiserror::Error;

/// Why it may not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrivilegeError {
    /// The capability is missing.
    #[error(
        "the kernel's firewall is read and changed with the capability CAP_NET_ADMIN, which this process does not have: run it as root, \
         as in \"sudo docker firewall ...\". If root's docker then does not know the command \"firewall\", the plugin \
         is installed for you alone: put it into /usr/local/lib/docker/cli-plugins, where every user's docker finds it"
    )]
    NetAdmin,
    /// The kernel did not tell.
    #[error("cannot read this process's capabilities: {0}")]
    Unreadable(String),
}

/// Succeeds when the calling thread has `CAP_NET_ADMIN` in effect: the iptables and ipset tools inherit what it has.
///
/// Root in a container often lacks it, and a systemd unit may have it without being root: the user ID tells nothing.
pub fn require_net_admin() -> Result<(), PrivilegeError> {
    let sets = rustix::thread::capabilities(None).map_err(|error| PrivilegeError::Unreadable(error.to_string()))?;
    judge(sets.effective)
}

fn judge(effective: CapabilitySet) -> Result<(), PrivilegeError> {
    if effective.contains(CapabilitySet::NET_ADMIN) { Ok(()) } else { Err(PrivilegeError::NetAdmin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_capability_and_the_way_out() {
        assert_eq!(judge(CapabilitySet::NET_ADMIN | CapabilitySet::CHOWN), Ok(()));
        let message = judge(CapabilitySet::CHOWN).unwrap_err().to_string();
        for part in ["CAP_NET_ADMIN", "sudo docker firewall", "/usr/local/lib/docker/cli-plugins"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
