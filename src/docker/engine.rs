//! The engine: version negotiation and the snapshot.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::api_version::{ApiVersion, negotiate};
use super::connection::Connection;
use super::endpoint::EngineAddress;
use super::error::EngineError;
use super::globals::Environment;
use super::{listener, ports, translate, wire};
use crate::inventory::{self, Binding, Inventory, NetworkMode};

/// So many containers are inspected at once; an engine serves them from memory, one core's worth at a time.
const INSPECT_AT_ONCE: usize = 8;

/// How to talk to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// `DOCKER_API_VERSION`: spoken without negotiation.
    pub api_version: Option<String>,
    /// How long one request may take, from connecting to the last byte.
    ///
    /// Connecting has no bound of its own: a unix socket connects at once or not at all, and an engine that systemd
    /// starts for the first request answers late.
    pub patience: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { api_version: None, patience: Duration::from_secs(30) }
    }
}

impl ConnectOptions {
    /// As `environment` demands.
    pub fn from_environment(environment: &Environment) -> Self {
        Self { api_version: environment.get("DOCKER_API_VERSION").map(str::to_owned), ..Self::default() }
    }
}

/// One engine, spoken to.
///
/// It remembers what does not change while the engine runs. Make a new one when the engine was restarted.
#[derive(Debug)]
pub struct Engine {
    address: EngineAddress,
    connection: Connection,
    version: String,
    api: ApiVersion,
    facts: OnceCell<inventory::Engine>,
    /// What stopped containers asked for, by ID: no call of the API can change it.
    requested: Mutex<HashMap<String, Vec<Binding>>>,
    /// The networks when they were last asked for.
    networks: Mutex<Arc<Vec<wire::Network>>>,
}

impl Engine {
    /// Reaches the engine and agrees on an API version.
    pub async fn connect(address: &EngineAddress, options: &ConnectOptions) -> Result<Self, EngineError> {
        let connection = Connection::open(address, options.patience)?;
        let path = "/version";
        let version: wire::Version = connection.get(path).await?;
        let api = negotiate(&version, options.api_version.as_deref(), connection.address())?;
        Ok(Self {
            address: address.clone(),
            connection,
            version: version.release,
            api,
            facts: OnceCell::new(),
            requested: Mutex::default(),
            networks: Mutex::default(),
        })
    }

    /// Reads everything: four requests, one more for each stopped container not seen before and for each running one on a
    /// macvlan or ipvlan network, and two more in a swarm.
    pub async fn snapshot(&self) -> Result<Inventory, EngineError> {
        // Containers before networks: a network that a container is on is in the later list, unless both have gone.
        let (facts, summaries) = tokio::try_join!(self.facts(), self.get::<Vec<wire::Summary>>(CONTAINERS))?;
        let networks = self.networks().await?;
        self.inventory(facts, summaries, &networks).await
    }

    /// As [`Engine::snapshot`], for who knows that no network changed since: one request, as long as every container is
    /// on networks that are known, and those for single containers.
    pub async fn snapshot_of_containers(&self) -> Result<Inventory, EngineError> {
        let (facts, summaries) = tokio::try_join!(self.facts(), self.get::<Vec<wire::Summary>>(CONTAINERS))?;
        let known = self.networks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ids: BTreeSet<&str> = known.iter().map(|network| &*network.id).collect();
        // Without an ID it is on none yet.
        let is_known = |(_, attachment): (_, &wire::Attachment)| {
            attachment.network_id.is_empty() || ids.contains(&*attachment.network_id)
        };
        let networks = if !known.is_empty() && summaries.iter().flat_map(translate::attachments).all(is_known) {
            known
        } else {
            self.networks().await?
        };
        self.inventory(facts, summaries, &networks).await
    }

    async fn networks(&self) -> Result<Arc<Vec<wire::Network>>, EngineError> {
        let networks = Arc::new(self.get::<Vec<wire::Network>>(NETWORKS).await?);
        *self.networks.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&networks);
        Ok(networks)
    }

    async fn inventory(
        &self,
        facts: &inventory::Engine,
        summaries: Vec<wire::Summary>,
        networks: &[wire::Network],
    ) -> Result<Inventory, EngineError> {
        let routed: BTreeSet<&str> =
            networks.iter().filter(|network| translate::is_routed(network)).map(|network| &*network.id).collect();
        let bindings: Vec<Option<Vec<Binding>>> = stream::iter(&summaries)
            .map(|summary| self.bindings(summary, &routed))
            .buffered(INSPECT_AT_ONCE)
            .try_collect()
            .await?;
        self.forget_all_but(&summaries);
        let swarm = self.swarm(&summaries, networks).await?;

        let told = translate::told_gateways(&summaries);
        let network_ids = networks.iter().map(|network| (&*network.name, &*network.id)).collect();
        let mut containers = Vec::with_capacity(summaries.len());
        for (summary, bindings) in summaries.into_iter().zip(bindings) {
            // Removed between the list and the look at it.
            let Some(bindings) = bindings else { continue };
            let mut container = translate::container(summary, bindings, &network_ids)
                .map_err(|error| EngineError::misunderstood(CONTAINERS, &error))?;
            if let Some(endpoint) = swarm.endpoints.get(&container.id)
                && !container.endpoints.iter().any(|known| known.network == endpoint.network)
            {
                container.endpoints.push(endpoint.clone());
            }
            containers.push(container);
        }
        let none = BTreeSet::new();
        let mut networks = networks
            .iter()
            .map(|network| translate::network(network, told.get(&network.id).unwrap_or(&none)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| EngineError::misunderstood(NETWORKS, &error))?;
        containers.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        networks.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        let mut inventory = Inventory { engine: facts.clone(), containers, networks, ingress: swarm.ingress };
        self.add_sandboxes(&mut inventory).await?;
        Ok(inventory)
    }

    /// Looks up the network namespaces of those running containers, and no others, that have an address which the host's
    /// chains never see.
    async fn add_sandboxes(&self, inventory: &mut Inventory) -> Result<(), EngineError> {
        let meant = inventory.containers.iter().enumerate().filter(|(_, container)| {
            container.running && container.mode == NetworkMode::Own && inventory.sandboxed(container).next().is_some()
        });
        let meant: Vec<(usize, String)> = meant.map(|(index, container)| (index, container.id.clone())).collect();
        let found: Vec<(usize, Option<wire::Inspected>)> = stream::iter(meant)
            .map(|(index, id)| async move { Ok::<_, EngineError>((index, self.look_at(&id).await?)) })
            .buffered(INSPECT_AT_ONCE)
            .try_collect()
            .await?;
        for (index, inspected) in found {
            inventory.containers[index].sandbox = inspected.as_ref().and_then(translate::sandbox);
        }
        Ok(())
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        self.connection.get(&format!("/v{}{path}", self.api)).await
    }

    async fn facts(&self) -> Result<&inventory::Engine, EngineError> {
        // Old engines run `runc --version` and the like for it, hence once.
        self.facts
            .get_or_try_init(|| async {
                let info = self.get::<wire::Info>("/info").await?;
                let shares_namespace = match &self.address {
                    EngineAddress::Unix(path) => listener::shares_namespace(path).await,
                    EngineAddress::DialStdio { .. } => None,
                };
                Ok(translate::engine(&self.version, &self.api.to_string(), info, shares_namespace))
            })
            .await
    }

    /// The published ports of a container; `None` when it has gone.
    ///
    /// The list tells those of running containers, except what a routed network publishes (no host port).
    async fn bindings(
        &self,
        summary: &wire::Summary,
        routed: &BTreeSet<&str>,
    ) -> Result<Option<Vec<Binding>>, EngineError> {
        if translate::is_running(summary) {
            if !translate::attachments(summary).any(|(_, attachment)| routed.contains(&*attachment.network_id)) {
                return ports::listed(&summary.ports).map(Some).map_err(|error| blame(summary, &error));
            }
            let Some(inspected) = self.inspect(summary).await? else { return Ok(None) };
            return ports::effective(&inspected).map(Some).map_err(|error| blame(summary, &error));
        }
        // It never starts again, and the engine may fail to look at it.
        if matches!(summary.state.as_str(), "dead" | "removing") {
            return Ok(Some(Vec::new()));
        }
        let known = self.requested.lock().unwrap_or_else(PoisonError::into_inner).get(&summary.id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(inspected) = self.inspect(summary).await? else { return Ok(None) };
        let bindings = ports::requested(&inspected);
        self.requested.lock().unwrap_or_else(PoisonError::into_inner).insert(summary.id.clone(), bindings.clone());
        Ok(Some(bindings))
    }

    async fn inspect(&self, summary: &wire::Summary) -> Result<Option<wire::Inspected>, EngineError> {
        if !translate::is_id(&summary.id) {
            return Err(blame(summary, &format!("\"{}\" is not an ID", summary.id)));
        }
        self.look_at(&summary.id).await
    }

    /// One container; `None` when it has gone.
    async fn look_at(&self, id: &str) -> Result<Option<wire::Inspected>, EngineError> {
        match self.get(&format!("/containers/{id}/json")).await {
            Ok(inspected) => Ok(Some(inspected)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn forget_all_but(&self, summaries: &[wire::Summary]) {
        let present: BTreeSet<&str> = summaries.iter().map(|summary| &*summary.id).collect();
        self.requested.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| present.contains(id.as_str()));
    }
}

/// A list entry that makes no sense, by its container's name.
fn blame(summary: &wire::Summary, error: &str) -> EngineError {
    EngineError::misunderstood(CONTAINERS, &format!("container \"{}\": {error}", translate::name(summary)))
}

/// Without `size=1`, which makes the engine walk the containers' files.
const CONTAINERS: &str = "/containers/json?all=1";
const NETWORKS: &str = "/networks";
