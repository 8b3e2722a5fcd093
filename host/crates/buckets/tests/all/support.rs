//! An endpoint on a folder of its own, a client, and somebody who listens to what becomes visible.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wicket_buckets::{EndpointLimits, Keys, LocalBuckets, PART, S3Endpoint};
use wicket_core::Event;
use wicket_store::{Announce, Store, StoreError, Tx};

pub(crate) const ACCESS: &str = "test-access";
pub(crate) const SECRET: &str = "test-secret";

/// Remembers what was announced and committed, and can refuse.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    committed: Arc<Mutex<Vec<Event>>>,
    refuse: Mutex<bool>,
}

impl Announce for Recorder {
    fn created(&self, tx: &mut Tx<'_>, event: &Event) -> Result<(), StoreError> {
        if *self.refuse.lock().unwrap() {
            return Err(StoreError::refused("nobody takes this event"));
        }
        let (committed, event) = (self.committed.clone(), event.clone());
        tx.after_commit(move || committed.lock().unwrap().push(event));
        Ok(())
    }
}

impl Recorder {
    /// `bucket/key` of everything that was announced.
    pub(crate) fn announced(&self) -> Vec<String> {
        let events = self.committed.lock().unwrap();
        events
            .iter()
            .filter_map(Event::object)
            .map(|object| format!("{}/{}", object.bucket, object.key))
            .collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.committed.lock().unwrap().clone()
    }

    pub(crate) fn refuse(&self, refuse: bool) {
        *self.refuse.lock().unwrap() = refuse;
    }
}

/// An endpoint that serves.
pub(crate) struct Endpoint {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) buckets: Arc<LocalBuckets>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) client: Client,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    /// An endpoint on an empty folder, with a bucket `photos`.
    pub(crate) async fn start() -> Self {
        Self::start_with(EndpointLimits::default()).await
    }

    /// The same with other limits.
    pub(crate) async fn start_with(limits: EndpointLimits) -> Self {
        let endpoint = Self::on(tempfile::tempdir().unwrap(), limits).await;
        endpoint.client.create_bucket().bucket("photos").send().await.unwrap();
        endpoint
    }

    /// An endpoint on this folder.
    #[expect(clippy::disallowed_methods, reason = "the test waits for what it spawns")]
    pub(crate) async fn on(folder: tempfile::TempDir, limits: EndpointLimits) -> Self {
        let store = Store::open(&folder.path().join("wicket.db"), &[PART]).unwrap();
        let recorder = Arc::new(Recorder::default());
        let objects = folder.path().join("objects");
        let buckets = LocalBuckets::open(store.clone(), &objects, recorder.clone()).await.unwrap();
        buckets.sweep().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let endpoint = S3Endpoint::new(buckets.clone(), Keys::new(ACCESS, SECRET)).with_limits(limits);
        let serving = tokio::spawn(endpoint.serve(listener, stop.clone()));
        let client = client(address, ACCESS, SECRET);
        Self { folder, store, buckets, recorder, address, client, stop, serving }
    }

    /// Stops as a host does, and answers the folder.
    pub(crate) async fn end(self) -> tempfile::TempDir {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.serving).await.expect("it drains").unwrap();
        drop(self.buckets);
        self.store.close().await;
        self.folder
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> String {
        let put = self.client.put_object().bucket("photos").key(key).body(ByteStream::from(body.into()));
        put.send().await.unwrap().e_tag.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket("photos").key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    /// How many files hold bytes of objects.
    pub(crate) fn files(&self) -> usize {
        files(self.folder.path())
    }

    /// Waits until so many files hold bytes of objects: they go a moment after the commit.
    pub(crate) async fn files_become(&self, wanted: usize) {
        wait("the number of files", || self.files() == wanted).await;
    }
}

pub(crate) fn files(folder: &std::path::Path) -> usize {
    let shards = std::fs::read_dir(folder.join("objects")).unwrap();
    shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

/// Waits for a state, with a deadline.
pub(crate) async fn wait(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within 10 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn client(address: std::net::SocketAddr, access: &str, secret: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access, secret, None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// S3's code of a refusal, or its status where the answer has no body.
pub(crate) fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E>>,
) -> String {
    let error = answer.expect_err("it is refused");
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (error.code(), status) {
        (Some(code), Some(status)) => format!("{status} {code}"),
        (None, Some(status)) => format!("{status}"),
        (code, None) => panic!("no answer: {code:?} {error:?}"),
    }
}

/// Bytes that no compression or accident makes.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
