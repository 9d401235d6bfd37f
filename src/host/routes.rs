//! Where this network namespace sends packets: the main routing table, and whether it forwards.

use std::collections::{BTreeMap, BTreeSet};
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
    // A blackhole has neither the flag nor an interface.
    let leads = flags & REJECT == 0 && words[0] != "*";
    let route = Route { block: IpNet::V4(block.trunc()), device: leads.then(|| words[0].to_owned()) };
    Some((words.get(6)?.parse().ok()?, route))
}

/// Destination, its length, source, its length, next hop, metric, two numbers, flags, interface; all in hexadecimal.
fn v6(line: &str) -> Option<(u32, Route)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
    let address = u128::from_str_radix(words.first().filter(|digits| digits.len() == 32)?, 16).ok()?;
    let block = Ipv6Net::new(Ipv6Addr::from(address), u8::try_from(number(1)?).ok()?).ok()?;
    let device = (*words.get(9)?).to_owned();
    let leads = number(8)? & REJECT == 0;
    // The kernel's own entries: what is local is told by the addresses.
    let own = leads && device == "lo";
    let route = Route { block: IpNet::V6(block.trunc()), device: leads.then_some(device) };
    (!own).then_some((number(5)?, route))
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

/// Interfaces that ask whether the source of an IPv4 packet is routed back, and whether through them: the greater of their
/// own `rp_filter` and everybody's, 1 strictly, 2 loosely (kernel `Documentation/networking/ip-sysctl.rst`).
pub fn asking_back() -> BTreeMap<String, bool> {
    let of = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter")).unwrap_or_default();
        text.trim().parse::<u8>().unwrap_or(0)
    };
    let all = of("all");
    let Ok(entries) = fs::read_dir("/proc/sys/net/ipv4/conf") else { return BTreeMap::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .map(|name| (all.max(of(&name)), name))
        .filter(|(how, _)| *how > 0)
        .map(|(how, name)| (name, how == 1))
        .collect()
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
        let route = |block: &str| Route { block: block.parse().unwrap(), device: Some("eth0".to_owned()) };
        assert_eq!(v4(line), Some((100, route("0.0.0.0/0"))));
        assert_eq!(v4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"), None);
        let line = "fd000001000000000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0";
        assert_eq!(v6(line), Some((256, route("fd00:1::/64"))));
        assert_eq!(v6(&line.replace("eth0", "lo")), None);
        let nowhere = |block: &str| Route { block: block.parse().unwrap(), device: None };
        let line = "*\t017100CB\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0";
        assert_eq!(v4(line), Some((0, nowhere("203.0.113.1/32"))));
        assert_eq!(v4(&line.replace("0005", "0205")), Some((0, nowhere("203.0.113.1/32"))));
        let line = "fd000001000000000000000000000066 80 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000400 00000001 00000000 00200200     lo";
        assert_eq!(v6(line), Some((1024, nowhere("fd00:1::66/128"))));
    }
}
