//! Requests by hand: what no well-meant client sends.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wicket_core::Timestamp;

use crate::support::{ACCESS, SECRET};

/// A request that is signed as it should be, unless a test spoils it.
pub(crate) struct Raw {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    sha256: Option<String>,
    secret: String,
    time: Timestamp,
    region: String,
    service: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Status and S3's code.
    pub(crate) fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        match text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")) {
            Some((code, _)) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let line = self
            .head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name)))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What a signature is made of.
pub(crate) struct Signer {
    pub(crate) key: Vec<u8>,
    pub(crate) time: String,
    pub(crate) scope: String,
    pub(crate) seed: String,
}

impl Signer {
    /// The signature of one chunk, after `before`.
    pub(crate) fn chunk(&self, before: &str, bytes: &[u8]) -> String {
        let empty = hex::encode(Sha256::digest(b""));
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{before}\n{empty}\n{}",
            self.time,
            self.scope,
            hex::encode(Sha256::digest(bytes))
        );
        hex::encode(hmac(&self.key, &text))
    }
}

impl Raw {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            sha256: None,
            secret: SECRET.to_owned(),
            time: Timestamp::now(),
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
        }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// What is signed as the body's hash: `UNSIGNED-PAYLOAD`, a kind of streaming, or a lie.
    pub(crate) fn sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }

    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secret = secret.to_owned();
        self
    }

    pub(crate) fn time(mut self, time: Timestamp) -> Self {
        self.time = time;
        self
    }

    /// What the signature is for.
    pub(crate) fn scope(mut self, region: &str, service: &str) -> Self {
        (self.region, self.service) = (region.to_owned(), service.to_owned());
        self
    }

    /// Head and signature; the body is for the caller to send.
    pub(crate) fn signed(&self, address: SocketAddr) -> (String, Signer) {
        let time: String = self.time.to_string().chars().filter(|c| !['-', ':'].contains(c)).collect();
        let time = format!("{}Z", &time[..15]);
        let sha256 = self.sha256.clone().unwrap_or_else(|| hex::encode(Sha256::digest(&self.body)));
        let mut headers = self.headers.clone();
        headers.push(("host".to_owned(), address.to_string()));
        headers.push(("x-amz-date".to_owned(), time.clone()));
        headers.push(("x-amz-content-sha256".to_owned(), sha256.clone()));
        headers.sort();
        let mut query = self.query.clone();
        query.sort();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = query.join("&");
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{}\n{query}\n{lines}\n{names}\n{sha256}", self.method, self.path);
        let scope = format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let key = [&*self.region, &self.service, "aws4_request"]
            .iter()
            .fold(hmac(format!("AWS4{}", self.secret).as_bytes(), &time[..8]), |key, part| hmac(&key, part));
        let seed = hex::encode(hmac(&key, &text));
        let target = if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) };
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method);
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "authorization: AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={seed}\r\n\
             connection: close\r\n"
        ));
        (head, Signer { key, time, scope, seed })
    }

    /// Sends it, with the length of its body, and takes the answer.
    pub(crate) async fn send(self, address: SocketAddr) -> Answer {
        let (mut head, _) = self.signed(address);
        if !self.headers.iter().any(|(name, _)| name == "content-length") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        exchange(address, &[head.as_bytes(), b"\r\n", &self.body], false).await
    }
}

/// Sends bytes, and takes the answer until the connection ends.
pub(crate) async fn exchange(address: SocketAddr, pieces: &[&[u8]], then_close: bool) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Who is refused before all was sent finds the answer, and the connection closed.
    let sent = async {
        for piece in pieces {
            stream.write_all(piece).await?;
        }
        if then_close { stream.shutdown().await } else { Ok(()) }
    };
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {}
        _ => panic!("{error}"),
    };
    sent.await.unwrap_or_else(refused);
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("an answer, and the end of the connection").map(drop).unwrap_or_else(refused);
    parse(&answer)
}

fn parse(answer: &[u8]) -> Answer {
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head, body: answer.get(at + 4..).unwrap_or_default().to_vec() }
}
