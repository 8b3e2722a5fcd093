//! How the executor is set up.

use std::time::Duration;

use wicket_config::{BucketName, StorageProvider};
use wicket_core::Secret;

/// A key pair of AWS.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: Secret,
    /// What comes with keys that are lent for a time.
    pub session_token: Option<Secret>,
}

/// How the executor is set up.
#[derive(Clone, Debug)]
pub struct BatchConfig {
    /// Base URL of Batch and of its logs; none: AWS itself.
    pub endpoint: Option<String>,
    /// Region of both.
    pub region: String,
    /// Keys for both.
    pub keys: Keys,
    /// The S3 of the work bucket. Jobs must reach it by the same URL.
    pub storage: StorageProvider,
    /// The session token of the keys for it.
    pub storage_token: Option<Secret>,
    /// The bucket in which attempts have their files while they run.
    pub bucket: BucketName,
    /// What all keys in it begin with, without a slash at its end.
    pub prefix: String,
    /// What tells this host's jobs from those of another, also after a restart.
    pub node: String,
    /// The queue of services that name none.
    pub queue: Option<String>,
    /// The folder on compute nodes that has the supervisor in it.
    pub supervisor: String,
    /// The log group that jobs write to.
    pub log_group: String,
    /// From SIGTERM to SIGKILL, for a function that took too long.
    pub grace: Duration,
    /// The longest time between two looks at the jobs.
    pub poll: Duration,
    /// So many attempts of one definition that begin together are one array job; 1: none are.
    pub max_array: usize,
}
