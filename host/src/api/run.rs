//! `POST /run`: a caller who waits for the answer.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use wicket_config::ServiceName;
use wicket_core::{Failure, InvocationId};

use super::access::Caller;
use super::answer::Answer;
use super::error::{ApiError, status_of};
use super::openapi::Binary;
use super::view::INVOCATION_HEADER;
use super::{body, oscar, params, services};
use crate::node::{Made, Node, Posted, RunError, RunReply};

/// Runs a service on the body and answers with what it says, or with the file that it makes (of several, a zip).
///
/// The body is handed over as it is, and the answer too. Only a body that claims to be JSON and is base64 instead, which
/// is how OSCAR's Python client sends files, is decoded, and its answer encoded.
#[utoipa::path(post, path = "/run/{service}", operation_id = "run", tag = "calls", security(("token" = []), ("admin" = [])),
    params(("service" = String, Path, description = "The service")),
    request_body(content = Binary, content_type = "application/octet-stream"), responses(
    (status = 200, description = "What it answers", content_type = "application/octet-stream", body = Binary,
        headers(("wicket-invocation" = String, description = "The invocation"))),
    (status = 404, description = "There is no such service"),
    (status = 413, description = "The body is over the service's `limits.body`"),
    (status = 429, description = "As many attempts run as may"),
    (status = 502, description = "The function failed"),
    (status = 504, description = "The function took longer than it may")))]
pub(super) async fn run(
    Caller { service: name, .. }: Caller,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let limit = match node.catalog.table().deployments.get(&name) {
        Some(deployment) => deployment.service.limits.body,
        None => return Err(services::unknown(&name)),
    };
    let announced = body.size_hint().lower();
    let base64 = OnceLock::new();
    let posted = async {
        let media_type = params::media_type(&headers);
        let (body, is_base64) = oscar::decoded(media_type.as_deref(), body::pieces(body), limit.0).await;
        let is_base64 = *base64.get_or_init(|| is_base64);
        let content_type =
            params::header(&headers, header::CONTENT_TYPE).filter(|_| !is_base64).map(str::to_owned);
        Ok(Posted { content_type, body, prediction: None })
    };
    let RunReply { id, result } = match node.run::<NotRun>(&name, announced, posted).await {
        Ok(reply) => reply,
        Err(error) => return Ok(error.into_response()),
    };
    let base64 = base64.get().copied().unwrap_or(false);
    let response = match result {
        Ok(made) => match answer(&name, made).await {
            Ok(answer) if base64 => answer.encoded(),
            Ok(answer) => answer.into_response(),
            Err(error) => error.into_response(),
        },
        Err(failure) => failed(&node, &failure, id).into_response(),
    };
    Ok(named(response, id))
}

/// Why a call was not made.
pub(super) enum NotRun {
    /// The node says so.
    Node(RunError),
    /// What was sent is no good.
    Sent(ApiError),
}

impl From<RunError> for NotRun {
    fn from(error: RunError) -> Self {
        Self::Node(error)
    }
}

impl From<ApiError> for NotRun {
    fn from(error: ApiError) -> Self {
        Self::Sent(error)
    }
}

impl IntoResponse for NotRun {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Sent(error) => return error.into_response(),
            Self::Node(error) => error,
        };
        let id = error.id();
        let response = ApiError::from(error).into_response();
        match id {
            Some(id) => named(response, id),
            None => response,
        }
    }
}

/// Which invocation it was.
pub(super) fn named(mut response: Response, id: InvocationId) -> Response {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(INVOCATION_HEADER, value);
    }
    response
}

/// OSCAR's rule: the file that a function makes is the answer, whatever it said beside it; of several, a zip.
async fn answer(service: &ServiceName, made: Made) -> Result<Answer, ApiError> {
    let Made { reply, mut files, kept } = made;
    match files.len() {
        0 => Ok(Answer::said(reply, kept)),
        1 => Answer::file(files.remove(0), kept).await,
        _ => Answer::zip(service, files, kept).await,
    }
}

/// Why there is no answer. The caller may run the service, so what it said goes to him; what the host says of itself
/// stays in the receipt.
pub(super) fn failed(node: &Node, failure: &Failure, id: InvocationId) -> ApiError {
    if matches!(failure, Failure::Host { .. }) && !node.store.has_room() {
        return ApiError::full();
    }
    let (status, code) = status_of(failure);
    let message = match failure {
        Failure::Host { .. } => "the host failed".to_owned(),
        failure => failure.to_string(),
    };
    ApiError::new(status, code, message)
        .help(format!("the receipt of invocation {id} has more: GET /system/invocations/{id}"))
}
