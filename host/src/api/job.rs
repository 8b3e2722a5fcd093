//! `POST /job`: a caller who does not wait. On disk when he is answered.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use wicket_config::{ProviderId, ServiceName};
use wicket_core::{Data, Event, EventId, InvocationId, Queue, kinds};

use super::access::Caller;
use super::error::ApiError;
use super::openapi::Binary;
use super::view::{INVOCATION_HEADER, JobAccepted, StartedView};
use super::{body, oscar, params, services};
use crate::node::Node;
use crate::notification::{self, Created};

/// Largest body: it travels in the queue.
const MAX_BODY: u64 = 8 << 20;
/// Longest idempotency key.
const MAX_KEY: usize = 255;

/// Queues a service on the body.
///
/// A body that is an S3-style notification (MinIO's webhook, for one) runs the service on the objects that it tells of,
/// when the service's inputs take them; told twice, they run once. Any other body is the event's data. With an
/// `Idempotency-Key` the same request again answers as the first did, and queues nothing.
#[utoipa::path(post, path = "/job/{service}", operation_id = "job", tag = "calls", security(("token" = []), ("admin" = [])),
    params(("service" = String, Path, description = "The service"),
        ("Idempotency-Key" = Option<String>, Header, description = "Up to 255 characters; the same for the same request")),
    request_body(content = Binary, content_type = "application/octet-stream"), responses(
    (status = 201, description = "It is on disk", body = JobAccepted,
        headers(("location" = String, description = "The receipt"), ("wicket-invocation" = String, description = "The invocation"))),
    (status = 200, description = "The body was a notification about nothing that starts the service", body = JobAccepted),
    (status = 403, description = "The body is a notification about an object that the service may not read"),
    (status = 404, description = "There is no such service"),
    (status = 413, description = "The body is over the service's `limits.body`, or over 8 MiB"),
    (status = 422, description = "The idempotency key was used for another request")))]
pub(super) async fn submit(
    Caller { service: name, is_admin }: Caller,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let limit = match node.catalog.table().deployments.get(&name) {
        Some(deployment) => deployment.service.limits.body.0.min(MAX_BODY),
        None => return Err(services::unknown(&name)),
    };
    let key = idempotency_key(&headers)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = body::whole(body, limit)
        .await
        .map_err(|error| error.help("put what is large into a bucket that the service listens to"))?;
    match notification::read(&body)? {
        Some(created) => announced(&node, &name, &created, is_admin).await,
        None => posted(&node, &name, &headers, key, body, is_admin).await,
    }
}

/// Runs the service on the objects of a notification.
async fn announced(
    node: &Node,
    name: &ServiceName,
    created: &[Created],
    is_admin: bool,
) -> Result<Response, ApiError> {
    let table = node.catalog.table();
    let deployment = table.deployments.get(name).ok_or_else(|| services::unknown(name))?;
    let inputs = &deployment.service.input;
    let mut events = Vec::new();
    for object in created {
        let mut providers: Vec<&ProviderId> = inputs
            .iter()
            .filter(|input| input.bucket == object.bucket)
            .map(|input| &input.storage_provider)
            .collect();
        providers.sort_unstable();
        providers.dedup();
        events.extend(providers.into_iter().map(|provider| object.event(provider)));
    }
    // A service that listens to no bucket was told of this one by somebody who knows why.
    if inputs.is_empty() {
        let events = created.iter().map(|object| object.event(&ProviderId::default())).collect();
        let submitted = node.submit(name, events, is_admin).await?;
        return Ok(accepted(name, submitted, false));
    }
    let (mut started, mut waiting) = (Vec::new(), false);
    for one in node.accept(&events, Some(name), is_admin).await? {
        started.extend(one.started.into_iter().map(|(_, id, duplicate)| (id, duplicate)));
        waiting |= one.waiting > 0;
    }
    Ok(accepted(name, started, waiting))
}

/// Runs the service on a body.
async fn posted(
    node: &Node,
    name: &ServiceName,
    headers: &HeaderMap,
    key: Option<EventId>,
    body: Bytes,
    is_admin: bool,
) -> Result<Response, ApiError> {
    let given = key.is_some();
    let mut event = Event::new(format!("/job/{name}"), kinds::POSTED, key.unwrap_or_else(EventId::random));
    let decoded = oscar::decode(params::media_type(headers).as_deref(), &body);
    if decoded.is_none() {
        event.content_type = params::header(headers, header::CONTENT_TYPE).map(str::to_owned);
    }
    let data = decoded.unwrap_or(body);
    event.data = if data.is_empty() { Data::None } else { Data::Inline(data) };
    let sent = event.data.clone();
    let submitted = node.submit(name, vec![event], is_admin).await?;
    if let (true, [(id, true)]) = (given, submitted.as_slice())
        && let Some(first) = node.queue.event(*id).await?
        && first.data != sent
    {
        let message = format!("the idempotency key was used for another body (invocation {id})");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message)
            .help("send each request with a key of its own"));
    }
    Ok(accepted(name, submitted, false))
}

fn accepted(service: &ServiceName, submitted: Vec<(InvocationId, bool)>, waiting: bool) -> Response {
    let first = submitted.first().copied();
    let status = if first.is_some() || waiting { StatusCode::CREATED } else { StatusCode::OK };
    let view = |(id, duplicate)| StartedView { service: service.clone(), id, duplicate };
    let answer = JobAccepted {
        id: first.map(|(id, _)| id),
        duplicate: first.is_some_and(|(_, duplicate)| duplicate),
        invocations: submitted.into_iter().map(view).collect(),
        waiting,
    };
    let mut response = (status, Json(answer)).into_response();
    if let Some((id, _)) = first {
        let headers = response.headers_mut();
        let texts = [
            (header::LOCATION, format!("/system/invocations/{id}")),
            (HeaderName::from_static(INVOCATION_HEADER), id.to_string()),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
    response
}

/// The caller's own name for this request.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<EventId>, ApiError> {
    let name = HeaderName::from_static("idempotency-key");
    if !headers.contains_key(&name) {
        return Ok(None);
    }
    let key = params::header(headers, name).filter(|key| (1..=MAX_KEY).contains(&key.len()));
    let refused = || {
        ApiError::bad(
            "bad_idempotency_key",
            format!("an idempotency key is one header of 1 to {MAX_KEY} printable characters"),
        )
    };
    key.map(|key| Some(EventId(key.to_owned()))).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_short_text() {
        let headers = |values: &[&str]| -> HeaderMap {
            values
                .iter()
                .map(|value| (HeaderName::from_static("idempotency-key"), value.parse().unwrap()))
                .collect()
        };
        assert_eq!(idempotency_key(&headers(&[])).unwrap(), None);
        assert_eq!(idempotency_key(&headers(&["a-1"])).unwrap(), Some(EventId("a-1".into())));
        for bad in [&[""][..], &["a", "a"], &["\u{e9}"], &[&"k".repeat(MAX_KEY + 1)]] {
            idempotency_key(&headers(bad)).unwrap_err();
        }
    }
}
