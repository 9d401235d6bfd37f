//! A quick look at the engine, for completion and hints: the two lists, within a short time, and nothing else.
//!
//! No rule is made from it. It does not look at single containers, so that stopped ones publish nothing here, and a
//! container that makes no sense is left out instead of being an error.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

use super::connection::Connection;
use super::endpoint::EngineAddress;
use super::error::EngineError;
use super::wire::{self, nullable};
use super::{ports, translate};
use crate::inventory::Inventory;

/// What a glance shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// Containers, in the engine's order (the newest first), and networks.
    pub inventory: Inventory,
    /// When each container was made, in seconds since 1970, in the same order.
    pub created: Vec<i64>,
}

/// Asks without a version in the path, which saves a request: what is read here has the same shape in all of them.
pub async fn glance(address: &EngineAddress, patience: Duration) -> Result<Glance, EngineError> {
    let connection = Connection::open(address, patience)?;
    let (summaries, networks) = tokio::try_join!(
        connection.get::<Vec<wire::Summary>>(CONTAINERS),
        connection.get::<Vec<wire::Network>>("/networks")
    )?;
    let ids: HashMap<&str, &str> = networks.iter().map(|network| (&*network.name, &*network.id)).collect();
    let mut glance = Glance::default();
    for summary in summaries {
        let created = summary.created;
        let bindings = if translate::is_running(&summary) { ports::listed(&summary.ports) } else { Ok(Vec::new()) };
        if let Ok(bindings) = bindings
            && let Ok(container) = translate::container(summary, bindings, &ids)
        {
            glance.inventory.containers.push(container);
            glance.created.push(created);
        }
    }
    let none = std::collections::BTreeSet::new();
    glance.inventory.networks = networks.iter().filter_map(|one| translate::network(one, &none).ok()).collect();
    Ok(glance)
}

/// The names of swarm's services; only managers know them.
pub async fn service_names(address: &EngineAddress, patience: Duration) -> Result<Vec<String>, EngineError> {
    let services = Connection::open(address, patience)?.get::<Vec<Service>>("/services").await?;
    Ok(services.into_iter().map(|service| service.spec.name).collect())
}

const CONTAINERS: &str = "/containers/json?all=1";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Spec {
    #[serde(deserialize_with = "nullable")]
    name: String,
}
