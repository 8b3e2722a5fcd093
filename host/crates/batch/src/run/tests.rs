//! What the unit tests of this crate work with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wicket_config::{Batch, Service, StorageProvider};
use wicket_core::{Deployment, Secret};

use crate::config::{BatchConfig, Keys};

pub(crate) fn batch() -> Batch {
    let written = json!({
        "image": "busybox:1", "script": "true", "memory": "64MiB", "cpu": "1", "timeout": "1m", "wait": "1h",
    });
    serde_json::from_value(written).unwrap()
}

pub(crate) fn deployment(version: u32) -> Arc<Deployment> {
    let service: Service = serde_json::from_value(json!({ "name": "heavy" })).unwrap();
    let service = Service { batch: Some(batch()), ..service };
    Arc::new(Deployment { service, version, secrets: BTreeMap::new() })
}

pub(crate) fn config() -> BatchConfig {
    let keys =
        Keys { access_key: "key".to_owned(), secret_key: Secret::new("secret-key"), session_token: None };
    BatchConfig {
        endpoint: None,
        region: "eu-west-1".to_owned(),
        keys,
        storage: StorageProvider {
            endpoint: None,
            access_key: "key".to_owned(),
            secret_key: "secret-key".to_owned(),
            region: "eu-west-1".to_owned(),
        },
        storage_token: None,
        bucket: "work".parse().unwrap(),
        prefix: "wicketgate".to_owned(),
        node: "0123456789abcdef".to_owned(),
        queue: Some("queue".to_owned()),
        supervisor: "/opt/wicketgate".to_owned(),
        log_group: "/aws/batch/job".to_owned(),
        grace: Duration::from_secs(10),
        poll: Duration::from_secs(10),
        max_array: 1000,
    }
}
