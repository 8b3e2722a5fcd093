//! Buckets of any S3 outside this host.

mod work;

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream as Body;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::StreamExt;
use tokio_util::io::ReaderStream;
use wicket_config::StorageProvider;
use wicket_core::{ObjectError, ObjectRef, Opened, chain};

use crate::client::{REGION, client, sending};

pub use work::{LONGEST_SIGNED, WorkBucket};

/// Files above this go in parts of this size; with 10,000 parts that is 160 GB.
const PART: u64 = 16 << 20;
/// To connect, and until an answer to a request without a body begins.
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

/// What went wrong, in a line: the server's status, code and words, or why there was no answer. The SDK's own text has
/// the whole answer in it.
fn told<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(refusal) = error else { return chain(error) };
    let status = refusal.raw().status().as_u16();
    let words = [error.code(), error.message()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    format!("it answered {status} {words}").trim_end().to_owned()
}

/// Whether nobody answered, or only that it cannot now.
fn is_away<E>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(refusal) => matches!(refusal.raw().status().as_u16(), 429 | 500..),
        error => matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)),
    }
}

impl OutsideS3 {
    /// A client; nothing is sent yet.
    pub fn new(provider: &StorageProvider) -> Self {
        let region = if provider.region.is_empty() { REGION } else { &provider.region };
        let endpoint = provider.endpoint.clone().unwrap_or_else(|| format!("AWS, {region}"));
        Self { client: client(provider, PATIENCE), endpoint }
    }

    fn failed(&self, object: &ObjectRef, what: String) -> ObjectError {
        ObjectError::Storage {
            bucket: object.bucket.to_string(),
            key: object.key.to_string(),
            source: Box::new(Failed { endpoint: self.endpoint.clone(), what }),
        }
    }

    /// What a refusal of the server means.
    fn refused<E>(&self, object: &ObjectRef, error: &SdkError<E>) -> ObjectError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error.code() {
            Some("NoSuchKey" | "NoSuchBucket") => {
                ObjectError::Missing { bucket: object.bucket.to_string(), key: object.key.to_string() }
            }
            _ if is_away(error) => {
                let source = Box::new(Failed { endpoint: self.endpoint.clone(), what: told(error) });
                ObjectError::Away { bucket: object.bucket.to_string(), key: object.key.to_string(), source }
            }
            _ => self.failed(object, told(error)),
        }
    }

    /// An object.
    pub async fn open(&self, object: &ObjectRef) -> Result<Opened, ObjectError> {
        let request = self.client.get_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        let got = request.send().await.map_err(|error| self.refused(object, &error))?;
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
        let put = request.customize().config_override(sending(size)).send().await;
        put.map(drop).map_err(|error| self.refused(object, &error))
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
        let begun = begun.map_err(|error| self.refused(object, &error))?;
        let id = begun.upload_id().unwrap_or_default();
        let sent = self.send_parts(object, id, file, size).await;
        let sent = match sent {
            Ok(parts) => {
                let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
                let complete = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
                // Some put it together before they answer: that takes them as long as a part may take us.
                let complete = complete.multipart_upload(parts).customize().config_override(sending(PART));
                complete.send().await.map(drop).map_err(|error| self.refused(object, &error))
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
            let request = request.upload_id(id).part_number(number).body(body);
            let sent = request.customize().config_override(sending(length)).send().await;
            let sent = sent.map_err(|error| self.refused(object, &error))?;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that takes a body slowly, far below what a part needs to be through within the patience.
    async fn slow(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 64 << 10];
        let (mut text, mut asked) = (Vec::new(), false);
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let read = stream.read(&mut buffer).await.unwrap();
            text.extend_from_slice(&buffer[..read]);
            let head = text.windows(4).position(|four| four == b"\r\n\r\n");
            if !asked && head.is_some() {
                asked = true;
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            }
            if head.is_some_and(|head| text.len() >= head + (1 << 20)) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                return;
            }
        }
    }

    #[tokio::test]
    async fn a_body_may_take_a_slow_line_longer_than_the_patience() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = StorageProvider {
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            access_key: "a".to_owned(),
            secret_key: "s".to_owned(),
            region: String::new(),
        };
        let client = client(&provider, Duration::from_millis(300));
        let outside = OutsideS3 { client, endpoint: String::new() };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 1 << 20]).unwrap();
        let object = ObjectRef {
            provider: wicket_config::ProviderId::default(),
            bucket: "photos".parse().unwrap(),
            key: "a".parse().unwrap(),
            size: None,
            etag: None,
        };
        let (put, ()) = tokio::join!(outside.put_file(&object, None, file.path()), slow(listener));
        put.unwrap();
    }
}
