//! A SeaweedFS on free ports.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use bytes::Bytes;
use wicket_tests::{tools, until};

/// Its access key.
pub(crate) const ACCESS: &str = "weedaccess";
/// Its secret key.
pub(crate) const SECRET: &str = "weedsecret";

/// It takes seconds to start, more on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A store. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Weed {
    folder: tempfile::TempDir,
    /// Each for its own protocol: those of master, volume server, filer and S3, then theirs for gRPC.
    ports: [u16; 8],
    child: Option<Child>,
}

impl Weed {
    /// An empty one, not yet started.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let identity = serde_json::json!({ "identities": [{
            "name": "camera",
            "credentials": [{ "accessKey": ACCESS, "secretKey": SECRET }],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }] });
        std::fs::write(folder.path().join("s3.json"), identity.to_string()).expect("a temporary file");
        std::fs::create_dir(folder.path().join("data")).expect("a temporary folder");
        // Held together, so that they differ.
        let free: [TcpListener; 8] =
            std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let ports = free.map(|listener| listener.local_addr().expect("it is bound").port());
        Self { folder, ports, child: None }
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let [master, volume, filer, s3, master_grpc, volume_grpc, filer_grpc, s3_grpc] = self.ports;
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a temporary file");
        let mut command = tools::weed();
        command
            .current_dir(self.folder.path())
            .args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            .args(["-s3.config=s3.json", "-volume.max=8", "-master.volumeSizeLimitMB=64"])
            .args([format!("-master.port={master}"), format!("-master.port.grpc={master_grpc}")])
            .args([format!("-volume.port={volume}"), format!("-volume.port.grpc={volume_grpc}")])
            .args([format!("-filer.port={filer}"), format!("-filer.port.grpc={filer_grpc}")])
            .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")])
            // What else it would serve has fixed ports, which two of them cannot share.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log);
        self.child = Some(command.spawn().expect("SeaweedFS starts"));
        let client = self.client();
        until("SeaweedFS answers", START, async || client.list_buckets().send().await.ok()).await;
    }

    /// Ends it as a power cut would.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }

    /// Its base URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[3])
    }

    fn client(&self) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.endpoint())
            .force_path_style(true)
            .credentials_provider(Credentials::new(ACCESS, SECRET, None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Client::from_conf(config)
    }

    /// Makes a bucket.
    pub(crate) async fn make(&self, bucket: &str) {
        let client = self.client();
        let made = async || client.create_bucket().bucket(bucket).send().await.ok();
        until("SeaweedFS makes a bucket", START, made).await;
    }

    /// Puts an object, as soon as there is a volume for it.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: &str) {
        let client = self.client();
        let put = async || {
            let body = Bytes::copy_from_slice(body.as_bytes()).into();
            client.put_object().bucket(bucket).key(key).body(body).send().await.ok()
        };
        until("SeaweedFS takes an object", START, put).await;
    }

    /// The keys of all objects.
    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let listed = self.client().list_objects_v2().bucket(bucket).send().await.expect("SeaweedFS answers");
        listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }

    /// An object's bytes, when it is there.
    pub(crate) async fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let got = self.client().get_object().bucket(bucket).key(key).send().await.ok()?;
        Some(got.body.collect().await.ok()?.into_bytes())
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed story shows what the store said")]
            {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(20).collect();
                eprintln!("--- SeaweedFS said, the last first:\n{}", last.join("\n"));
            }
        }
    }
}
