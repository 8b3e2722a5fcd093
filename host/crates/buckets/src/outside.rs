//! Buckets of any S3 outside this host.

use std::path::Path;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream as Body;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures::StreamExt;
use tokio_util::io::ReaderStream;
use wicket_config::StorageProvider;
use wicket_core::{ObjectError, ObjectRef, Opened};

/// Files above this go in parts of this size; with 10,000 parts that is 160 GB.
const PART: u64 = 16 << 20;
/// To connect, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client for one storage provider.
#[derive(Debug)]
pub struct OutsideS3 {
    client: Client,
    endpoint: String,
}

/// What failed, where; the secret is in none of it.
#[derive(Debug, thiserror::Error)]
#[error("storage at {endpoint}: {what}")]
struct Failed {
    endpoint: String,
    what: String,
}

impl OutsideS3 {
    /// A client; nothing is sent yet.
    pub fn new(provider: &StorageProvider) -> Self {
        let region = if provider.region.is_empty() { "us-east-1" } else { &provider.region };
        let keys =
            Credentials::new(&provider.access_key, &provider.secret_key, None, None, "service definition");
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(keys)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .http_client(http);
        if let Some(endpoint) = &provider.endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        let endpoint = provider.endpoint.clone().unwrap_or_else(|| format!("AWS, {region}"));
        Self { client: Client::from_conf(config.build()), endpoint }
    }

    fn failed(&self, object: &ObjectRef, what: String) -> ObjectError {
        ObjectError::Storage {
            bucket: object.bucket.to_string(),
            key: object.key.to_string(),
            source: Box::new(Failed { endpoint: self.endpoint.clone(), what }),
        }
    }

    /// An object.
    pub async fn open(&self, object: &ObjectRef) -> Result<Opened, ObjectError> {
        let request = self.client.get_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        let got = request.send().await.map_err(|error| {
            let missing = error.as_service_error().is_some_and(|error| error.is_no_such_key());
            if missing {
                return ObjectError::Missing {
                    bucket: object.bucket.to_string(),
                    key: object.key.to_string(),
                };
            }
            self.failed(object, DisplayErrorContext(&error).to_string())
        })?;
        let size = got.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let content_type = got.content_type().map(str::to_owned);
        let body = ReaderStream::with_capacity(got.body.into_async_read(), 256 << 10);
        Ok(Opened { size, content_type, body: Box::pin(body) })
    }

    /// Stores a file as an object; a large one goes in parts.
    pub async fn put_file(
        &self,
        object: &ObjectRef,
        content_type: Option<&str>,
        file: &Path,
    ) -> Result<(), ObjectError> {
        let size =
            tokio::fs::metadata(file).await.map_err(|error| self.failed(object, error.to_string()))?.len();
        if size > PART {
            return self.put_parts(object, content_type, file, size).await;
        }
        let body = Body::from_path(file).await.map_err(|error| self.failed(object, error.to_string()))?;
        let request = self.client.put_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        let request = request.set_content_type(content_type.map(str::to_owned)).body(body);
        let put = request.send().await;
        put.map(drop).map_err(|error| self.failed(object, DisplayErrorContext(&error).to_string()))
    }

    async fn put_parts(
        &self,
        object: &ObjectRef,
        content_type: Option<&str>,
        file: &Path,
        size: u64,
    ) -> Result<(), ObjectError> {
        let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
        let begin = self.client.create_multipart_upload().bucket(bucket).key(key);
        let begun = begin.set_content_type(content_type.map(str::to_owned)).send().await;
        let begun = begun.map_err(|error| self.failed(object, DisplayErrorContext(&error).to_string()))?;
        let id = begun.upload_id().unwrap_or_default();
        let sent = self.send_parts(object, id, file, size).await;
        let sent = match sent {
            Ok(parts) => {
                let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
                let complete = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
                let completed = complete.multipart_upload(parts).send().await;
                completed
                    .map(drop)
                    .map_err(|error| self.failed(object, DisplayErrorContext(&error).to_string()))
            }
            Err(error) => Err(error),
        };
        if sent.is_err() {
            // What is left there costs its owner money.
            let abort = self.client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
            if let Err(error) = abort.send().await {
                tracing::warn!(bucket, key, %error, "an upload in parts could not be given up");
            }
        }
        sent
    }

    async fn send_parts(
        &self,
        object: &ObjectRef,
        id: &str,
        file: &Path,
        size: u64,
    ) -> Result<Vec<CompletedPart>, ObjectError> {
        let parts = futures::stream::iter((0..size.div_ceil(PART)).map(|idx| async move {
            let (start, length) = (idx * PART, PART.min(size - idx * PART));
            let body = Body::read_from().path(file).offset(start);
            let body = body.length(aws_sdk_s3::primitives::Length::Exact(length)).build().await;
            let body = body.map_err(|error| self.failed(object, error.to_string()))?;
            let number = i32::try_from(idx + 1).unwrap_or(i32::MAX);
            let request = self.client.upload_part().bucket(object.bucket.as_str()).key(object.key.as_str());
            let sent = request.upload_id(id).part_number(number).body(body).send().await;
            let sent = sent.map_err(|error| self.failed(object, DisplayErrorContext(&error).to_string()))?;
            Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
        }));
        let mut parts = parts.buffered(3);
        let mut done = Vec::new();
        while let Some(part) = parts.next().await {
            done.push(part?);
        }
        Ok(done)
    }
}
