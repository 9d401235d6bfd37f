//! Whether the engine's packets pass through this network namespace.
//!
//! Addresses tell little: a socket may be forwarded by ssh or belong to an engine in another namespace, and a tcp
//! address may lead back here. The bridges tell: rules made here hold only where they are.

use std::path::Path;

use thiserror::Error;

use super::endpoint::EngineAddress;
use crate::host::interfaces::HostInterfaces;
use crate::inventory::{Inventory, Network};

/// Why rules made here would not guard the engine's containers, and where they would.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotHere {
    /// The engine is on another machine.
    #[error("the engine of {whose} lives on {address}: run docker firewall there{example}")]
    Remote {
        /// `context "prod"`, or `-H` and the like.
        whose: String,
        /// Its address.
        address: String,
        /// A command to type, if one is known.
        example: String,
    },
    /// The engine is behind a socket here, its bridges are not.
    #[error(
        "the engine behind {address} calls its host \"{name}\" and none of its bridges ({bridges}) is in this network \
         namespace: run docker firewall where they are"
    )]
    Elsewhere {
        /// The socket.
        address: String,
        /// The engine's host name.
        name: String,
        /// Some bridges.
        bridges: String,
    },
    /// Too few facts to be sure.
    #[error(
        "it is not certain that the containers of the engine behind {address} are reached through this network \
         namespace: {reason}. Run docker firewall on the engine's own host; creating any network (docker network \
         create probe) makes it certain"
    )]
    Uncertain {
        /// The engine.
        address: String,
        /// What is missing.
        reason: String,
    },
    /// A rootless engine.
    #[error(
        "the engine behind {0} is rootless: its bridges are in RootlessKit's network namespace and rules here would \
         not see its packets. The rules would have to go in there, as in \
         nsenter -U --preserve-credentials -n -m -t \"$(cat \"$XDG_RUNTIME_DIR/docker.pid\")\" docker firewall ..."
    )]
    Rootless(String),
    /// Docker Desktop.
    #[error(
        "the engine behind {0} is Docker Desktop's: its containers are in a virtual machine of its own, and the rules \
         would have to go in there. docker firewall guards Docker Engine on Linux"
    )]
    Desktop(String),
}

/// Succeeds when rules made here guard the engine's containers. In doubt it refuses.
///
/// 1. A bridge named after its network's ID (`br-` and 48 random bits) that is an interface here, and whose address is
///    ours, proves it: no other engine makes such an interface. One is enough, so that a network that is just being
///    made or removed changes nothing.
/// 2. There are such networks, but none of their bridges is here: the engine is elsewhere.
/// 3. There are none. `docker0` and bridges named by people look alike on every host, so they all have to be here with
///    their addresses, the engine has to call its host by our host's name, and we have to have come through a socket:
///    a remote host may share the name, but not the socket. Rootless engines and Docker Desktop share both, and are
///    refused. The same goes for an engine without any bridge, which has nothing to guard but host-network containers.
///
/// The inventory and the interfaces are read at different moments. Callers read both once more before they believe a
/// refusal.
pub fn locality(inventory: &Inventory, host: &HostInterfaces, address: &EngineAddress) -> Result<(), NotHere> {
    let bridged: Vec<&Network> = inventory.networks.iter().filter(|network| network.bridge.is_some()).collect();
    let (own, common): (Vec<&Network>, Vec<&Network>) = bridged.iter().partition(|network| is_distinctive(network));
    if own.iter().any(|network| is_here(network, host)) {
        return Ok(());
    }
    let engine = &inventory.engine;
    if engine.rootless || in_user_directory(address) {
        return Err(NotHere::Rootless(address.to_string()));
    }
    if engine.operating_system == "Docker Desktop" {
        return Err(NotHere::Desktop(address.to_string()));
    }
    if let EngineAddress::DialStdio { context, description, .. } = address {
        return Err(remote(context.as_deref(), description));
    }
    let missing: Vec<&&Network> = common.iter().filter(|network| !is_here(network, host)).collect();
    if !own.is_empty() || (!common.is_empty() && missing.len() == common.len()) {
        return Err(NotHere::Elsewhere {
            address: address.to_string(),
            name: engine.name.clone(),
            bridges: sample(&bridged),
        });
    }
    let reason = if let Some(network) = missing.first() {
        format!("{} is not here", network.bridge.as_deref().unwrap_or_default())
    } else if engine.name != host.hostname {
        format!("it calls its host \"{}\" while this one is \"{}\"", engine.name, host.hostname)
    } else {
        return Ok(());
    };
    Err(NotHere::Uncertain { address: address.to_string(), reason })
}

/// Whether the bridge's name is made of the network's ID.
fn is_distinctive(network: &Network) -> bool {
    let digits = network.bridge.as_deref().and_then(|bridge| bridge.strip_prefix("br-")).unwrap_or_default();
    digits.len() == 12 && network.id.starts_with(digits)
}

/// Whether the bridge is an interface here and its address, as far as it is known, is ours.
fn is_here(network: &Network, host: &HostInterfaces) -> bool {
    let Some(bridge) = &network.bridge else { return false };
    host.names.contains(bridge)
        && if network.gateways.is_empty() {
            // Engines before 29 do not list the gateway that they chose. A network without any subnet, or one whose
            // gateway is kept off the bridge, has no address to look for.
            network.subnets.is_empty()
                || is_distinctive(network)
                || network.subnets.iter().any(|subnet| host.is_in(subnet))
        } else {
            network.gateways.iter().any(|gateway| host.owns(gateway))
        }
}

/// Rootless engines listen below `/run/user/UID`.
fn in_user_directory(address: &EngineAddress) -> bool {
    let in_run_user = |path: &Path| path.starts_with("/run/user") || path.starts_with("/var/run/user");
    matches!(address, EngineAddress::Unix(path) if in_run_user(path))
}

fn remote(context: Option<&str>, description: &str) -> NotHere {
    let whose = context.map_or_else(|| "this command".to_owned(), |name| format!("context \"{name}\""));
    NotHere::Remote { whose, address: description.to_owned(), example: example(description).unwrap_or_default() }
}

/// `ssh://me@h:2222/path` as the command that leads there.
fn example(description: &str) -> Option<String> {
    let rest = description.strip_prefix("ssh://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    // The colons of an IPv6 address are in brackets, which ssh's own command line does not know.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    };
    let host = host.replace(['[', ']'], "");
    let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
    Some(format!(" (for example: ssh {port}{host} docker firewall ...)"))
}

fn sample(networks: &[&Network]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<&str> = networks.iter().filter_map(|network| network.bridge.as_deref()).take(SHOWN).collect();
    if networks.len() > SHOWN {
        names.push("...");
    }
    names.join(", ")
}
