//! The S3 endpoint of a host, with the keys that its API tells the admin.

use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use http::StatusCode;
use wicket_config::StorageProvider;

use super::{Client, ClientError, Target};

/// To connect, and until an answer to a request without a body begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the buckets of a host.
pub(crate) async fn connect(client: &Client, target: &Target) -> Result<aws_sdk_s3::Client, ClientError> {
    let access = client.config().await?.minio_provider;
    // The folder's file says where this machine finds it; the API may tell a name for the world.
    let endpoint = target.s3.clone().unwrap_or(access.endpoint);
    let provider = StorageProvider {
        endpoint: Some(endpoint),
        access_key: access.access_key,
        secret_key: access.secret_key,
        region: access.region,
    };
    Ok(wicket_buckets::client(&provider, PATIENCE))
}

/// Says what an S3 request was for, when it did not work.
pub(crate) fn failed<E>(what: impl Into<String>) -> impl FnOnce(SdkError<E>) -> ClientError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let what = what.into();
    move |error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let why = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{message} ({code})"),
            // The answer to a HEAD has no text.
            (Some("NotFound"), None) => "there is no such object or bucket".to_owned(),
            (Some(code), None) => code.to_owned(),
            (None, _) => match status {
                Some(status) => status.to_string(),
                None => super::transport::innermost(&error),
            },
        };
        ClientError::Bucket { what, why, status }
    }
}
