//! The engine's answers, as far as they are read.
//!
//! Engines from 20.10 to 29 omit, empty or null fields as they please, so every field is optional and unknown ones are
//! ignored. A field of another type than documented is an error all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Missing, `null` and empty are one to the engine.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(input).map(Option::unwrap_or_default)
}

/// `GET /version`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Version {
    #[serde(rename = "Version", deserialize_with = "nullable")]
    pub(super) release: String,
    #[serde(rename = "ApiVersion", deserialize_with = "nullable")]
    pub(super) newest_api: String,
    #[serde(rename = "MinAPIVersion", deserialize_with = "nullable")]
    pub(super) oldest_api: String,
}

/// `GET /info`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) operating_system: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) security_options: Vec<String>,
    pub(super) firewall_backend: Option<FirewallBackend>,
}

/// `FirewallBackend` of `/info`, from API 1.49.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct FirewallBackend {
    #[serde(deserialize_with = "nullable")]
    pub(super) driver: String,
}

/// One entry of `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Summary {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) names: Vec<String>,
    /// Seconds since 1970.
    #[serde(deserialize_with = "nullable")]
    pub(super) created: i64,
    #[serde(deserialize_with = "nullable")]
    pub(super) state: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<Port>,
    #[serde(deserialize_with = "nullable")]
    pub(super) host_config: SummaryHostConfig,
    #[serde(deserialize_with = "nullable")]
    pub(super) network_settings: NetworkSettings,
}

/// `HostConfig` of a list entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SummaryHostConfig {
    #[serde(deserialize_with = "nullable")]
    pub(super) network_mode: String,
}

/// One published or exposed port of a list entry.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Port {
    #[serde(rename = "IP", deserialize_with = "nullable")]
    pub(super) ip: String,
    #[serde(rename = "PrivatePort")]
    pub(super) private: u16,
    #[serde(rename = "PublicPort")]
    pub(super) public: Option<u16>,
    #[serde(rename = "Type", deserialize_with = "nullable")]
    pub(super) protocol: String,
}

/// `NetworkSettings` of a list entry or of an inspected container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    /// By network name; `null` for a network that it is not on yet.
    #[serde(deserialize_with = "nullable")]
    pub(super) networks: BTreeMap<String, Option<Attachment>>,
    /// Inspected containers only.
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: PortMap,
    /// The file of its network namespace; inspected containers only, empty unless it runs.
    #[serde(deserialize_with = "nullable")]
    pub(super) sandbox_key: String,
}

/// A container on a network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attachment {
    #[serde(rename = "NetworkID", deserialize_with = "nullable")]
    pub(super) network_id: String,
    #[serde(rename = "IPAddress", deserialize_with = "nullable")]
    pub(super) v4: String,
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "nullable")]
    pub(super) v6: String,
    #[serde(rename = "Gateway", deserialize_with = "nullable")]
    pub(super) gateway: String,
    #[serde(rename = "IPv6Gateway", deserialize_with = "nullable")]
    pub(super) gateway6: String,
}

/// `80/tcp` to its bindings; `null` when only exposed.
pub(super) type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// One binding of an inspected container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PortBinding {
    #[serde(deserialize_with = "nullable")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) host_port: String,
}

/// `GET /containers/ID/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Inspected {
    #[serde(deserialize_with = "nullable")]
    pub(super) host_config: HostConfig,
    #[serde(deserialize_with = "nullable")]
    pub(super) config: Config,
    #[serde(deserialize_with = "nullable")]
    pub(super) network_settings: NetworkSettings,
    #[serde(deserialize_with = "nullable")]
    pub(super) state: State,
}

/// `State` of an inspected container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    #[serde(deserialize_with = "nullable")]
    pub(super) pid: u32,
}

/// What was asked for at creation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    #[serde(deserialize_with = "nullable")]
    pub(super) port_bindings: PortMap,
    #[serde(deserialize_with = "nullable")]
    pub(super) publish_all_ports: bool,
}

/// What the image and `--expose` declare.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    #[serde(deserialize_with = "nullable")]
    pub(super) exposed_ports: BTreeMap<String, serde_json::Value>,
}

/// One entry of `GET /networks`, and `GET /networks/NAME`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Network {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) driver: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) internal: bool,
    /// Swarm's ingress network, whatever it is called.
    #[serde(deserialize_with = "nullable")]
    pub(super) ingress: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) config_only: bool,
    #[serde(rename = "IPAM", deserialize_with = "nullable")]
    pub(super) ipam: Ipam,
    #[serde(deserialize_with = "nullable")]
    pub(super) options: BTreeMap<String, String>,
    /// Of one network only, by container ID.
    #[serde(deserialize_with = "nullable")]
    pub(super) containers: BTreeMap<String, Member>,
}

/// A network's address plan.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Ipam {
    #[serde(deserialize_with = "nullable")]
    pub(super) config: Vec<Pool>,
}

/// One subnet.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Pool {
    #[serde(deserialize_with = "nullable")]
    pub(super) subnet: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) gateway: String,
}

/// A container as its network lists it; addresses carry a prefix length.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    #[serde(rename = "IPv4Address", deserialize_with = "nullable")]
    pub(super) v4: String,
    #[serde(rename = "IPv6Address", deserialize_with = "nullable")]
    pub(super) v6: String,
}
