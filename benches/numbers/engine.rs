//! An engine with any number of running containers of both families, on a unix socket.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::canned::{Reply, serve};
use crate::world::{BRIDGE, GATEWAY, GATEWAY_V6, SUBNET, SUBNET_V6, address, address_v6};

/// Serves until the process ends.
pub(crate) fn start(socket: &Path, count: usize) -> Result {
    let (containers, networks) = (containers(count), networks());
    let listener = UnixListener::bind(socket)?;
    let answers = move |path: &str| {
        match path {
        "/version" => Reply::Json(r#"{"Version":"28.5.2","ApiVersion":"1.51","MinAPIVersion":"1.24"}"#.to_owned()),
        "/info" => Reply::Json(
            r#"{"Name":"bench","OperatingSystem":"Debian","SecurityOptions":[],"FirewallBackend":{"Driver":"iptables"}}"#
                .to_owned(),
        ),
        "/networks" => Reply::Json(networks.clone()),
        "/containers/json?all=1" => Reply::Json(containers.clone()),
        _ => Reply::Status(404, r#"{"message":"no such thing"}"#),
    }
    };
    serve(listener, Arc::default(), Arc::new(answers));
    Ok(())
}

fn networks() -> String {
    format!(
        r#"[{{"Id":"{}","Name":"shop","Driver":"bridge","Scope":"local","EnableIPv6":true,"Internal":false,
        "IPAM":{{"Config":[{{"Subnet":"{SUBNET}","Gateway":"{GATEWAY}"}},
        {{"Subnet":"{SUBNET_V6}","Gateway":"{GATEWAY_V6}"}}]}},
        "Options":{{"com.docker.network.bridge.name":"{BRIDGE}"}}}}]"#,
        "ff".repeat(32)
    )
}

fn containers(count: usize) -> String {
    let mut text = "[".to_owned();
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"Id":"{number:064x}","Names":["/c{number}"],"Image":"demo:1","State":"running",
            "Labels":{{"com.docker.compose.project":"shop","com.docker.compose.service":"s{number}"}},
            "HostConfig":{{"NetworkMode":"shop"}},
            "Ports":[{{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":{port},"Type":"tcp"}},
            {{"IP":"::","PrivatePort":80,"PublicPort":{port},"Type":"tcp"}}],
            "NetworkSettings":{{"Networks":{{"shop":{{"NetworkID":"{network}","IPAddress":"{address}","IPPrefixLen":14,
            "Gateway":"{GATEWAY}","GlobalIPv6Address":"{address_v6}","GlobalIPv6PrefixLen":64,
            "IPv6Gateway":"{GATEWAY_V6}","MacAddress":"02:42:ac:11:00:02"}}}}}}}}"#,
            port = 20_000 + number,
            network = "ff".repeat(32),
            address = address(number),
            address_v6 = address_v6(number),
        );
    }
    text + "]"
}
