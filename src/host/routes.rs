//! Where this network namespace sends packets: the main routing table, and whether it forwards.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::effective::Route;
use crate::net::Family;

/// `RTF_REJECT` of linux/route.h: leads nowhere.
const REJECT: u32 = 0x200;

/// The main tables of both families (kernel `Documentation/filesystems/proc.rst`: `/proc/net/route`, `ipv6_route`), of equal
/// blocks the one first that the kernel prefers.
pub fn read() -> io::Result<Vec<Route>> {
    let net = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let mut routes: Vec<(u32, Route)> = net("route")?.lines().filter_map(v4).collect();
    // A kernel without IPv6 has no such file.
    routes.extend(net("ipv6_route").unwrap_or_default().lines().filter_map(v6));
    routes.sort_by_key(|(metric, _)| *metric);
    Ok(routes.into_iter().map(|(_, route)| route).collect())
}

/// Interface, destination, gateway, flags, two numbers, metric, mask.
fn v4(line: &str) -> Option<(u32, Route)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let address = |at: usize| {
        let digits = words.get(at).filter(|digits| digits.len() == 8)?;
        u32::from_str_radix(digits, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()))
    };
    let block = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
    let flags = u32::from_str_radix(words.get(3)?, 16).ok()?;
    let route = Route { block: IpNet::V4(block.trunc()), device: words[0].to_owned() };
    (flags & REJECT == 0).then_some((words.get(6)?.parse().ok()?, route))
}

/// Destination, its length, source, its length, next hop, metric, two numbers, flags, interface; all in hexadecimal.
fn v6(line: &str) -> Option<(u32, Route)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
    let address = u128::from_str_radix(words.first().filter(|digits| digits.len() == 32)?, 16).ok()?;
    let block = Ipv6Net::new(Ipv6Addr::from(address), u8::try_from(number(1)?).ok()?).ok()?;
    let device = (*words.get(9)?).to_owned();
    // The kernel's own entries: what is local is told by the addresses.
    let leads = number(8)? & REJECT == 0 && device != "lo";
    leads.then_some((number(5)?, Route { block: IpNet::V6(block.trunc()), device }))
}

fn is_on(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}

/// The families that are forwarded.
pub fn forwarded() -> BTreeSet<Family> {
    let switches =
        [(Family::V4, "/proc/sys/net/ipv4/ip_forward"), (Family::V6, "/proc/sys/net/ipv6/conf/all/forwarding")];
    switches.into_iter().filter(|(_, path)| is_on(path)).map(|(family, _)| family).collect()
}

/// The families of which packets within a bridge meet iptables.
pub fn filtered_on_bridges() -> BTreeSet<Family> {
    let switches = [
        (Family::V4, "/proc/sys/net/bridge/bridge-nf-call-iptables"),
        (Family::V6, "/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
    ];
    switches.into_iter().filter(|(_, path)| is_on(path)).map(|(family, _)| family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_both_tables() {
        let line = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0   ";
        let route = |block: &str| Route { block: block.parse().unwrap(), device: "eth0".to_owned() };
        assert_eq!(v4(line), Some((100, route("0.0.0.0/0"))));
        assert_eq!(v4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"), None);
        let line = "fd000001000000000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0";
        assert_eq!(v6(line), Some((256, route("fd00:1::/64"))));
        assert_eq!(v6(&line.replace("eth0", "lo")), None);
    }
}
