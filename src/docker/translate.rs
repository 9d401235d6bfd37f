//! From the engine's answers to the inventory. Pure; errors are texts that name the container or network.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::wire;
use crate::inventory::{Binding, Container, Endpoint, Engine, Network, NetworkMode, Sandbox};

/// The engine's facts.
pub(super) fn engine(version: &str, api: &str, info: wire::Info, shares_namespace: Option<bool>) -> Engine {
    Engine {
        version: version.to_owned(),
        api: api.to_owned(),
        firewall_backend: info.firewall_backend.map(|backend| backend.driver).filter(|driver| !driver.is_empty()),
        // An option reads "name=seccomp,profile=default".
        rootless: info.security_options.iter().any(|option| option.split(',').any(|part| part == "name=rootless")),
        operating_system: info.operating_system,
        name: info.name,
        shares_namespace,
    }
}

/// One network. `gateways` are those that its containers were told, for engines before 29 list none of their own
/// choosing.
pub(super) fn network(wire: &wire::Network, told: &BTreeSet<IpAddr>) -> Result<Network, String> {
    let complain = |what: &str| format!("network \"{}\": {what}", wire.name);
    if !is_id(&wire.id) {
        return Err(complain(&format!("\"{}\" is not an ID", wire.id)));
    }
    let mut subnets = Vec::new();
    let mut gateways = BTreeSet::new();
    for pool in &wire.ipam.config {
        if !pool.subnet.is_empty() {
            let subnet: IpNet =
                pool.subnet.parse().map_err(|_| complain(&format!("\"{}\" is not a subnet", pool.subnet)))?;
            subnets.push(subnet.trunc());
        }
        if !pool.gateway.is_empty() {
            gateways.insert(address(&pool.gateway).map_err(|error| complain(&error))?);
        }
    }
    let bridge = bridge(wire);
    if bridge.is_none() {
        // A macvlan's gateway is a router out there.
        gateways.clear();
    } else {
        for gateway in told {
            if !gateways.iter().any(|known| known.is_ipv4() == gateway.is_ipv4()) {
                gateways.insert(*gateway);
            }
        }
        gateways.retain(|gateway| !withheld(wire, gateway));
    }
    Ok(Network {
        id: wire.id.clone(),
        name: wire.name.clone(),
        driver: wire.driver.clone(),
        bridge,
        subnets,
        gateways: gateways.into_iter().collect(),
        internal: wire.internal,
        parent: option(wire, &["parent"]),
        mode: option(wire, &["ipvlan_mode", "macvlan_mode"]),
    })
}

/// The first of these driver options that is given.
fn option(wire: &wire::Network, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| wire.options.get(*name)).filter(|value| !value.is_empty()).cloned()
}

/// The bridge device (moby libnetwork `drivers/bridge`): as configured, else by the network's ID.
fn bridge(wire: &wire::Network) -> Option<String> {
    if wire.driver != "bridge" || wire.config_only {
        return None;
    }
    let named = wire.options.get("com.docker.network.bridge.name").filter(|name| !name.is_empty());
    Some(match named {
        Some(name) => name.clone(),
        None if wire.name == "bridge" => "docker0".to_owned(),
        None => format!("br-{}", wire.id.get(..12).unwrap_or(&wire.id)),
    })
}

/// Whether the network's options keep the gateway address off the bridge.
fn withheld(wire: &wire::Network, gateway: &IpAddr) -> bool {
    let option = |name: &str| wire.options.get(&format!("com.docker.network.bridge.{name}")).map(String::as_str);
    match gateway {
        IpAddr::V4(_) => {
            option("gateway_mode_ipv4") == Some("isolated")
                || option("inhibit_ipv4").is_some_and(|value| value == "true")
        }
        IpAddr::V6(_) => option("gateway_mode_ipv6") == Some("isolated"),
    }
}

/// Whether published ports of the network's containers have no host port, which the container list leaves out.
pub(super) fn is_routed(wire: &wire::Network) -> bool {
    ["ipv4", "ipv6"].iter().any(|family| {
        wire.options
            .get(&format!("com.docker.network.bridge.gateway_mode_{family}"))
            .is_some_and(|mode| mode == "routed")
    })
}

/// Whether the container runs, paused ones included.
pub(super) fn is_running(summary: &wire::Summary) -> bool {
    match summary.state.as_str() {
        "running" | "paused" | "stopping" => true,
        "created" | "restarting" | "removing" | "exited" | "dead" => false,
        // A state that a later engine invents: what has an address can be reached.
        _ => attachments(summary).any(|(_, attachment)| !attachment.v4.is_empty() || !attachment.v6.is_empty()),
    }
}

/// The container's networks by name.
pub(super) fn attachments(summary: &wire::Summary) -> impl Iterator<Item = (&String, &wire::Attachment)> {
    summary.network_settings.networks.iter().filter_map(|(name, attachment)| Some((name, attachment.as_ref()?)))
}

/// What the container is called: links add further names, which have two slashes.
pub(super) fn name(summary: &wire::Summary) -> &str {
    let own = |name: &&String| !name.trim_start_matches('/').contains('/');
    // A container that is being removed has no name any more.
    let name = summary.names.iter().find(own).or(summary.names.first()).map_or("", |name| name.trim_start_matches('/'));
    if name.is_empty() { summary.id.get(..12).unwrap_or(&summary.id) } else { name }
}

/// Whether `id` can be an ID, and so part of a path.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// One container with its `bindings`. `network_ids` finds a network by name, for containers that never started.
pub(super) fn container(
    summary: wire::Summary,
    bindings: Vec<Binding>,
    network_ids: &HashMap<&str, &str>,
) -> Result<Container, String> {
    let complain = |what: String| format!("container \"{}\": {what}", name(&summary));
    if !is_id(&summary.id) {
        return Err(complain(format!("\"{}\" is not an ID", summary.id)));
    }
    let mut endpoints = Vec::new();
    for (network_name, attachment) in attachments(&summary) {
        let network = match attachment.network_id.as_str() {
            "" => network_ids.get(network_name.as_str()).copied().unwrap_or_default(),
            id => id,
        };
        endpoints.push(Endpoint {
            network: network.to_owned(),
            v4: v4(&attachment.v4).map_err(complain)?,
            v6: v6(&attachment.v6).map_err(complain)?,
        });
    }
    let mode = match summary.host_config.network_mode.as_str() {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        mode => match mode.strip_prefix("container:") {
            Some(other) => NetworkMode::Container(other.to_owned()),
            None => NetworkMode::Own,
        },
    };
    Ok(Container {
        name: name(&summary).to_owned(),
        running: is_running(&summary),
        id: summary.id,
        labels: summary.labels.into(),
        mode,
        endpoints,
        bindings,
        sandbox: None,
    })
}

/// The network namespace of an inspected container; `None` when it does not run any more.
pub(super) fn sandbox(inspected: &wire::Inspected) -> Option<Sandbox> {
    let path = &inspected.network_settings.sandbox_key;
    let pid = inspected.state.pid;
    (path.starts_with('/') && pid != 0).then(|| Sandbox { path: path.into(), pid })
}

/// The gateways that running containers were told, by network ID.
pub(super) fn told_gateways(summaries: &[wire::Summary]) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut told: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for (_, attachment) in summaries.iter().flat_map(attachments) {
        for text in [&attachment.gateway, &attachment.gateway6] {
            if let Ok(gateway) = address(text) {
                told.entry(attachment.network_id.clone()).or_default().insert(gateway);
            }
        }
    }
    told
}

/// An address with or without a prefix length; empty means none.
pub(super) fn v4(text: &str) -> Result<Option<Ipv4Addr>, String> {
    match address_or_none(text)? {
        None => Ok(None),
        Some(IpAddr::V4(v4)) => Ok(Some(v4)),
        Some(IpAddr::V6(_)) => Err(format!("\"{text}\" is not an IPv4 address")),
    }
}

/// As [`v4`].
pub(super) fn v6(text: &str) -> Result<Option<Ipv6Addr>, String> {
    match address_or_none(text)? {
        None => Ok(None),
        Some(IpAddr::V6(v6)) => Ok(Some(v6)),
        Some(IpAddr::V4(_)) => Err(format!("\"{text}\" is not an IPv6 address")),
    }
}

fn address_or_none(text: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    bare.parse().map_err(|_| format!("\"{text}\" is not an address"))
}
