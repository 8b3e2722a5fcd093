//! A client of any S3: of another's, and of a host's own endpoint.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use wicket_config::StorageProvider;
use wicket_core::Secret;

/// The region of a provider that names none.
pub(crate) const REGION: &str = "us-east-1";
/// For a transfer that does not move. Longer than smithy's own 5 s: a megabyte waits in the system's buffer, which a
/// slow line takes a while to empty.
const STALLED: Duration = Duration::from_secs(60);
/// Bytes per second of the slowest line that a body is sent over.
const SLOWEST: u64 = 16 << 10;

/// A client; nothing is sent yet. `patience` is for a connection, and for an answer to begin. A request with a body
/// needs what [`sending`] says.
pub fn client(provider: &StorageProvider, patience: Duration) -> Client {
    client_with(provider, None, patience)
}

/// The same with keys that are lent for a time, and the token that comes with them.
pub(crate) fn client_with(
    provider: &StorageProvider,
    session_token: Option<&Secret>,
    patience: Duration,
) -> Client {
    let region = if provider.region.is_empty() { REGION } else { &provider.region };
    let token = session_token.map(|token| token.reveal().to_owned());
    let keys = Credentials::new(&provider.access_key, &provider.secret_key, token, None, "given");
    let http = aws_smithy_http_client::Builder::new();
    // The system's certificates are read only where they are needed.
    let http = match &provider.endpoint {
        Some(endpoint) if endpoint.starts_with("http:") => http.build_http(),
        _ => http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
    };
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(keys)
        .timeout_config(TimeoutConfig::builder().connect_timeout(patience).read_timeout(patience).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED).build())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .http_client(http);
    if let Some(endpoint) = &provider.endpoint {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Client::from_conf(config.build())
}

/// What to override for a request with a body of so many bytes. The time to read an answer runs from the first byte
/// that is sent, so it must be enough for a slow line to take the body. Protection against stalled streams does not do
/// this job: it sees nothing of a body that is in memory, nor of a server that took all of it and is silent.
pub fn sending(size: u64) -> Builder {
    let patience = STALLED + Duration::from_secs(size / SLOWEST);
    aws_sdk_s3::Config::builder().timeout_config(TimeoutConfig::builder().read_timeout(patience).build())
}
