//! Bridges: whether iptables sees what stays within one, and their ports that are no container's.

use std::fs;

use serde::Deserialize;

use super::tools::Tools;
use crate::doctor::{Bridges, Calls, Port};

/// Of this thread's network namespace.
pub fn read(tools: &Tools) -> Bridges {
    let call = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/bridge/bridge-nf-call-{name}")).ok()?;
        Some(text.trim() != "0")
    };
    let calls = Calls { v4: call("iptables"), v6: call("ip6tables") };
    let listed = tools.run("ip", &["-details", "-json", "link", "show"], "").and_then(Result::ok);
    Bridges { calls, ports: listed.filter(|ran| ran.success).and_then(|ran| ports(&ran.stdout)) }
}

#[derive(Deserialize)]
struct Link {
    ifname: String,
    master: Option<String>,
    /// The peer is in another network namespace.
    #[serde(rename = "link_netnsid")]
    elsewhere: Option<i64>,
    linkinfo: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    info_kind: Option<String>,
}

/// Those that lead to no other network namespace: containers are behind pairs of `veth`.
fn ports(listing: &str) -> Option<Vec<Port>> {
    let links: Vec<Link> = serde_json::from_str(listing).ok()?;
    let leads_away = |link: &Link| {
        link.linkinfo.as_ref().and_then(|info| info.info_kind.as_deref()) == Some("veth") && link.elsewhere.is_some()
    };
    let foreign = links.into_iter().filter(|link| !leads_away(link));
    Some(foreign.filter_map(|link| Some(Port { bridge: link.master?, name: link.ifname })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_behind_pairs_that_lead_away() {
        let listing = r#"[{"ifname":"lo","linkinfo":{}},{"ifname":"docker0","linkinfo":{"info_kind":"bridge"}},
            {"ifname":"veth1a2b3c4","master":"docker0","link_netnsid":0,"linkinfo":{"info_kind":"veth"}},
            {"ifname":"eth1","master":"docker0"},
            {"ifname":"tap0","master":"docker0","linkinfo":{"info_kind":"tun"}}]"#;
        let found = ports(listing).unwrap();
        let names: Vec<&str> = found.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(names, ["eth1", "tap0"]);
        assert_eq!(ports("no list"), None);
    }
}
