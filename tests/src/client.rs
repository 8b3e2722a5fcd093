//! Clients of a test host.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::TestHost;
use crate::host::binary;

/// An HTTP answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

/// What a command left.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Output {
    /// Standard output as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl TestHost {
    /// Runs `wicket` against this host.
    pub fn cli(&self, args: &[&str]) -> Output {
        let output = Command::new(binary())
            .args(args)
            .env("WICKET_DATA", self.data())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs `wicket`, which must succeed.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn wicket(&self, args: &[&str]) -> Output {
        let output = self.cli(args);
        assert_eq!(output.code, 0, "wicket {args:?}: {output:?}");
        output
    }

    /// Applies services: `{guest:NAME}` in the text is the path of a guest.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn apply(&self, services: &str) -> Output {
        let file = self.fdl(services);
        self.wicket(&["apply", file.to_str().expect("a temporary path is text")])
    }

    /// Writes services into a file: entries of `functions.oscar`, as YAML.
    pub fn fdl(&self, services: &str) -> PathBuf {
        let mut text = String::from("functions:\n  oscar:\n");
        for line in services.lines() {
            let mut line = line.to_owned();
            while let Some((before, rest)) = line.split_once("{guest:") {
                let (name, after) = rest.split_once('}').expect("{guest:NAME}");
                line = format!("{before}{}{after}", crate::guests::path(name).display());
            }
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        }
        let file = self.scratch().join(format!("{}.yaml", text.len()));
        std::fs::write(&file, text).expect("the temporary folder is writable");
        file
    }

    /// The admin password.
    pub fn password(&self) -> String {
        std::fs::read_to_string(self.data().join("admin-password")).unwrap_or_default().trim().to_owned()
    }

    /// One HTTP request. `path` may be a whole URL.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let uri = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.http) };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a legal request");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.expect("the host answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the answer arrives").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// A request as admin.
    pub async fn admin(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("authorization", &*self.admin_header()), ("accept", "application/json")];
        self.send(method, path, &headers, body.into()).await
    }

    /// The value of `authorization` by which the admin says who he is.
    pub fn admin_header(&self) -> String {
        use base64::Engine;
        let token = base64::engine::general_purpose::STANDARD.encode(format!("oscar:{}", self.password()));
        format!("Basic {token}")
    }

    /// An S3 client with the host's keys.
    pub fn buckets(&self) -> aws_sdk_s3::Client {
        let text =
            std::fs::read_to_string(self.data().join("s3-keys.json")).expect("the host wrote its keys");
        let keys: serde_json::Value = serde_json::from_str(&text).expect("keys are JSON");
        let key = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.s3)
            .force_path_style(true)
            // A second try of the client would hide what became of the first.
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new(key("access_key"), key("secret_key"), None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Puts an object; panics unless it is acknowledged.
    pub async fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        let body = aws_sdk_s3::primitives::ByteStream::from(body.into());
        let put = self.buckets().put_object().bucket(bucket).key(key).body(body).send().await;
        put.unwrap_or_else(|error| panic!("put {bucket}/{key}: {error:?}"));
    }

    /// An object's bytes, when it is there.
    pub async fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let got = self.buckets().get_object().bucket(bucket).key(key).send().await.ok()?;
        Some(got.body.collect().await.ok()?.into_bytes())
    }
}
