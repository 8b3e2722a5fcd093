//! `POST /events`: events from outside, as CloudEvents or as S3-style notifications.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use wicket_config::{ProviderId, ServiceName};
use wicket_core::Event;

use super::access::Sender;
use super::body;
use super::cloud_event::{self, Mode};
use super::error::ApiError;
use super::openapi::Binary;
use super::params::Asked;
use super::view::{EventAccepted, EventsAccepted, StartedView};
use crate::node::{Accepted, Node};
use crate::notification;

/// Largest body: it travels in the queue.
const MAX_BODY: usize = 8 << 20;

/// Whose buckets a notification is about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct About {
    /// Of an S3-style notification: whose bucket it tells of (`minio.other`). Without it, that of every provider outside
    /// this host with which a service listens to a bucket of this name.
    storage_provider: Option<String>,
}

/// Takes events, and stores what they start: all of it, or nothing.
///
/// CloudEvents 1.0 in structured mode (`application/cloudevents+json`), batched
/// (`application/cloudevents-batch+json`) or binary (`ce-` headers); or the webhook of an S3 outside, in the form that
/// MinIO, Ceph and AWS give it. The admin's events start whatever listens to them (MinIO sends basic auth when its
/// `auth_token` is `Basic …`); with the bearer token of a service they start that service alone,
/// and name only objects that it may read in any case. The same event again
/// (by `source` and `id`) starts nothing.
#[utoipa::path(post, path = "/events", operation_id = "events", tag = "calls", security(("admin" = []), ("token" = [])), params(About),
    request_body(content(
        (Object = "application/cloudevents+json"),
        (Vec<Object> = "application/cloudevents-batch+json"),
        (Object = "application/json"),
        (Binary = "application/octet-stream"),
    )), responses(
    (status = 202, description = "What it starts is on disk", body = EventsAccepted),
    (status = 400, description = "No event, or something is wrong with it: everything is told, a line for each"),
    (status = 403, description = "With a service's token: an object that the event names is of no input of the service, and the service is not granted to read its bucket"),
    (status = 413, description = "It is larger than 8 MiB"),
    (status = 415, description = "It is in a format that this host does not read")))]
pub(super) async fn accept(
    Sender(only): Sender,
    State(node): State<Arc<Node>>,
    Asked(about): Asked<About>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<EventsAccepted>), ApiError> {
    let mode = cloud_event::mode(&headers)?;
    let body = body::whole(body, MAX_BODY).await?;
    let events = match mode {
        Some(Mode::Structured) => vec![cloud_event::structured(&body)?],
        Some(Mode::Batch) => cloud_event::batch(&body)?,
        Some(Mode::Binary) => vec![cloud_event::binary(&headers, body)?],
        None => announced(&node, &body, about.storage_provider.map(ProviderId))?,
    };
    let accepted = node.accept(&events, only.as_ref(), only.is_none()).await?;
    let events = events.iter().zip(accepted).map(view).collect();
    Ok((StatusCode::ACCEPTED, Json(EventsAccepted { events })))
}

/// The events of a notification.
fn announced(node: &Node, body: &Bytes, told: Option<ProviderId>) -> Result<Vec<Event>, ApiError> {
    let Some(created) = notification::read(body)? else {
        return Err(ApiError::bad("no_event", "the body is neither a CloudEvent nor a notification of an S3").help(
            "say `content-type: application/cloudevents+json` of a CloudEvent, or send its attributes as `ce-` headers",
        ));
    };
    let table = node.catalog.table();
    let mut events = Vec::new();
    for object in &created {
        let inputs = table.deployments.values().flat_map(|deployment| &deployment.service.input);
        let providers: BTreeSet<&ProviderId> = match &told {
            Some(told) => BTreeSet::from([told]),
            // This host's own buckets announce themselves.
            None => inputs
                .filter(|input| input.bucket == object.bucket && !input.storage_provider.is_local())
                .map(|input| &input.storage_provider)
                .collect(),
        };
        events.extend(providers.into_iter().map(|provider| object.event(provider)));
    }
    Ok(events)
}

fn view((event, accepted): (&Event, Accepted)) -> EventAccepted {
    let started = |(service, id, duplicate): (ServiceName, _, _)| StartedView { service, id, duplicate };
    EventAccepted {
        event: event.id.to_string(),
        started: accepted.started.into_iter().map(started).collect(),
        waiting: accepted.waiting,
    }
}
