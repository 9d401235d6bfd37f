//! Five real engines, with the same containers each, must read alike.

use std::fmt::Write as _;
use std::path::Path;

use docker_firewall::inventory::{Found, Inventory, NetworkMode};

use crate::fake::{Fake, options, recorded};

const ENGINES: [&str; 5] = ["20.10.24", "26.1.5", "28.5.2", "29-iptables", "29-nftables"];

const EXPECTED: &str = "\
api running Own
  on front 172.30.0.2 -
  443/tcp on 127.0.0.1 9443
  443/tcp on 203.0.113.1 8443
  9500/udp on 0.0.0.0 9500
  9500/udp on :: 9500
  9501/udp on 0.0.0.0 9501
  9501/udp on :: 9501
  9502/udp on 0.0.0.0 9502
  9502/udp on :: 9502
db running Own
  on back 172.31.0.2 fd00:30::2
  on front 172.30.0.3 -
  5432/tcp on 0.0.0.0 5432
  5432/tcp on :: 5432
hostnet running Host
  on host - -
lanbox running Own
  on lan 203.0.113.129 -
sidecar running in web
stopped stopped Own
  on bridge - -
  80/tcp on 0.0.0.0 8099
  80/tcp on :: 8099
web running Own
  on bridge 172.17.0.2 -
  80/tcp on 0.0.0.0 8080
  80/tcp on :: 8080
network back bridge br-ID 172.31.0.0/24 fd00:30::/64 at 172.31.0.1 fd00:30::1
network bridge bridge docker0 172.17.0.0/16 at 172.17.0.1
network front bridge br-ID 172.30.0.0/24 at 172.30.0.1
network host host -
network lan macvlan - 203.0.113.0/24
network none null -
";

/// The inventory with names in place of IDs.
fn render(inventory: &Inventory) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut text = String::new();
    for container in &inventory.containers {
        assert_eq!(container.id.len(), 64);
        let mode = match &container.mode {
            NetworkMode::Container(id) => format!("in {}", inventory.container(id).unwrap().name),
            mode => format!("{mode:?}"),
        };
        let state = if container.running { "running" } else { "stopped" };
        writeln!(text, "{} {state} {mode}", container.name).unwrap();
        for endpoint in &container.endpoints {
            let network = &inventory.network(&endpoint.network).unwrap().name;
            let (v4, v6) = (endpoint.v4.map(|v4| v4.to_string()), endpoint.v6.map(|v6| v6.to_string()));
            writeln!(text, "  on {network} {} {}", or_dash(v4), or_dash(v6)).unwrap();
        }
        for binding in &container.bindings {
            let (port, protocol) = (binding.container_port, binding.protocol);
            let host_port = or_dash(binding.host_port.map(|port| port.to_string()));
            writeln!(text, "  {port}/{protocol} on {} {host_port}", binding.host_address).unwrap();
        }
    }
    for network in inventory.networks.iter().filter(|network| !network.is_plumbing()) {
        let bridge = or_dash(network.bridge.clone()).replace(&network.id[..12], "ID");
        write!(text, "network {} {} {bridge}", network.name, network.driver).unwrap();
        network.subnets.iter().for_each(|subnet| write!(text, " {subnet}").unwrap());
        if !network.gateways.is_empty() {
            write!(text, " at").unwrap();
            network.gateways.iter().for_each(|gateway| write!(text, " {gateway}").unwrap());
        }
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn all_engines_read_alike() {
    for name in ENGINES {
        let inventory = Fake::recorded(name).snapshot().await.unwrap();
        // 29 also gives out the first address of a range.
        let first = if name.starts_with("29") { "203.0.113.128" } else { "203.0.113.129" };
        assert_eq!(render(&inventory), EXPECTED.replace("203.0.113.129", first), "{name}");
        let labels = &inventory.container("db").unwrap().labels;
        assert_eq!(labels.get("docker-firewall.allow"), Some("5432/tcp from ipfriends"));
        assert_eq!(inventory.container("db").unwrap().compose_service().unwrap(), "shop/db");
        let gateway = inventory.networks.iter().find(|network| network.name == "docker_gwbridge");
        if let Some(gateway) = gateway {
            assert_eq!(gateway.bridge.as_deref(), Some("docker_gwbridge"));
            assert!(gateway.is_plumbing() && gateway.forwarded());
        }
    }
}

#[tokio::test]
async fn tells_the_engines_apart() {
    for (name, version, api, backend, system) in [
        ("20.10.24", "20.10.24+dfsg1", "1.41", None, "Debian GNU/Linux 12 (bookworm)"),
        ("26.1.5", "26.1.5+dfsg1", "1.45", None, "Debian GNU/Linux 13 (trixie)"),
        ("28.5.2", "28.5.2+dfsg4", "1.51", Some("iptables"), "Debian GNU/Linux forky/sid"),
        // It speaks 1.56, which nobody has tried against this program.
        ("29-iptables", "29.0-dev", "1.55", Some("iptables"), "Debian GNU/Linux forky/sid"),
        ("29-nftables", "29.0-dev", "1.55", Some("nftables"), "Debian GNU/Linux forky/sid"),
    ] {
        let engine = Fake::recorded(name).snapshot().await.unwrap().engine;
        assert_eq!((&*engine.version, &*engine.api, engine.firewall_backend.as_deref()), (version, api, backend));
        assert_eq!((&*engine.operating_system, &*engine.name, engine.rootless), (system, "vm", false));
    }
}

#[tokio::test]
async fn asks_little() {
    let fake = Fake::recorded("28.5.2");
    let engine = docker_firewall::docker::Engine::connect(&fake.address(), &options()).await.unwrap();
    let first = engine.snapshot().await.unwrap();
    let stopped = &first.container("stopped").unwrap().id;
    // Of those that run, only ones that the host's chains never see.
    let inside = first.containers.iter().find(|one| one.running && first.sandboxed(one).next().is_some()).unwrap();
    assert!(
        inside.sandbox.as_ref().is_some_and(|sandbox| sandbox.path == Path::new("/run/docker/netns/cbe0a52d2097")),
        "{inside:?}"
    );
    assert_eq!(first.containers.iter().filter(|one| one.sandbox.is_some()).count(), 1);
    let inspect = format!("GET /v1.51/containers/{}/json", inside.id);
    let mut expected = vec![
        "GET /v1.51/containers/json?all=1".to_owned(),
        format!("GET /v1.51/containers/{stopped}/json"),
        inspect.clone(),
        "GET /v1.51/info".to_owned(),
        "GET /v1.51/networks".to_owned(),
        "GET /version".to_owned(),
    ];
    expected.sort();
    assert_eq!(fake.requests(), expected);
    // The second time, what cannot have changed is remembered; a namespace can.
    assert_eq!(engine.snapshot().await.unwrap(), first);
    let mut again = expected.clone();
    again.extend(["GET /v1.51/containers/json?all=1", "GET /v1.51/networks"].map(str::to_owned));
    again.push(inspect);
    again.sort();
    assert_eq!(fake.requests(), again);
}

#[tokio::test]
async fn honours_the_api_version() {
    let fake = Fake::recorded("29-iptables");
    for (wanted, spoken) in [("1.44", "1.44"), ("v1.50", "1.50"), ("1.99", "1.99")] {
        let options = docker_firewall::docker::ConnectOptions { api_version: Some(wanted.to_owned()), ..options() };
        let engine = docker_firewall::docker::Engine::connect(&fake.address(), &options).await.unwrap();
        assert_eq!(engine.snapshot().await.unwrap().engine.api, spoken);
        assert!(fake.requests().contains(&format!("GET /v{spoken}/networks")));
    }
}

#[tokio::test]
async fn finds_containers_as_docker_does() {
    let inventory = Fake::recorded("28.5.2").snapshot().await.unwrap();
    let web = inventory.container("web").unwrap();
    for text in ["web", "/web", &web.id, &web.id[..12], &web.id[..4]] {
        assert_eq!(inventory.find(text), Found::One(web), "{text}");
    }
    // 08adb6d083c1 and 0cb4bd47a5a4.
    assert!(matches!(inventory.find("0"), Found::Ambiguous(found) if found.len() == 2));
    for text in ["", "/", "we", "WEB", "zzz"] {
        assert_eq!(inventory.find(text), Found::None, "{text}");
    }
}

#[test]
fn the_fake_answers_404() {
    assert!(matches!(recorded("28.5.2", "/containers/nope/json"), crate::fake::Reply::Status(404, _)));
}
