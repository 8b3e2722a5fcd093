//! Containers that an earlier process of this host left behind.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptionsBuilder;
use wicket_core::{InvocationId, Timestamp};

use crate::engine::{Engine, EngineError};
use crate::spec::{Owner, labels};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Leftover {
    /// Its name, and its folder's.
    pub(crate) name: String,
    /// What runs in it; none when its label cannot be read.
    pub(crate) invocation: Option<InvocationId>,
    /// The attempt's number.
    pub(crate) attempt: u32,
    /// The service's version.
    pub(crate) version: Option<u32>,
    /// When its attempt began.
    pub(crate) began: Began,
    /// Whether it was ever started.
    pub(crate) was_started: bool,
    /// Whether it needs nobody who feeds it.
    pub(crate) is_script: bool,
}

/// A moment that an earlier process noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(Timestamp);

impl Began {
    pub(crate) fn elapsed(self) -> std::time::Duration {
        Timestamp::now().since(self.0)
    }
}

/// All containers of this host that this process did not make.
pub(crate) async fn find(engine: &Engine, owner: &Owner) -> Result<Vec<Leftover>, EngineError> {
    let docker = engine.docker().await?;
    let mine = vec![format!("{}={}", labels::NODE, owner.node)];
    let filters = HashMap::from([("label".to_owned(), mine)]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = docker.list_containers(Some(options)).await;
    let found = found.map_err(|error| engine.failed("list containers", &error))?;
    let leftover = |one: bollard::models::ContainerSummary| {
        let labels = one.labels.unwrap_or_default();
        if labels.get(labels::BOOT) == Some(&owner.boot) {
            return None;
        }
        let name = one.names?.first()?.trim_start_matches('/').to_owned();
        let number = |name: &str| labels.get(name).and_then(|text| text.parse::<i64>().ok());
        Some(Leftover {
            name,
            invocation: labels.get(labels::INVOCATION).and_then(|id| id.parse().ok()),
            attempt: number(labels::ATTEMPT).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            version: number(labels::VERSION).and_then(|version| u32::try_from(version).ok()),
            began: Began(Timestamp(number(labels::BEGAN).unwrap_or(0))),
            was_started: one.state.is_some_and(|state| state.to_string() != "created"),
            is_script: labels.contains_key(labels::SCRIPT),
        })
    };
    Ok(found.into_iter().filter_map(leftover).collect())
}
