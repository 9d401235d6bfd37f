//! Published ports, in the three forms in which engines report them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{Inspected, Port, PortBinding, PortMap};
use crate::inventory::Binding;
use crate::net::Protocol;

/// The ports in force, from a list entry. One without a public port is only exposed.
pub(super) fn listed(ports: &[Port]) -> Result<Vec<Binding>, String> {
    let mut bindings = Vec::with_capacity(ports.len());
    for port in ports {
        let Some(host_port) = port.public_port.filter(|number| *number != 0) else { continue };
        let protocol =
            port.protocol.parse::<Protocol>().map_err(|_| format!("unknown protocol \"{}\"", port.protocol))?;
        if port.private_port == 0 {
            return Err("port 0 is published".to_owned());
        }
        for host_address in host_addresses(&port.ip).ok_or_else(|| bad_address(&port.ip))? {
            bindings.push(Binding {
                protocol,
                container_port: port.private_port,
                host_address,
                host_port: Some(host_port),
            });
        }
    }
    Ok(tidy(bindings))
}

/// The ports in force, from an inspected container: with those of routed networks, which have no host port.
pub(super) fn effective(inspected: &Inspected) -> Result<Vec<Binding>, String> {
    let mut bindings = Vec::new();
    for (port, entries) in &inspected.network_settings.ports {
        for entry in entries.iter().flatten() {
            let published = expand(port, entry).ok_or_else(|| {
                format!("port \"{port}\" on \"{}:{}\" makes no sense", entry.host_ip, entry.host_port)
            })?;
            bindings.extend(published);
        }
    }
    Ok(tidy(bindings))
}

/// The ports that a container asked for when it was made; they come into force when it starts.
///
/// What makes no sense here keeps the container from starting, and is left out.
pub(super) fn requested(inspected: &Inspected) -> Vec<Binding> {
    let mut bindings = flatten(&inspected.host_config.port_bindings);
    if inspected.host_config.publish_all_ports {
        // `-P`: each exposed port that is not bound already gets a host port at start.
        let any = PortBinding::default();
        for port in inspected.config.exposed_ports.keys() {
            if !inspected.host_config.port_bindings.contains_key(port) {
                bindings.extend(expand(port, &any).into_iter().flatten());
            }
        }
    }
    tidy(bindings)
}

fn flatten(ports: &PortMap) -> Vec<Binding> {
    let mut bindings = Vec::new();
    for (port, entries) in ports {
        for entry in entries.iter().flatten() {
            bindings.extend(expand(port, entry).into_iter().flatten());
        }
    }
    bindings
}

/// `80/tcp` bound to `entry`: one binding a host address.
fn expand(port: &str, entry: &PortBinding) -> Option<Vec<Binding>> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let container_port = number.parse::<u16>().ok().filter(|number| *number != 0)?;
    let protocol = protocol.parse::<Protocol>().ok()?;
    let host_port = match entry.host_port.as_str() {
        "" | "0" => None,
        // `-p 8000-8010:80`: the engine picks one at start.
        range if range.contains('-') => None,
        number => Some(number.parse::<u16>().ok()?),
    };
    let addresses = host_addresses(&entry.host_ip)?;
    Some(
        addresses
            .into_iter()
            .map(|host_address| Binding { protocol, container_port, host_address, host_port })
            .collect(),
    )
}

/// An empty address means every address of both families: docker-proxy listens on both even where only one is DNATed.
fn host_addresses(text: &str) -> Option<Vec<IpAddr>> {
    if text.is_empty() {
        return Some(vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    bare.parse().ok().map(|address| vec![address])
}

fn bad_address(text: &str) -> String {
    format!("\"{text}\" is not an address")
}

fn tidy(mut bindings: Vec<Binding>) -> Vec<Binding> {
    bindings.sort_unstable();
    bindings.dedup();
    bindings
}
