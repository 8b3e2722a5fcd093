//! A small S3 client: one connection, signed as every SDK signs over plain HTTP. It costs the machine little, so that
//! the server is what is measured.

use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wicket_core::Timestamp;
use wicket_tests::TestHost;

/// A key pair.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Its name.
    pub access: String,
    /// What signs.
    pub secret: String,
}

/// What is put: its digest is part of the signature, and made once.
#[derive(Clone, Debug)]
pub struct Payload {
    bytes: Bytes,
    sha256: String,
}

impl Payload {
    /// So many bytes.
    pub fn of(size: usize) -> Self {
        let bytes: Bytes = (0..size).map(|at| (at * 31 % 251) as u8).collect();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Self { bytes, sha256 }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Keys {
    /// Those of a host.
    ///
    /// # Panics
    ///
    /// When it wrote none.
    pub fn of(host: &TestHost) -> Self {
        let text =
            std::fs::read_to_string(host.data().join("s3-keys.json")).expect("the host wrote its keys");
        let keys: serde_json::Value = serde_json::from_str(&text).expect("keys are JSON");
        let key = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        Self { access: key("access_key"), secret: key("secret_key") }
    }
}

/// One connection to a server.
#[derive(Debug)]
pub struct Connection {
    address: String,
    keys: Keys,
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<hyper::Result<()>>,
}

impl Connection {
    /// Connects to `address` (`host:port`).
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub async fn open(address: &str, keys: &Keys) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("no bytes yet to go wrong");
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self { address: address.to_owned(), keys: keys.clone(), sender, _driver: driver }
    }

    /// Whether the server answers a signed request.
    pub async fn answers(&mut self) -> bool {
        let response = self.send(Method::GET, "/", &Payload::of(0)).await;
        response.status().is_success() && response.into_body().collect().await.is_ok()
    }

    /// Makes a bucket (`/bucket`) or an object (`/bucket/key`).
    ///
    /// # Panics
    ///
    /// When it is not acknowledged.
    pub async fn put(&mut self, path: &str, payload: &Payload) {
        let response = self.send(Method::PUT, path, payload).await;
        let status = response.status();
        let said = response.into_body().collect().await.expect("an answer arrives").to_bytes();
        assert!(status.is_success(), "PUT {path}: {status} {}", String::from_utf8_lossy(&said));
    }

    /// Reads an object to its end. Its size.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub async fn get(&mut self, path: &str) -> u64 {
        let response = self.send(Method::GET, path, &Payload::of(0)).await;
        assert!(response.status().is_success(), "GET {path}: {}", response.status());
        let mut body = response.into_body();
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            size += frame.expect("the object arrives").data_ref().map_or(0, |data| data.len() as u64);
        }
        size
    }

    /// Whether an object is there.
    ///
    /// # Panics
    ///
    /// When the server says neither.
    pub async fn has(&mut self, path: &str) -> bool {
        let response = self.send(Method::HEAD, path, &Payload::of(0)).await;
        let status = response.status();
        response.into_body().collect().await.expect("an answer arrives");
        assert!(status.is_success() || status == http::StatusCode::NOT_FOUND, "HEAD {path}: {status}");
        status.is_success()
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        payload: &Payload,
    ) -> Response<hyper::body::Incoming> {
        self.sender.ready().await.expect("the connection stays open");
        let request = self.signed(method, path, payload).expect("a legal request");
        self.sender.send_request(request).await.expect("the server answers")
    }

    /// Signature version 4 of a path without a query.
    fn signed(&self, method: Method, path: &str, payload: &Payload) -> http::Result<Request<Full<Bytes>>> {
        // 2026-11-24T12:00:00… as 20261124T120000Z.
        let now = Timestamp::now().to_string();
        let now = format!("{}Z", now[..19].replace(['-', ':'], ""));
        let (day, host, digest) = (&now[..8], &self.address, &payload.sha256);
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{now}\n\n{names}\n{digest}"
        );
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let text = format!(
            "AWS4-HMAC-SHA256\n{now}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        let first = mac(format!("AWS4{}", self.keys.secret).as_bytes(), day);
        let key = ["us-east-1", "s3", "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
        let signature = hex::encode(mac(&key, &text));
        let access = &self.keys.access;
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .header("x-amz-content-sha256", digest)
            .header("x-amz-date", &now)
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"),
            )
            .body(Full::new(payload.bytes.clone()))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
