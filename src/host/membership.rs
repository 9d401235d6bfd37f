//! Whether the kernel holds an address in a set: `ipset test`, for sets whose members were not read.

use std::net::IpAddr;

use super::tools::Tools;
use crate::net::Protocol;
use crate::ruleset::{SetDirection, SetKind};

/// One side of a packet, as sets ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if that is known.
    pub port: Option<u16>,
    /// The interface on that side, if that is known.
    pub interface: Option<String>,
}

/// The element of a set of `kind` that stands for a packet; `None` when its parts are not known or nobody knows the kind.
pub fn element(
    kind: &SetKind,
    directions: &[SetDirection],
    protocol: Protocol,
    source: &Side,
    destination: &Side,
) -> Option<String> {
    let (method, parts) = kind.name().split_once(':')?;
    if !matches!(method, "hash" | "bitmap") {
        return None;
    }
    let parts: Vec<&str> = parts.split(',').collect();
    if directions.len() < parts.len() {
        return None;
    }
    let words = parts.iter().zip(directions).map(|(part, direction)| {
        let side = if *direction == SetDirection::Src { source } else { destination };
        match *part {
            "ip" | "net" => Some(side.address.to_string()),
            "port" if method == "bitmap" => Some(side.port?.to_string()),
            "port" => Some(format!("{protocol}:{}", side.port?)),
            "iface" => side.interface.clone(),
            _ => None,
        }
    });
    Some(words.collect::<Option<Vec<_>>>()?.join(","))
}

/// Asks the kernel; `None` when it gives no clear answer.
pub fn ask(tools: &Tools, set: &str, element: &str) -> Option<bool> {
    let ran = tools.run("ipset", &["test", set, element], "")?.ok()?;
    if ran.success {
        return Some(true);
    }
    let outside = ["is NOT in set", "out of the range", "out of range"];
    outside.iter().any(|words| ran.stderr.contains(words)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_the_order_of_their_kind() {
        use SetDirection::{Dst, Src};
        let side =
            |address: &str, port| Side { address: address.parse().unwrap(), port, interface: Some("eth0".to_owned()) };
        let (from, to) = (side("192.0.2.1", None), side("192.0.2.2", Some(80)));
        let element = |kind: &str, directions: &[SetDirection]| {
            element(&SetKind::from_name(kind), directions, Protocol::Tcp, &from, &to)
        };
        assert_eq!(element("hash:net", &[Src]).unwrap(), "192.0.2.1");
        assert_eq!(element("hash:ip,port", &[Src, Dst]).unwrap(), "192.0.2.1,tcp:80");
        assert_eq!(element("hash:ip,port", &[Dst, Src]), None);
        assert_eq!(element("hash:net,iface", &[Src, Src]).unwrap(), "192.0.2.1,eth0");
        assert_eq!(element("bitmap:port", &[Dst]).unwrap(), "80");
        assert_eq!(element("list:set", &[Src]), None);
        assert_eq!(element("hash:ip,mark", &[Src, Src]), None);
    }
}
