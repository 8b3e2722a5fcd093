//! The S3 endpoint of a host, with the keys that its API tells the admin.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use http::StatusCode;

use super::{Client, ClientError, Target};
use crate::api::view::BucketAccess;

/// To connect, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the buckets of a host.
pub(crate) async fn connect(client: &Client, target: &Target) -> Result<aws_sdk_s3::Client, ClientError> {
    let access = client.config().await?.minio_provider;
    // The folder's file says where this machine finds it; the API may tell a name for the world.
    let endpoint = target.s3.clone().unwrap_or_else(|| access.endpoint.clone());
    Ok(client_of(&access, &endpoint))
}

fn client_of(access: &BucketAccess, endpoint: &str) -> aws_sdk_s3::Client {
    let http = aws_smithy_http_client::Builder::new();
    // As for the API: the system's certificates are read only where they are needed.
    let http = if endpoint.starts_with("https:") {
        http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    } else {
        http.build_http()
    };
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "the host");
    let timeouts = TimeoutConfig::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(access.region.clone()))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(keys)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .http_client(http)
        .build();
    aws_sdk_s3::Client::from_conf(config)
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
