//! What a caller is told when something does not work: a status, one word, one sentence, and what to do.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use wicket_buckets::BucketError;
use wicket_config::{NameError, Problems};
use wicket_container::EngineError;
use wicket_core::{Failure, Limit, NotAnId, QueueError, chain};
use wicket_inference::InferenceError;
use wicket_store::StoreError;
use wicket_wasm::{FileError, ModuleError};

use super::body::BodyFailed;
use super::view::{ErrorBody, ErrorDetail};
use crate::catalog::{ApplyError, NoModel};
use crate::node::{AcceptError, RunError};
use crate::notification::BadNotification;

/// An error on its way out. How it is written, as text or as JSON, is decided in `shape`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
    challenge: Option<&'static str>,
}

impl ApiError {
    /// An error without help.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code: code.to_owned(), message: message.into(), help: None };
        Self { status, detail, challenge: None }
    }

    /// The caller sent something wrong.
    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// There is no such thing.
    pub(super) fn missing(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// What was sent is larger than allowed.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// Who is asking? `challenge` is the scheme by which to say so.
    pub(super) fn unauthorized(challenge: &'static str, help: &str) -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "credentials are missing or wrong");
        Self { challenge: Some(challenge), ..error.help(help) }
    }

    /// The host failed. The cause goes to the log; the caller learns what was tried.
    pub(super) fn internal(what: &str, error: &dyn std::error::Error) -> Self {
        tracing::error!(error = chain(error), what, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("the host could not {what}"))
            .help("the host's log says why")
    }

    /// The body did not arrive.
    pub(super) fn from_body(error: &std::io::Error) -> Self {
        match BodyFailed::of(error) {
            Some(BodyFailed::Stalled(_) | BodyFailed::Slow(_)) => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", chain(error))
            }
            Some(BodyFailed::Broken(_)) | None => Self::bad("bad_body", chain(error)),
        }
    }

    /// Its status, and what it says: for who has a shape of errors of his own.
    pub(super) fn parts(&self) -> (StatusCode, &str, Option<&'static str>) {
        (self.status, &self.detail.message, self.challenge)
    }

    /// Its status.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What it says.
    #[cfg(test)]
    pub(super) fn detail(&self) -> &ErrorDetail {
        &self.detail
    }

    /// The disk is full, and nothing was accepted.
    pub(super) fn full() -> Self {
        let message = "the disk is full: nothing was accepted";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", message)
            .help("free some space in the data folder and send it again")
    }

    /// The host is on its way out.
    fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the host is stopping").help("send it again")
    }

    /// The same, with what to do.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.detail.help = Some(help.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self.detail);
        response
    }
}

/// Gives an error that was left in the response its body.
pub(super) fn shape(response: Response, json: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let Some(detail) = parts.extensions.remove::<ErrorDetail>() else {
        return Response::from_parts(parts, body);
    };
    let (media_type, text) = if json {
        let body = ErrorBody { error: detail };
        ("application/json", serde_json::to_string(&body).expect("three strings are JSON"))
    } else {
        let help = detail.help.map(|help| format!("\n{help}")).unwrap_or_default();
        ("text/plain; charset=utf-8", format!("{}{help}\n", detail.message))
    };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Response::from_parts(parts, Body::from(text))
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad("bad_name", error.to_string())
    }
}

impl From<NotAnId> for ApiError {
    fn from(error: NotAnId) -> Self {
        Self::bad("bad_id", error.to_string())
    }
}

impl From<BadNotification> for ApiError {
    fn from(error: BadNotification) -> Self {
        Self::bad("bad_notification", error.to_string())
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self::bad("bad_definition", problems.to_string())
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::Unknown(_) => Self::missing("unknown_invocation", error.to_string()),
            QueueError::NotDead(..) => Self::new(StatusCode::CONFLICT, "not_dead", error.to_string())
                .help("only a dead letter is redriven: GET /system/dead-letters lists them"),
            QueueError::Full(_) => Self::full(),
            QueueError::Ended(_) => Self::new(StatusCode::CONFLICT, "ended", error.to_string())
                .help("only what waits in the queue or runs from it is cancelled"),
            QueueError::Fenced(_) | QueueError::Storage(_) => Self::internal("use its queue", &error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::full(),
            error => Self::internal("use its store", &error),
        }
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Unknown(_) => Self::missing("unknown_service", error.to_string()),
            AcceptError::NotGranted(..) => {
                Self::new(StatusCode::FORBIDDEN, "bucket_not_granted", error.to_string()).help(
                    "give the service an input that takes it, or name the bucket in `grants.read_buckets`",
                )
            }
            AcceptError::Stopping => Self::stopping(),
            AcceptError::Queue(error) => error.into(),
        }
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        match &error {
            RunError::Unknown(_) => Self::missing("unknown_service", error.to_string()),
            RunError::Busy(..) => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", error.to_string())
                .help("send it again, or POST it to /job"),
            RunError::Full(..) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string())
                .help("send it again, or POST it to /job"),
            RunError::Stopping => Self::stopping(),
            RunError::TooLarge(..) => Self::too_large(error.to_string()),
            RunError::Body(source) => Self::from_body(source),
            RunError::Slow(..) => Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", error.to_string()),
            RunError::Scratch(source) if is_full(source) => Self::full(),
            RunError::Scratch(_) => Self::internal("make a folder to work in", &error),
        }
    }
}

impl From<ApplyError> for ApiError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Cycle(_) => Self::bad("cycle", error.to_string())
                .help("change the folder, prefix or suffix of one of the outputs"),
            ApplyError::Taken(_) => Self::new(StatusCode::CONFLICT, "service_exists", error.to_string())
                .help("PUT /system/services updates it"),
            ApplyError::Route(_) => Self::new(StatusCode::CONFLICT, "route_taken", error.to_string())
                .help("give one of the two another path, host or method"),
            ApplyError::Module(error) => error.into(),
            ApplyError::Model(ref service, ref name, ref why) => {
                model(&format!("the model `{name}` of service `{service}`"), why)
            }
            ApplyError::NoHandler(..) => Self::bad("no_http_handler", error.to_string())
                .help("take `http` away, or give it a module that exports wasi:http"),
            ApplyError::Engine(ref name, ref source) => {
                engine(&format!("service `{name}` cannot run in a container here"), source)
            }
            ApplyError::Batch(_, ref source) => Self::bad("batch_refused", format!("{error}: {source}")),
            ApplyError::Memory(..) => Self::bad("memory_limit", error.to_string()),
            ApplyError::Secret(..) => Self::bad("short_secret", error.to_string()),
            ApplyError::Bucket(_, BucketError::Full(_)) | ApplyError::Store(_, StoreError::Full(_)) => {
                Self::full()
            }
            ApplyError::Unknown(_) => Self::missing("unknown_service", error.to_string()),
            ApplyError::NoVersion(..) => Self::missing("unknown_version", error.to_string())
                .help("GET /system/services/{name}/versions lists them"),
            ApplyError::NoOlder(_) => Self::new(StatusCode::CONFLICT, "no_older_version", error.to_string()),
            ApplyError::Bucket(..) => Self::internal("make the service's buckets", &error),
            ApplyError::Store(..) => Self::internal("store the service", &error),
        }
    }
}

/// Why a service cannot run in containers here.
fn engine(what: &str, why: &EngineError) -> ApiError {
    let message = format!("{what}: {why}");
    match why {
        EngineError::Away { .. } => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_container_engine", message)
            .help("start one, or name its socket with `socket` of [docker] in wicket.toml; `wicket doctor` looks for it"),
        EngineError::NoImage(image) => ApiError::bad("no_image", message)
            .help(format!("`docker pull {image}` or `docker load` brings it; `pull: missing` lets this host fetch it")),
        EngineError::Pull(..) => ApiError::bad("pull_failed", message),
        EngineError::Lacks(_) => ApiError::bad("container_refused", message),
        EngineError::Refused { .. } => ApiError::new(StatusCode::BAD_GATEWAY, "container_engine", message),
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match &error {
            FileError::TooLarge { .. } => Self::too_large(error.to_string()),
            FileError::Io { source, .. } if is_full(source) => Self::full(),
            FileError::Io { source, .. } if BodyFailed::of(source).is_some() => Self::from_body(source),
            FileError::Io { .. } => Self::internal("store it", &error),
            FileError::Digest { .. } => Self::bad("digest_mismatch", error.to_string()),
        }
    }
}

/// Why a service has not the model that it names.
fn model(what: &str, why: &NoModel) -> ApiError {
    let message = format!("{what}: {}", chain(why));
    match why {
        NoModel::Missing(digest) => ApiError::bad("unknown_model", message)
            .help(format!("PUT its bytes to /system/models/{digest}, then send this again")),
        NoModel::File(FileError::Io { source, .. }) if is_full(source) => ApiError::full(),
        NoModel::File(_) => ApiError::bad("bad_model_file", message),
        NoModel::Fetch { .. } => ApiError::new(StatusCode::BAD_GATEWAY, "model_not_fetched", message),
        NoModel::Inference(InferenceError::NoDevice { .. } | InferenceError::NoLibrary { .. }) => {
            ApiError::bad("no_device", message)
                .help("`fallback` of the model names what takes its place; `wicket doctor` says what is here")
        }
        NoModel::Inference(_) => ApiError::bad("model_refused", message),
    }
}

impl From<ModuleError> for ApiError {
    fn from(error: ModuleError) -> Self {
        let error = match error {
            ModuleError::File(error) => return error.into(),
            error => error,
        };
        let code = match &error {
            ModuleError::Missing(digest) => {
                return Self::bad("unknown_module", error.to_string())
                    .help(format!("PUT its bytes to /system/modules/{digest}, then send this again"));
            }
            ModuleError::Io { source, .. } if is_full(source) => return Self::full(),
            ModuleError::Io { .. } | ModuleError::File(_) => {
                return Self::internal("store or compile the module", &error);
            }
            ModuleError::Malformed(_) => "malformed_module",
            ModuleError::NoShape(_) => "no_entry_point",
            ModuleError::Import(_) => "import_refused",
            ModuleError::Compile(_) => "compile_failed",
        };
        Self::bad(code, error.to_string())
    }
}

impl From<BucketError> for ApiError {
    fn from(error: BucketError) -> Self {
        match &error {
            BucketError::NoBucket(_) => Self::missing("unknown_bucket", error.to_string()),
            BucketError::NoObject(..) => Self::missing("unknown_object", error.to_string()),
            BucketError::NotEmpty(_) => {
                Self::new(StatusCode::CONFLICT, "bucket_not_empty", error.to_string())
                    .help("delete its objects first")
            }
            BucketError::Full(_) => Self::full(),
            _ => Self::internal("use its buckets", &error),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// What a caller is told of a call that failed: a status, and a word for programs.
pub(crate) fn status_of(failure: &Failure) -> (StatusCode, &'static str) {
    match failure {
        Failure::Limit { limit: Limit::Body, .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_limit"),
        Failure::Limit { limit: Limit::Timeout, .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout_limit"),
        Failure::Limit { limit: Limit::Concurrency, .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "concurrency_limit")
        }
        Failure::Limit { .. } => (StatusCode::BAD_GATEWAY, "limit"),
        Failure::Function { .. } | Failure::Trap { .. } => (StatusCode::BAD_GATEWAY, "function_failed"),
        Failure::Declined { .. } => (StatusCode::BAD_GATEWAY, "declined"),
        Failure::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Failure::Input { .. } => (StatusCode::BAD_REQUEST, "input"),
        Failure::Host { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "host_failed"),
        // Whoever could be told is gone, unless the host is on its way out.
        Failure::Cancelled { .. } => (StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
    }
}
