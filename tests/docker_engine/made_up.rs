//! Answers that the recorded engines did not give, made up after the engines' source.

use std::fmt::Write as _;

use docker_firewall::inventory::{Inventory, NetworkMode};

use crate::fake::{Fake, Reply, recorded};

async fn read(containers: &str, networks: &str, inspect: &str) -> Inventory {
    let [containers, networks, inspect] = [containers, networks, inspect].map(str::to_owned);
    let fake = Fake::new(move |path| match path {
        "/version" | "/info" => recorded("28.5.2", path),
        "/networks" => Reply::Json(networks.clone()),
        "/containers/json?all=1" => Reply::Json(containers.clone()),
        _ => Reply::Json(inspect.clone()),
    });
    fake.snapshot().await.unwrap()
}

fn bindings(inventory: &Inventory, name: &str) -> Vec<String> {
    let show = |binding: &docker_firewall::inventory::Binding| {
        let port = binding.host_port.map_or("-".to_owned(), |port| port.to_string());
        format!("{}/{} {} {port}", binding.container_port, binding.protocol, binding.host_address)
    };
    inventory.container(name).unwrap().bindings.iter().map(show).collect()
}

#[tokio::test]
async fn stopped_containers_tell_what_they_asked_for() {
    let inspect = r#"{"HostConfig":{"PublishAllPorts":true,"PortBindings":{
        "80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"","HostPort":"8080"}],
        "81/udp":[{"HostIp":"[::1]","HostPort":"0"}],
        "82":[{"HostIp":"127.0.0.1","HostPort":"8000-8010"}],
        "83/tcp":null,
        "84/tcp":[{"HostIp":"nonsense","HostPort":"1"}],
        "0/tcp":[{"HostPort":"1"}]}},
        "Config":{"ExposedPorts":{"80/tcp":{},"90/sctp":{}}}}"#;
    let inventory = read(r#"[{"Id":"a1","Names":["/x"],"State":"created"}]"#, "[]", inspect).await;
    assert_eq!(
        bindings(&inventory, "x"),
        [
            "80/tcp 0.0.0.0 8080",
            "80/tcp :: 8080",
            "82/tcp 127.0.0.1 -",
            "81/udp ::1 -",
            "90/sctp 0.0.0.0 -",
            "90/sctp :: -"
        ]
    );
}

#[tokio::test]
async fn running_containers_tell_what_is_in_force() {
    let containers = r#"[{"Id":"a1","Names":["/x"],"State":"paused","Ports":[
        {"PrivatePort":80,"Type":"tcp"},
        {"PrivatePort":81,"PublicPort":0,"Type":"tcp"},
        {"IP":"","PrivatePort":82,"PublicPort":8082,"Type":"udp"},
        {"PrivatePort":82,"PublicPort":8082,"Type":"udp"},
        {"IP":"::","PrivatePort":83,"PublicPort":8083,"Type":"sctp"},
        {"IP":"::","PrivatePort":83,"PublicPort":8083,"Type":"sctp"}]}]"#;
    let inventory = read(containers, "[]", "{}").await;
    assert!(inventory.container("x").unwrap().running);
    assert_eq!(bindings(&inventory, "x"), ["82/udp 0.0.0.0 8082", "82/udp :: 8082", "83/sctp :: 8083"]);
}

#[tokio::test]
async fn routed_networks_publish_without_a_host_port() {
    let networks = r#"[{"Id":"ddd","Name":"r","Driver":"bridge",
        "Options":{"com.docker.network.bridge.gateway_mode_ipv6":"routed"}}]"#;
    let containers = r#"[{"Id":"a1","Names":["/x"],"State":"running",
        "NetworkSettings":{"Networks":{"r":{"NetworkID":"ddd","IPAddress":"10.0.0.2"}}}}]"#;
    let inspect = r#"{"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},
        {"HostIp":"::","HostPort":""}],"81/tcp":null}}}"#;
    let inventory = read(containers, networks, inspect).await;
    assert_eq!(bindings(&inventory, "x"), ["80/tcp 0.0.0.0 8080", "80/tcp :: -"]);
}

#[tokio::test]
async fn odd_containers_are_still_containers() {
    let containers = r#"[
        {"Id":"a1","Names":["/web/alias","/x\u001b[31m"],"State":"running","HostConfig":{"NetworkMode":"none"}},
        {"Id":"b2b2b2b2b2b2b2b2","Names":null,"State":"removing","Labels":null,"Ports":null,"NetworkSettings":null},
        {"Id":"c3","Names":["/c"],"State":"hibernating",
         "NetworkSettings":{"Networks":{"n":{"GlobalIPv6Address":"fd00::2"},"m":null}}},
        {"Id":"d4","Names":["/d"],"State":"created","HostConfig":null,
         "NetworkSettings":{"Networks":{"n":{"NetworkID":""}}}},
        {"Id":"e5","Names":["/e"],"State":"running","HostConfig":{"NetworkMode":"container:c3"}}]"#;
    let networks =
        r#"[{"Id":"0123456789abcdef","Name":"n","Driver":"bridge","IPAM":null,"Options":null,"Internal":true}]"#;
    let inventory = read(containers, networks, "{}").await;
    let names: Vec<&str> = inventory.containers.iter().map(|container| &*container.name).collect();
    // Passed on as data: whoever prints it escapes it.
    assert_eq!(names, ["b2b2b2b2b2b2", "c", "d", "e", "x\u{1b}[31m"]);
    assert_eq!(inventory.container("x\u{1b}[31m").unwrap().mode, NetworkMode::None);
    // A state nobody knows: what has an address can be reached.
    assert!(inventory.container("c").unwrap().running);
    assert!(!inventory.container("d").unwrap().running);
    assert_eq!(inventory.container("d").unwrap().endpoints[0].network, "0123456789abcdef");
    assert_eq!(inventory.container("e").unwrap().mode, NetworkMode::Container("c3".to_owned()));
    assert_eq!(inventory.networks[0].bridge.as_deref(), Some("br-0123456789ab"));
    assert!(inventory.networks[0].internal);
}

#[tokio::test]
async fn a_gateway_kept_off_the_bridge_is_not_the_hosts() {
    let networks = r#"[
        {"Id":"a1","Name":"iso","Driver":"bridge","Internal":true,
         "Options":{"com.docker.network.bridge.gateway_mode_ipv4":"isolated","com.docker.network.bridge.name":"mine"},
         "IPAM":{"Config":[{"Subnet":"10.0.0.0/24","Gateway":"10.0.0.1"},{"Subnet":"fd00::/64","Gateway":"fd00::1/64"}]}},
        {"Id":"b2","Name":"set","Driver":"bridge","ConfigOnly":true},
        {"Id":"c3","Name":"ingress","Driver":"overlay"}]"#;
    let inventory = read("[]", networks, "{}").await;
    let [ingress, iso, set] = &inventory.networks[..] else { panic!("{inventory:?}") };
    assert_eq!(iso.bridge.as_deref(), Some("mine"));
    assert_eq!(iso.gateways, ["fd00::1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((set.bridge.as_deref(), ingress.bridge.as_deref()), (None, None));
    assert!(ingress.is_plumbing() && !iso.is_plumbing());
}

#[tokio::test]
async fn swarm_containers_are_reached_over_the_gateway_bridge() {
    let networks = r#"[{"Id":"aa","Name":"mesh","Driver":"overlay"},
        {"Id":"bb","Name":"docker_gwbridge","Driver":"bridge",
         "Options":{"com.docker.network.bridge.name":"docker_gwbridge"}}]"#;
    let containers = r#"[{"Id":"a1","Names":["/task"],"State":"running",
        "NetworkSettings":{"Networks":{"mesh":{"NetworkID":"aa","IPAddress":"10.0.1.3"}}}}]"#;
    let gateway = r#"{"Containers":{"a1":{"Name":"gateway_0","IPv4Address":"172.18.0.3/16","IPv6Address":""},
        "ingress-sbox":{"IPv4Address":"172.18.0.2/16"}}}"#;
    let inventory = read(containers, networks, gateway).await;
    let task = inventory.container("task").unwrap();
    let reached: Vec<_> = inventory.forwarded(task).collect();
    assert_eq!(reached.len(), 1);
    assert_eq!(reached[0].0.v4, Some("172.18.0.3".parse().unwrap()));
}

#[tokio::test]
async fn a_thousand_containers_take_four_requests() {
    let mut containers = String::from("[");
    for number in 0..1000 {
        let comma = if number == 0 { "" } else { "," };
        let (high, low) = (number / 250, number % 250 + 2);
        write!(
            containers,
            r#"{comma}{{"Id":"{number:064x}","Names":["/c{number}"],"State":"running","Labels":{{"a":"b","c":"d"}},
            "Ports":[{{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":{port},"Type":"tcp"}}],
            "NetworkSettings":{{"Networks":{{"n":{{"NetworkID":"ff","IPAddress":"10.0.{high}.{low}"}}}}}}}}"#,
            port = 20_000 + number
        )
        .unwrap();
    }
    containers.push(']');
    let fake = Fake::new(move |path| match path {
        "/containers/json?all=1" => Reply::Json(containers.clone()),
        _ => recorded("28.5.2", path),
    });
    let start = std::time::Instant::now();
    let inventory = fake.snapshot().await.unwrap();
    println!("1,000 containers in {:?}", start.elapsed());
    assert_eq!(inventory.containers.len(), 1000);
    assert_eq!(fake.requests().len(), 4);
}
