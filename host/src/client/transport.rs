//! One request and one answer, with time-outs. Bodies stream, both ways.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use wicket_core::Secret;

use super::body::{Body, SendError};
use super::{ClientError, Target};
use crate::api::view::{ErrorBody, ErrorDetail, INVOCATION_HEADER};

/// To connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Largest answer that is held whole: lists and receipts.
const MAX_ANSWER: usize = 256 << 20;
/// Largest error that is read.
const MAX_ERROR: usize = 1 << 20;

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the request to the head of the answer.
    head: Duration,
    /// Between two pieces of the answer; none: for ever, as one waits for the next line of a log.
    piece: Option<Duration>,
}

impl Patience {
    /// For what a host answers from its memory or its store.
    pub(crate) const QUICK: Self =
        Self { head: Duration::from_secs(30), piece: Some(Duration::from_secs(30)) };
    /// For what compiles a module: longer than the host gives a compile.
    pub(crate) const COMPILE: Self =
        Self { head: Duration::from_secs(600), piece: Some(Duration::from_secs(30)) };
    /// For a log that is followed.
    pub(crate) const FOLLOW: Self = Self { head: Duration::from_secs(30), piece: None };

    /// For a function that may take so long.
    pub(crate) fn up_to(wait: Duration) -> Self {
        Self { head: wait, piece: Some(wait) }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// The admin.
    Admin,
    /// A caller of a service, by its token; the admin where there is none.
    Caller,
}

/// Sends requests to one host.
#[derive(Debug)]
pub(super) struct Transport {
    endpoint: String,
    http: Client<HttpsConnector<HttpConnector>, Body>,
    admin: Option<HeaderValue>,
    caller: Option<HeaderValue>,
}

impl Transport {
    /// For this host; nothing is sent yet.
    pub(super) fn new(target: &Target) -> Result<Self, ClientError> {
        let unreachable = |why: String| ClientError::Unreachable { endpoint: target.endpoint.clone(), why };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        // A followed log may be silent for long: this is how a host that vanished is noticed.
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let provider = rustls::crypto::ring::default_provider();
        // Reading the system's certificates takes longer than most requests.
        let tls = if target.endpoint.starts_with("https:") {
            HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(provider)
                .map_err(|error| unreachable(format!("the system's certificates cannot be read: {error}")))?
        } else {
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(|error| unreachable(error.to_string()))?;
            let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        };
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let password = target.password.as_ref();
        let basic = password.map(|word| STANDARD.encode(format!("{}:{}", target.user, word.reveal())));
        let admin = basic.and_then(|text| hidden(format!("Basic {text}")));
        let token = target.token.as_ref().map(Secret::reveal);
        let caller = token.and_then(|token| hidden(format!("Bearer {token}"))).or_else(|| admin.clone());
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { endpoint: target.endpoint.clone(), http, admin, caller })
    }

    /// Sends a request; an answer that is no success is the error.
    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        path: &str,
        body: Body,
        who: As,
        patience: Patience,
    ) -> Result<Answer, ClientError> {
        let mut request = request
            .uri(format!("{}{path}", self.endpoint))
            .header(header::ACCEPT, "application/json")
            .body(body)
            .map_err(|error| self.unreachable(&error))?;
        let authorization = if who == As::Admin { &self.admin } else { &self.caller };
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        let what = named(&request);
        let answer = tokio::time::timeout(patience.head, self.http.request(request)).await;
        let slow = |_| ClientError::Slow {
            endpoint: self.endpoint.clone(),
            what: what.clone(),
            seconds: patience.head.as_secs(),
        };
        let response = answer.map_err(slow)?.map_err(|error| self.broken(&error))?;
        let answer = Answer { response, patience, endpoint: self.endpoint.clone(), what };
        if answer.status().is_success() { Ok(answer) } else { Err(answer.refusal().await) }
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let mut cause = Some(error);
        while let Some(at) = cause {
            if let Some(send) = at.downcast_ref::<SendError>() {
                return ClientError::Sending(send.0.clone());
            }
            cause = at.source();
        }
        self.unreachable(error)
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        ClientError::Unreachable { endpoint: self.endpoint.clone(), why: innermost(error) }
    }
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response<Incoming>,
    patience: Patience,
    endpoint: String,
    what: String,
}

impl Answer {
    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The next bytes; none at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = self.response.body_mut().frame();
            let frame = match self.patience.piece {
                None => frame.await,
                Some(wait) => tokio::time::timeout(wait, frame).await.map_err(|_| ClientError::Slow {
                    endpoint: self.endpoint.clone(),
                    what: format!("{} to its end", self.what),
                    seconds: wait.as_secs(),
                })?,
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    let why = format!("the answer broke off: {}", innermost(&error));
                    return Err(ClientError::Unreachable { endpoint: self.endpoint.clone(), why });
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let (endpoint, what) = (self.endpoint.clone(), self.what.clone());
        let bytes = self.whole(MAX_ANSWER).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Garbled {
            endpoint,
            what,
            why: error.to_string(),
        })
    }

    /// The whole body.
    async fn whole(self, limit: usize) -> Result<Bytes, ClientError> {
        let Self { response, patience, endpoint, what } = self;
        let body = Limited::new(response.into_body(), limit).collect();
        let wait = patience.piece.unwrap_or(Patience::QUICK.head);
        let Ok(body) = tokio::time::timeout(wait, body).await else {
            return Err(ClientError::Slow { endpoint, what, seconds: wait.as_secs() });
        };
        let garbled = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Garbled {
            endpoint,
            what,
            why: innermost(error.as_ref()),
        };
        Ok(body.map_err(garbled)?.to_bytes())
    }

    /// What the host says is wrong.
    async fn refusal(self) -> ClientError {
        let (status, what, endpoint) = (self.status(), self.what.clone(), self.endpoint.clone());
        let invocation = self.header(INVOCATION_HEADER).map(str::to_owned);
        let body = self.whole(MAX_ERROR).await.unwrap_or_default();
        let detail = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => body.error,
            // The answer to a HEAD has no text; or this is no host of ours, or a proxy before it.
            Err(_) => {
                let message = match status {
                    StatusCode::UNAUTHORIZED => "credentials are missing or wrong".to_owned(),
                    _ => format!("{endpoint} answers {status} to {what}: {}", first_line(&body)),
                };
                ErrorDetail { code: String::new(), message, help: None }
            }
        };
        ClientError::Refused { status, detail, invocation }
    }
}

fn named(request: &Request<Body>) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

/// A request of this method.
pub(super) fn method(method: Method) -> http::request::Builder {
    Request::builder().method(method)
}

/// A header value that `Debug` does not show; none where the text cannot stand in a header.
fn hidden(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The cause of causes: `Connection refused` says more than what is wrapped around it.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// The beginning of a text of unknown origin, fit for a terminal.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    if line.is_empty() { "(no text)".to_owned() } else { line }
}
