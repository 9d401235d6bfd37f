//! Swarms: what managers and workers answer. The services are those of a real manager of Docker 28.5.2, cut down to the
//! fields that matter; the refusals are the engine's words.

use docker_firewall::docker::EngineError;
use docker_firewall::inventory::{Inventory, ServicePort};
use docker_firewall::net::Protocol;

use crate::fake::{Fake, Reply, recorded};

const NETWORKS: &str = r#"[{"Id":"ctnf12lk4zzp25i12qg57vfgm","Name":"door","Driver":"overlay","Scope":"swarm","Ingress":true},
    {"Id":"xrmesh","Name":"mesh","Driver":"overlay","Scope":"swarm","Ingress":false},
    {"Id":"dec4db2956f9","Name":"docker_gwbridge","Driver":"bridge","Ingress":false,
     "IPAM":{"Config":[{"Subnet":"172.18.0.0/16","Gateway":"172.18.0.1"}]},
     "Options":{"com.docker.network.bridge.name":"docker_gwbridge"}}]"#;

const GATEWAY: &str = r#"{"Id":"dec4db2956f9","Name":"docker_gwbridge","Containers":{
    "ced0d158":{"Name":"gateway_e3fa79e45334","IPv4Address":"172.18.0.3/16","IPv6Address":""},
    "ingress-sbox":{"Name":"gateway_ingress-sbox","IPv4Address":"172.18.0.2/16","IPv6Address":""}}}"#;

const CONTAINERS: &str = r#"[{"Id":"ced0d158","Names":["/web.1.oesiqej2rcvlfpfbvqv9hb73x"],"State":"running","Ports":[],
    "Labels":{"com.docker.swarm.service.name":"web","tier":"front"},"HostConfig":{"NetworkMode":"bridge"},
    "NetworkSettings":{"Networks":{"door":{"NetworkID":"ctnf12lk4zzp25i12qg57vfgm","IPAddress":"10.0.0.4"}}}}]"#;

const SERVICES: &str = r#"[{"ID":"bj73","Spec":{"Name":"web","Labels":{"owner":"me"},"TaskTemplate":{
        "ContainerSpec":{"Image":"lab/peer:latest","Labels":{"tier":"front"}},"Networks":[{"Target":"xrmesh"}]},
        "EndpointSpec":{"Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080}]}},
    "Endpoint":{"Ports":[
        {"Protocol":"udp","TargetPort":53,"PublishedPort":8053,"PublishMode":"ingress"},
        {"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"},
        {"Protocol":"tcp","TargetPort":81,"PublishedPort":9081,"PublishMode":"host"},
        {"Protocol":"tcp","TargetPort":82,"PublishMode":"ingress"}],
      "VirtualIPs":[{"NetworkID":"ctnf12lk4zzp25i12qg57vfgm","Addr":"10.0.0.3/24"},{"NetworkID":"xrmesh","Addr":"10.0.1.3/24"}]}},
    {"ID":"aaaa","Spec":{"Name":"batch","TaskTemplate":{"ContainerSpec":null,"Networks":null}},"Endpoint":{}}]"#;

const WORKER: &str = r#"{"message":"This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."}"#;
const LEADERLESS: &str = r#"{"message":"rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."}"#;

fn swarm(services: impl Fn() -> Reply + Send + Sync + 'static) -> Fake {
    Fake::new(move |path| match path {
        "/version" | "/info" => recorded("28.5.2", path),
        "/networks" => Reply::Json(NETWORKS.to_owned()),
        "/networks/docker_gwbridge" => Reply::Json(GATEWAY.to_owned()),
        "/containers/json?all=1" => Reply::Json(CONTAINERS.to_owned()),
        "/services" => services(),
        _ => Reply::Status(404, r#"{"message":"page not found"}"#),
    })
}

fn withheld(inventory: &Inventory) -> &str {
    assert!(inventory.services().is_empty());
    inventory.services_withheld().unwrap()
}

#[tokio::test]
async fn a_manager_tells_all_services() {
    let fake = swarm(|| Reply::Json(SERVICES.to_owned()));
    let inventory = fake.snapshot().await.unwrap();
    let ingress = inventory.ingress.as_ref().unwrap();
    assert_eq!(ingress.network, "ctnf12lk4zzp25i12qg57vfgm");
    assert_eq!(ingress.addresses, ["172.18.0.2".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(inventory.services_withheld(), None);
    let [batch, web] = inventory.services() else { panic!("{inventory:?}") };
    assert_eq!((&*batch.name, batch.ports.len()), ("batch", 0));
    // Labels are those of the containers; networks are named once; ports in host mode and without a number are not here.
    assert_eq!((&*web.name, web.labels.iter().count(), web.labels.get("tier")), ("web", 1, Some("front")));
    assert_eq!(web.networks, ["ctnf12lk4zzp25i12qg57vfgm", "xrmesh"]);
    let port = |published, protocol, target| ServicePort { published, protocol, target: Some(target) };
    assert_eq!(web.ports, [port(8053, Protocol::Udp, 53), port(8080, Protocol::Tcp, 80)]);
    assert_eq!(fake.requests().len(), 6);
    // The namespace is no container, and the task has its place on the bridge.
    let task = &inventory.containers[0];
    assert_eq!((inventory.containers.len(), task.swarm_service()), (1, Some("web")));
    assert_eq!(
        inventory.forwarded(task).map(|(endpoint, _)| endpoint.v4).collect::<Vec<_>>(),
        ["172.18.0.3".parse().ok()]
    );
}

#[tokio::test]
async fn a_worker_says_that_it_is_one() {
    let inventory = swarm(|| Reply::Status(503, WORKER)).snapshot().await.unwrap();
    assert_eq!(withheld(&inventory), "this node is a worker of its swarm");
    assert_eq!(inventory.ingress.unwrap().addresses.len(), 1);
    // Engines before 18.09 said 406.
    let inventory = swarm(|| Reply::Status(406, WORKER)).snapshot().await.unwrap();
    assert_eq!(withheld(&inventory), "this node is a worker of its swarm");
}

#[tokio::test]
async fn a_swarm_without_a_leader_is_told_apart() {
    let inventory = swarm(|| Reply::Status(500, LEADERLESS)).snapshot().await.unwrap();
    let reason = withheld(&inventory);
    assert!(
        reason.starts_with("the swarm does not list its services (") && reason.contains("have a leader"),
        "{reason}"
    );
}

#[tokio::test]
async fn half_a_list_is_an_error() {
    for (reply, says) in [
        (Reply::Torn("[{"), "/services"),
        (Reply::Json(r#"[{"Spec":{"Name":7}}]"#.to_owned()), "/services"),
        (
            Reply::Json(
                r#"[{"Spec":{"Name":"x"},"Endpoint":{"Ports":[{"Protocol":"dccp","PublishedPort":1}]}}]"#.to_owned(),
            ),
            "service \"x\": unknown protocol \"dccp\"",
        ),
        (Reply::Hang, "/services within 2 s"),
    ] {
        let reply = std::sync::Mutex::new(Some(reply));
        let fake = swarm(move || reply.lock().unwrap().take().unwrap_or(Reply::Hang));
        let error: EngineError = fake.snapshot().await.unwrap_err();
        assert!(error.to_string().contains(says) || matches!(error, EngineError::Lost { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_swarm_without_an_ingress_network_is_asked_nothing() {
    let fake = Fake::new(|path| match path {
        "/networks" => Reply::Json(NETWORKS.replace("\"Ingress\":true", "\"Ingress\":false")),
        "/containers/json?all=1" => Reply::Json("[]".to_owned()),
        _ => recorded("28.5.2", path),
    });
    let inventory = fake.snapshot().await.unwrap();
    assert_eq!((inventory.ingress, fake.requests().len()), (None, 4));
}
