//! What only matters in a swarm: places on `docker_gwbridge`, and the services behind the ingress network.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::engine::Engine;
use super::error::EngineError;
use super::translate;
use super::wire::{self, nullable};
use crate::inventory::{Endpoint, Ingress, SWARM_GATEWAY, Service, ServicePort, Services};
use crate::net::Protocol;

/// The ingress network's own namespace, as `docker_gwbridge` lists it (moby libnetwork `controller.go`).
const SANDBOX: &str = "ingress-sbox";
const SERVICES: &str = "/services";
/// How the engine says that it manages no swarm (moby `daemon/cluster/errors.go`, both sentences).
const NO_MANAGER: &str = "not a swarm manager";

/// The part of a snapshot that plain hosts have nothing of.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    /// The places on `docker_gwbridge` of containers on overlay networks, by container ID.
    pub(super) endpoints: HashMap<String, Endpoint>,
    pub(super) ingress: Option<Ingress>,
}

impl Engine {
    /// Asks nothing where there is neither an ingress network nor a container on an overlay network.
    pub(super) async fn swarm(
        &self,
        summaries: &[wire::Summary],
        networks: &[wire::Network],
    ) -> Result<Swarm, EngineError> {
        let overlays: BTreeSet<&str> =
            networks.iter().filter(|network| network.driver == "overlay").map(|network| &*network.id).collect();
        let on_overlay = summaries
            .iter()
            .flat_map(translate::attachments)
            .any(|(_, attachment)| overlays.contains(&*attachment.network_id));
        let ingress = networks.iter().find(|network| network.ingress);
        let mut swarm = Swarm::default();
        if on_overlay || ingress.is_some() {
            swarm.endpoints = self.gateway_endpoints(networks).await?;
        }
        let sandbox = swarm.endpoints.remove(SANDBOX);
        if let Some(network) = ingress {
            let v4 = sandbox.as_ref().and_then(|sandbox| sandbox.v4.map(Into::into));
            let v6 = sandbox.as_ref().and_then(|sandbox| sandbox.v6.map(Into::into));
            swarm.ingress = Some(Ingress {
                network: network.id.clone(),
                addresses: v4.into_iter().chain(v6).collect(),
                services: self.services().await?,
            });
        }
        Ok(swarm)
    }

    /// Who has which address on `docker_gwbridge`.
    ///
    /// Ports published in host mode lead there, and only the network itself tells the addresses
    /// (moby libnetwork `default_gateway.go`).
    async fn gateway_endpoints(&self, networks: &[wire::Network]) -> Result<HashMap<String, Endpoint>, EngineError> {
        let Some(gateway) = networks.iter().find(|network| network.name == SWARM_GATEWAY) else {
            return Ok(HashMap::new());
        };
        let path = format!("/networks/{SWARM_GATEWAY}");
        let members = match self.get::<wire::Network>(&path).await {
            Ok(network) => network.containers,
            Err(error) if error.is_not_found() => return Ok(HashMap::new()),
            Err(error) => return Err(error),
        };
        let mut endpoints = HashMap::new();
        for (id, member) in members {
            let complain = |error: String| EngineError::misunderstood(&path, &format!("container \"{id}\": {error}"));
            let (v4, v6) = (translate::v4(&member.v4).map_err(complain)?, translate::v6(&member.v6).map_err(complain)?);
            endpoints.insert(id, Endpoint { network: gateway.id.clone(), v4, v6 });
        }
        Ok(endpoints)
    }

    /// The services, or why the engine does not list them. An engine that says so in its own words is no reason to give
    /// up: what the kernel holds for them is kept. A connection that breaks is.
    async fn services(&self) -> Result<Services, EngineError> {
        let listed = match self.get::<Vec<ListedService>>(SERVICES).await {
            Ok(listed) => listed,
            Err(EngineError::Api { message, .. }) if message.contains(NO_MANAGER) => {
                return Ok(Services::Withheld("this node is a worker of its swarm".to_owned()));
            }
            Err(EngineError::Api { message, .. }) => {
                return Ok(Services::Withheld(format!("the swarm does not list its services ({message})")));
            }
            Err(error) => return Err(error),
        };
        let mut services = listed
            .into_iter()
            .map(service)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| EngineError::misunderstood(SERVICES, &error))?;
        services.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Services::Known(services))
    }
}

fn service(listed: ListedService) -> Result<Service, String> {
    let (name, template) = (listed.spec.name, listed.spec.task_template);
    let mut ports = Vec::new();
    for port in listed.endpoint.ports {
        // An empty mode is the default one. What has no number yet is not published yet.
        if port.publish_mode == "host" || port.published_port == 0 {
            continue;
        }
        let protocol: Protocol = match port.protocol.as_str() {
            "" => Protocol::Tcp,
            name_of_it => {
                name_of_it.parse().map_err(|_| format!("service \"{name}\": unknown protocol \"{name_of_it}\""))?
            }
        };
        let target = Some(port.target_port).filter(|target| *target != 0);
        ports.push(ServicePort { published: port.published_port, protocol, target });
    }
    ports.sort_unstable();
    ports.dedup();
    let attached = template.networks.into_iter().map(|network| network.target);
    let mut networks: Vec<String> =
        listed.endpoint.virtual_ips.into_iter().map(|vip| vip.network_id).chain(attached).collect();
    networks.sort();
    networks.dedup();
    Ok(Service { name, labels: template.container_spec.labels.into(), networks, ports })
}

/// One entry of `GET /services`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ListedService {
    #[serde(deserialize_with = "nullable")]
    spec: ServiceSpec,
    #[serde(deserialize_with = "nullable")]
    endpoint: ServiceEndpoint,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceSpec {
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(deserialize_with = "nullable")]
    task_template: TaskTemplate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskTemplate {
    #[serde(deserialize_with = "nullable")]
    container_spec: ContainerSpec,
    #[serde(deserialize_with = "nullable")]
    networks: Vec<AttachedNetwork>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    #[serde(deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AttachedNetwork {
    #[serde(deserialize_with = "nullable")]
    target: String,
}

/// What is in force, with the ports that the swarm chose itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceEndpoint {
    #[serde(deserialize_with = "nullable")]
    ports: Vec<EndpointPort>,
    #[serde(rename = "VirtualIPs", deserialize_with = "nullable")]
    virtual_ips: Vec<VirtualIp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointPort {
    #[serde(deserialize_with = "nullable")]
    protocol: String,
    #[serde(deserialize_with = "nullable")]
    target_port: u16,
    #[serde(deserialize_with = "nullable")]
    published_port: u16,
    #[serde(deserialize_with = "nullable")]
    publish_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VirtualIp {
    #[serde(rename = "NetworkID", deserialize_with = "nullable")]
    network_id: String,
}
