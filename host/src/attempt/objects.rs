//! Reads objects for a function: those of its event, and the buckets it was granted.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use tokio_util::io::ReaderStream;
use wicket_buckets::{ListQuery, LocalBuckets};
use wicket_config::BucketName;
use wicket_core::{Deployment, Event, ObjectEntry, ObjectError, ObjectRef, Objects, Opened};

use crate::node::Outside;

/// The objects that one attempt may read.
#[derive(Debug)]
pub(crate) struct AttemptObjects {
    /// Whose grants.
    deployment: Arc<Deployment>,
    buckets: Arc<LocalBuckets>,
    outside: Arc<Outside>,
    /// Those of the event.
    own: HashSet<ObjectRef>,
    /// A posted body that was too large to hold, as a file; it is the event's object.
    posted: Option<PathBuf>,
}

impl AttemptObjects {
    /// For an attempt on this event.
    pub(crate) fn new(
        deployment: Arc<Deployment>,
        buckets: Arc<LocalBuckets>,
        outside: Arc<Outside>,
        event: &Event,
        posted: Option<PathBuf>,
    ) -> Self {
        let own = event.objects().into_iter().cloned().collect();
        Self { deployment, buckets, outside, own, posted }
    }

    /// For a call that has no event: only what the service was granted.
    pub(crate) fn granted_only(
        deployment: Arc<Deployment>,
        buckets: Arc<LocalBuckets>,
        outside: Arc<Outside>,
    ) -> Self {
        Self { deployment, buckets, outside, own: HashSet::new(), posted: None }
    }

    fn granted(&self, bucket: &BucketName) -> bool {
        self.deployment.service.grants.read_buckets.contains(bucket)
    }
}

#[async_trait]
impl Objects for AttemptObjects {
    async fn open(&self, object: &ObjectRef) -> Result<Opened, ObjectError> {
        let local = object.provider.is_local();
        let may = self.own.contains(object) || local && self.granted(&object.bucket);
        if !may {
            return Err(ObjectError::Refused(format!(
                "`{}` in bucket `{}` is neither part of the event nor in a bucket of `grants.read_buckets`",
                object.key, object.bucket
            )));
        }
        if object.is_posted() {
            let failed = |source: std::io::Error| ObjectError::Storage {
                bucket: object.bucket.to_string(),
                key: object.key.to_string(),
                source: Box::new(source),
            };
            let path = self.posted.as_ref().ok_or_else(|| ObjectError::Missing {
                bucket: object.bucket.to_string(),
                key: object.key.to_string(),
            })?;
            let file = tokio::fs::File::open(path).await.map_err(failed)?;
            let size = file.metadata().await.map_err(failed)?.len();
            let body = Box::pin(ReaderStream::with_capacity(file, 256 << 10));
            return Ok(Opened { size, content_type: None, body });
        }
        if local {
            let (info, body) = self
                .buckets
                .get(&object.bucket, &object.key, None)
                .await
                .map_err(|error| error.for_object(&object.bucket, &object.key))?;
            let body = Box::pin(body.map_err(std::io::Error::other));
            return Ok(Opened { size: info.size, content_type: info.meta.content_type, body });
        }
        self.outside.of(&self.deployment.service, &object.provider)?.open(object).await
    }

    async fn list(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ObjectEntry>, ObjectError> {
        if !self.granted(bucket) {
            return Err(ObjectError::Refused(format!("bucket `{bucket}` is not in `grants.read_buckets`")));
        }
        let query = ListQuery {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit: limit.clamp(1, 1000),
            ..ListQuery::default()
        };
        let page = self.buckets.list(bucket, query).await.map_err(|error| error.for_bucket(bucket))?;
        let entry = |info: wicket_buckets::ObjectInfo| ObjectEntry {
            key: info.key,
            size: info.size,
            modified: info.modified,
        };
        Ok(page.objects.into_iter().map(entry).collect())
    }
}
