//! From the operator's file and the environment to the executor of batch jobs.

use anyhow::{Context, bail};
use wicket_batch::{BatchConfig, Keys};
use wicket_config::{BatchSection, StorageProvider};
use wicket_core::Secret;

use crate::env;

/// The region where nobody names one.
const REGION: &str = "us-east-1";

/// How jobs of AWS Batch are run; none where there is no bucket for them. `node` tells this host from others.
pub(crate) fn config(section: &BatchSection, node: &str) -> anyhow::Result<Option<BatchConfig>> {
    let Some(bucket) = section.bucket.clone() else { return Ok(None) };
    let keys = keys(section)?;
    let region = section.region.clone().or_else(env::aws_region).unwrap_or_else(|| REGION.to_owned());
    let own = match (&section.s3_access_key, &section.s3_secret_key) {
        (Some(access), Some(secret)) => Some((access.clone(), secret.0.clone())),
        (None, None) => None,
        _ => bail!("of `s3_access_key` and `s3_secret_key` of [batch] only one is set: set both or none"),
    };
    // Other keys have no token.
    let storage_token = if own.is_none() { keys.session_token.clone() } else { None };
    let (access_key, secret_key) =
        own.unwrap_or_else(|| (keys.access_key.clone(), keys.secret_key.reveal().to_owned()));
    let storage = StorageProvider {
        endpoint: section.s3_endpoint.clone(),
        access_key,
        secret_key,
        region: section.s3_region.clone().unwrap_or_else(|| region.clone()),
    };
    let supervisor = section.supervisor.to_str().context("`supervisor` of [batch] is no text")?.to_owned();
    Ok(Some(BatchConfig {
        endpoint: section.endpoint.clone(),
        region,
        keys,
        storage,
        storage_token,
        bucket,
        prefix: section.prefix.0.clone(),
        node: node.to_owned(),
        queue: section.queue.clone(),
        supervisor,
        log_group: section.log_group.clone(),
        grace: section.stop_grace.0,
        poll: section.poll.0,
        max_array: usize::try_from(section.max_array).unwrap_or(usize::MAX),
    }))
}

/// The file's keys, or those of the environment.
fn keys(section: &BatchSection) -> anyhow::Result<Keys> {
    let token = section.session_token.as_ref().map(|token| Secret::new(&*token.0));
    match (&section.access_key, &section.secret_key) {
        (Some(access), Some(secret)) => {
            Ok(Keys { access_key: access.clone(), secret_key: Secret::new(&*secret.0), session_token: token })
        }
        (None, None) => {
            let found = env::aws_keys().context(
                "[batch] has a bucket and no keys: set `access_key` and `secret_key`, or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY in the environment",
            );
            let (access_key, secret_key, session_token) = found?;
            Ok(Keys { access_key, secret_key, session_token })
        }
        _ => bail!("of `access_key` and `secret_key` of [batch] only one is set: set both or none"),
    }
}
