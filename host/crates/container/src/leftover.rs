//! The containers of this host, by their labels: also those that an earlier process left behind.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;
use wicket_core::{InvocationId, Timestamp};

use crate::engine::{Engine, EngineError};
use crate::spec::{Owner, labels};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Leftover {
    /// Its name, and its folder's.
    pub(crate) name: String,
    /// Whether this process made it.
    pub(crate) is_own: bool,
    /// What runs in it; none when its label cannot be read.
    pub(crate) invocation: Option<InvocationId>,
    /// The attempt's number.
    pub(crate) attempt: u32,
    /// The service's version.
    pub(crate) version: Option<u32>,
    /// When its attempt began.
    pub(crate) began: Began,
    /// How long the attempt may take; none when its label cannot be read.
    pub(crate) timeout: Option<Duration>,
    /// Whether it was ever started.
    pub(crate) was_started: bool,
    /// Whether it runs.
    pub(crate) is_running: bool,
    /// Whether it needs nobody who feeds it.
    pub(crate) is_script: bool,
}

impl Leftover {
    /// Whether a later process can go on with it.
    pub(crate) fn is_of_use(&self) -> bool {
        self.invocation.is_some() && self.was_started && self.is_script && !self.is_overdue()
    }

    /// Whether it still runs and should not.
    pub(crate) fn is_overdue(&self) -> bool {
        self.due_in().is_some_and(|left| left.is_zero())
    }

    /// How long it may still run; none where it does not.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let left = self.timeout.unwrap_or_default().saturating_sub(self.began.elapsed());
        self.is_running.then_some(left)
    }
}

/// A moment that an earlier process noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(Timestamp);

impl Began {
    pub(crate) fn elapsed(self) -> Duration {
        Timestamp::now().since(self.0)
    }
}

/// All containers of this host.
pub(crate) async fn find(
    engine: &Engine,
    docker: &Docker,
    owner: &Owner,
) -> Result<Vec<Leftover>, EngineError> {
    let mine = vec![format!("{}={}", labels::NODE, owner.node)];
    let filters = HashMap::from([("label".to_owned(), mine)]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = docker.list_containers(Some(options)).await;
    let found = found.map_err(|error| engine.failed("list containers", &error))?;
    let leftover = |one: bollard::models::ContainerSummary| {
        let labels = one.labels.unwrap_or_default();
        let name = one.names?.first()?.trim_start_matches('/').to_owned();
        let number = |name: &str| labels.get(name).and_then(|text| text.parse::<i64>().ok());
        let state = one.state.map(|state| state.to_string()).unwrap_or_default();
        Some(Leftover {
            name,
            is_own: labels.get(labels::BOOT) == Some(&owner.boot),
            invocation: labels.get(labels::INVOCATION).and_then(|id| id.parse().ok()),
            attempt: number(labels::ATTEMPT).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            version: number(labels::VERSION).and_then(|version| u32::try_from(version).ok()),
            began: Began(Timestamp(number(labels::BEGAN).unwrap_or(0))),
            timeout: number(labels::TIMEOUT).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
            was_started: state != "created",
            is_running: state == "running",
            is_script: labels.contains_key(labels::SCRIPT),
        })
    };
    Ok(found.into_iter().filter_map(leftover).collect())
}
