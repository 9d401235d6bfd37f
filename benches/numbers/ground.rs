//! Docker's side of the kernel, in the network namespace in which this program was started.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::wires::run;
use crate::world::{BRIDGE, DOCKERS_RULES, GATEWAY, GATEWAY_V6};

/// Writes it, once.
pub(crate) fn prepare() -> Result {
    let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
    if devices.lines().skip(2).any(|line| !line.trim_start().starts_with("lo:")) {
        return Err("this part writes the kernel's rules: run it by benches/run.sh, in a namespace of its own".into());
    }
    // Somebody has to be outside, or nobody is sent over the ways in.
    let devices = format!(
        "link set lo up\nlink add {BRIDGE} type bridge\naddr add {GATEWAY}/14 dev {BRIDGE}\n\
         addr add {GATEWAY_V6}/64 dev {BRIDGE} nodad\nlink set {BRIDGE} up\nlink add outside type bridge\n\
         addr add 203.0.113.1/24 dev outside\naddr add fd00:1::1/64 dev outside nodad\nlink set outside up\n"
    );
    run(&["ip", "-batch", "-"], &devices)?;
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(Path::new("/proc/sys/net").join(switch), "1")?;
    }
    run(&["iptables-nft-restore"], DOCKERS_RULES)?;
    run(&["ip6tables-nft-restore"], DOCKERS_RULES_V6).map(drop)
}

const DOCKERS_RULES_V6: &str = "*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-ffffffffffff -j DOCKER
COMMIT
";
