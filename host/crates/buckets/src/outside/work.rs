//! A bucket outside in which a part of the host keeps objects for itself, and hands them to others by signed URLs.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use wicket_config::{BucketName, ProviderId, StorageProvider};
use wicket_core::{ByteStream, ObjectError, ObjectRef, Secret};

use super::{OutsideS3, PATIENCE, told};
use crate::client::{client_with, sending};

/// Objects that are removed at once.
const AT_ONCE: usize = 8;
/// S3 takes no signature that is good for longer.
pub const LONGEST_SIGNED: Duration = Duration::from_secs(7 * 86_400);

/// A client of one bucket. Keys are plain: made by this host, of letters, digits and `/-_.`.
#[derive(Debug)]
pub struct WorkBucket {
    s3: OutsideS3,
    bucket: BucketName,
}

impl WorkBucket {
    /// A client; nothing is sent yet. Keys that are lent for a time come with a session token.
    pub fn new(provider: &StorageProvider, session_token: Option<&Secret>, bucket: BucketName) -> Self {
        let mut s3 = OutsideS3::new(provider);
        s3.client = client_with(provider, session_token, PATIENCE);
        Self { s3, bucket }
    }

    fn object(&self, key: &str) -> Result<ObjectRef, ObjectError> {
        let key = key.parse().map_err(|error| ObjectError::Refused(format!("`{key}` is no key: {error}")))?;
        let provider = ProviderId::default();
        Ok(ObjectRef { provider, bucket: self.bucket.clone(), key, size: None, etag: None })
    }

    /// Stores a file.
    pub async fn put_file(&self, key: &str, file: &Path) -> Result<(), ObjectError> {
        self.s3.put_file(&self.object(key)?, None, file).await
    }

    /// Stores bytes.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectError> {
        let object = self.object(key)?;
        let size = body.len() as u64;
        let put = self.s3.client.put_object().bucket(self.bucket.as_str()).key(key).body(body.into());
        let put = put.customize().config_override(sending(size)).send().await;
        put.map(drop).map_err(|error| self.s3.refused(&object, &error))
    }

    /// Stores bytes where no object is yet; whether it did.
    pub async fn put_once(&self, key: &str, body: Bytes) -> Result<bool, ObjectError> {
        let object = self.object(key)?;
        let put = self.s3.client.put_object().bucket(self.bucket.as_str()).key(key).if_none_match("*");
        match put.body(body.into()).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 412) => Ok(false),
            Err(error) => Err(self.s3.refused(&object, &error)),
        }
    }

    /// An object of at most so many bytes; none where there is no such.
    pub async fn read(&self, key: &str, most: u64) -> Result<Option<Bytes>, ObjectError> {
        let object = self.object(key)?;
        let mut body = match self.s3.open(&object).await {
            Ok(opened) => opened.body,
            Err(ObjectError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut all = BytesMut::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| self.s3.failed(&object, error.to_string()))?;
            if all.len() as u64 + piece.len() as u64 > most {
                return Err(self.s3.failed(&object, format!("it is larger than {most} bytes")));
            }
            all.extend_from_slice(&piece);
        }
        Ok(Some(all.freeze()))
    }

    /// An object's bytes as they come.
    pub async fn open(&self, key: &str) -> Result<ByteStream, ObjectError> {
        Ok(self.s3.open(&self.object(key)?).await?.body)
    }

    /// The keys of all objects that begin so.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let list = self.s3.client.list_objects_v2().bucket(self.bucket.as_str()).prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| match self.object(prefix.trim_end_matches('/')) {
                Ok(object) => match self.s3.refused(&object, &error) {
                    // Nothing can be missing but the bucket.
                    ObjectError::Missing { .. } => self.s3.failed(&object, told(&error)),
                    other => other,
                },
                Err(error) => error,
            })?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        Ok(keys)
    }

    /// Removes these objects; those that are not there are no matter.
    pub async fn remove(&self, keys: Vec<String>) -> Result<(), ObjectError> {
        let removals = futures::stream::iter(keys.into_iter().map(|key| async move {
            let object = self.object(&key)?;
            let removal = self.s3.client.delete_object().bucket(self.bucket.as_str()).key(&key);
            removal.send().await.map(drop).map_err(|error| self.s3.refused(&object, &error))
        }));
        removals.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// A URL by which anybody may read this object for so long.
    pub async fn signed_get(&self, key: &str, good_for: Duration) -> Result<String, ObjectError> {
        let object = self.object(key)?;
        let get = self.s3.client.get_object().bucket(self.bucket.as_str()).key(key);
        let signed = get.presigned(self.for_so_long(&object, good_for)?).await;
        signed.map(|request| request.uri().to_owned()).map_err(|error| self.s3.refused(&object, &error))
    }

    /// A URL by which anybody may write this object for so long; with `once`, only where none is yet, and by a request
    /// that says `if-none-match: *`.
    pub async fn signed_put(&self, key: &str, good_for: Duration, once: bool) -> Result<String, ObjectError> {
        let object = self.object(key)?;
        let put = self.s3.client.put_object().bucket(self.bucket.as_str()).key(key);
        let put = put.set_if_none_match(once.then(|| "*".to_owned()));
        // Whoever sends it makes no checksum.
        let plain = aws_sdk_s3::Config::builder()
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        let put = put.customize().config_override(plain);
        let signed = put.presigned(self.for_so_long(&object, good_for)?).await;
        signed.map(|request| request.uri().to_owned()).map_err(|error| self.s3.refused(&object, &error))
    }

    fn for_so_long(&self, object: &ObjectRef, good_for: Duration) -> Result<PresigningConfig, ObjectError> {
        PresigningConfig::expires_in(good_for.min(LONGEST_SIGNED))
            .map_err(|error| self.s3.failed(object, error.to_string()))
    }
}
