//! `POST /run`: a caller who waits for the answer.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::io::ReaderStream;
use wicket_core::{ByteStream, Failure, InvocationId, Reply};

use super::access::Caller;
use super::error::{ApiError, status_of};
use super::openapi::Binary;
use super::view::INVOCATION_HEADER;
use super::{body, oscar, params, services};
use crate::node::{Node, Posted, RunBody, RunReply};

/// Pieces of a file that is sent.
const PIECE: usize = 256 << 10;

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
        Posted { content_type, body }
    };
    let RunReply { id, result } = match node.run(&name, announced, posted).await {
        Ok(reply) => reply,
        Err(error) => {
            let Some(id) = error.id() else { return Err(error.into()) };
            return Ok(named(ApiError::from(error).into_response(), id));
        }
    };
    let base64 = base64.get().copied().unwrap_or(false);
    let response = match result {
        Ok(said) => answer(said, base64).await?,
        Err(Failure::Host { .. }) if !node.store.has_room() => ApiError::full().into_response(),
        Err(failure) => failed(&failure, id).into_response(),
    };
    Ok(named(response, id))
}

fn named(mut response: Response, id: InvocationId) -> Response {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(INVOCATION_HEADER, value);
    }
    response
}

/// What the function said, or made.
async fn answer(said: RunBody, base64: bool) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::new();
    let (content_type, stream): (Option<String>, ByteStream) = match said {
        RunBody::Said(Reply { body, content_type, .. }) => {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
            (Some(content_type.unwrap_or_else(|| guessed(&body).to_owned())), Box::pin(oscar::once(body)))
        }
        RunBody::File { name, content_type, path, scratch } => {
            let failed = |error: std::io::Error| ApiError::internal("read the function's output", &error);
            let file = tokio::fs::File::open(path).await.map_err(failed)?;
            headers.insert(header::CONTENT_LENGTH, file.metadata().await.map_err(failed)?.len().into());
            let name = name.rsplit('/').next().unwrap_or_default();
            let disposition =
                format!("inline; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
            if let Ok(disposition) = HeaderValue::from_str(&disposition) {
                headers.insert(header::CONTENT_DISPOSITION, disposition);
            }
            let pieces = ReaderStream::with_capacity(file, PIECE).map(move |piece| {
                let _kept_until_sent = &scratch;
                piece
            });
            (content_type, Box::pin(pieces))
        }
    };
    if base64 {
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return Ok((headers, oscar::encoded(stream)).into_response());
    }
    // A function may say anything of its answer: what is no header value is not said.
    let content_type = content_type.and_then(|text| HeaderValue::try_from(text).ok());
    let unknown = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(unknown));
    // An answer is data from a function that anybody may have written: a browser must not take it for more.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// The media type of an answer about which its function said nothing.
fn guessed(body: &Bytes) -> &'static str {
    if std::str::from_utf8(body).is_ok() { "text/plain; charset=utf-8" } else { "application/octet-stream" }
}

/// Why there is no answer. The caller may run the service, so what it said goes to him; what the host says of itself
/// stays in the receipt.
fn failed(failure: &Failure, id: InvocationId) -> ApiError {
    let (status, code) = status_of(failure);
    let message = match failure {
        Failure::Host { .. } => "the host failed".to_owned(),
        failure => failure.to_string(),
    };
    ApiError::new(status, code, message)
        .help(format!("the receipt of invocation {id} has more: GET /system/invocations/{id}"))
}
