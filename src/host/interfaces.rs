//! The network namespace this process is in: interfaces and own addresses.
//!
//! Read below `/proc/thread-self/net`, which is this thread's namespace for certain. `/sys/class/net` is not: it shows
//! the namespace in which sysfs was mounted (`ip netns exec` remounts it, `nsenter -n` does not).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

use crate::resolve::Interface;

/// The host as seen from this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInterfaces {
    /// The host's name.
    pub hostname: String,
    /// Names of all interfaces.
    pub names: BTreeSet<String>,
    /// All own addresses.
    pub addresses: BTreeSet<IpAddr>,
}

/// A file of the kernel's that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct InterfacesError {
    path: PathBuf,
    source: io::Error,
}

impl HostInterfaces {
    /// Reads the namespace of the calling thread.
    pub fn read() -> Result<Self, InterfacesError> {
        let net = Path::new("/proc/thread-self/net");
        let mut addresses = BTreeSet::new();
        each_line(&net.join("fib_trie"), &mut FibTrie::new(&mut addresses))?;
        match each_line(&net.join("if_inet6"), &mut |line: &str| addresses.extend(inet6(line).map(IpAddr::V6))) {
            // A kernel without IPv6 has no such file.
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        let mut names = BTreeSet::new();
        each_line(&net.join("dev"), &mut |line: &str| names.extend(device(line).map(str::to_owned)))?;
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self { hostname, names, addresses })
    }

    /// Whether `address` is one of the host's own.
    pub fn owns(&self, address: &IpAddr) -> bool {
        self.addresses.contains(address)
    }

    /// Whether the host has an address in `subnet`.
    pub fn is_in(&self, subnet: &IpNet) -> bool {
        self.addresses.iter().any(|address| subnet.contains(address))
    }
}

/// The interfaces of the calling thread's namespace, without the loopback interface.
pub fn links() -> Result<Vec<Interface>, InterfacesError> {
    let net = Path::new("/proc/thread-self/net");
    let mut links: BTreeMap<String, Interface> = BTreeMap::new();
    each_line(&net.join("dev"), &mut |line: &str| {
        let names = device(line).filter(|name| *name != "lo").map(str::to_owned);
        links.extend(names.map(|name| (name.clone(), Interface { name, ..Interface::default() })));
    })?;
    each_line(&net.join("route"), &mut |line: &str| {
        if let Some((name, subnet)) = connected(line)
            && let Some(link) = links.get_mut(name)
        {
            link.subnets.push(subnet);
        }
    })?;
    let addresses = each_line(&net.join("if_inet6"), &mut |line: &str| {
        if let (Some(address), Some(name)) = (inet6(line), line.split_ascii_whitespace().last())
            && let Some(link) = links.get_mut(name)
        {
            link.v6.push(address);
        }
    });
    match addresses {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    Ok(links.into_values().collect())
}

/// Takes the lines of a file one by one.
trait Lines {
    fn line(&mut self, line: &str);
}

impl<F: FnMut(&str)> Lines for F {
    fn line(&mut self, line: &str) {
        self(line);
    }
}

/// Line by line, for a router's `fib_trie` has millions of them.
fn each_line(path: &Path, lines: &mut impl Lines) -> Result<(), InterfacesError> {
    let complain = |source| InterfacesError { path: path.to_owned(), source };
    for line in BufReader::new(File::open(path).map_err(complain)?).lines() {
        lines.line(&line.map_err(complain)?);
    }
    Ok(())
}

/// `/proc/net/dev`: two lines of headings, then `  eth0: 123 ...`.
fn device(line: &str) -> Option<&str> {
    line.split_once(':').map(|(name, _)| name.trim()).filter(|name| !name.is_empty())
}

/// `/proc/net/if_inet6`: `fd000000000000000000000000000002 04 40 00 82     eth0`.
fn inet6(line: &str) -> Option<Ipv6Addr> {
    let digits = line.split_ascii_whitespace().next().filter(|digits| digits.len() == 32)?;
    u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from)
}

/// `/proc/net/route`: interface, destination and gateway (the bytes as they lie in memory), flags, three numbers, mask. Only
/// what is reached without a gateway, and not everything at once.
fn connected(line: &str) -> Option<(&str, Ipv4Net)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let address = |at: usize| {
        let digits = words.get(at).filter(|digits| digits.len() == 8)?;
        u32::from_str_radix(digits, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()))
    };
    let subnet = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
    (address(2)?.is_unspecified() && subnet.prefix_len() > 0).then_some((words[0], subnet))
}

/// `/proc/net/fib_trie`: an address is our own where its leaf says `host LOCAL`:
///
/// ```text
///            |-- 192.0.2.2
///               /32 host LOCAL
/// ```
struct FibTrie<'a> {
    leaf: Option<Ipv4Addr>,
    addresses: &'a mut BTreeSet<IpAddr>,
}

impl<'a> FibTrie<'a> {
    fn new(addresses: &'a mut BTreeSet<IpAddr>) -> Self {
        Self { leaf: None, addresses }
    }
}

impl Lines for FibTrie<'_> {
    fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(leaf) = line.strip_prefix("|-- ") {
            self.leaf = leaf.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            self.addresses.extend(self.leaf.map(IpAddr::V4));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_the_local_leaves() {
        let mut addresses = BTreeSet::new();
        let mut trie = FibTrie::new(&mut addresses);
        let text = "Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST";
        text.lines().for_each(|line| trie.line(line));
        let expected: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        assert_eq!(addresses.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_subnet_belongs_to_its_interface() {
        let subnet = "192.0.2.0/24".parse().unwrap();
        let line = |gateway: &str, mask: &str| format!("eth0\t000200C0\t{gateway}\t0001\t0\t0\t0\t{mask}\t0\t0\t0   ");
        assert_eq!(connected(&line("00000000", "00FFFFFF")), Some(("eth0", subnet)));
        assert_eq!(connected(&line("010200C0", "00FFFFFF")), None);
        assert_eq!(connected("eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0"), None);
        assert_eq!(connected("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"), None);
    }

    #[test]
    fn reads_this_namespace() {
        let host = HostInterfaces::read().unwrap();
        assert!(host.names.contains("lo"), "{host:?}");
        assert!(!host.names.iter().any(|name| name.contains(' ')), "{host:?}");
        assert!(!host.hostname.is_empty());
    }

    #[test]
    fn reads_ipv6_addresses() {
        assert_eq!(inet6("fd000000000000000000000000000002 04 40 00 82     eth0"), Some("fd00::2".parse().unwrap()));
        assert_eq!(inet6("x"), None);
        assert_eq!(device("Inter-|   Receive                                                |  Transmit"), None);
        assert_eq!(device("br-0123456789ab: 1 2"), Some("br-0123456789ab"));
    }
}
