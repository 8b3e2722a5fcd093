//! Why did something start, or not start?

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Deserialize;
use wicket_config::{BucketName, NameError, ObjectKey, ProviderId};
use wicket_core::{Event, EventId, Filter, InvocationId, ObjectRef, Queue, Receipt};

use super::access::Admin;
use super::error::ApiError;
use super::invocations::{self, MAX_PAGE};
use super::params::Named;
use super::view::{EventView, ExplainObject, ExplainView, InvocationView};
use super::{body, cloud_event};
use crate::node::Node;

/// Invocations of a join that are looked into: the event of each is read.
const MAX_JOINS: u32 = 100;
/// Largest question: a CloudEvent with its data.
const MAX_BODY: usize = 1 << 20;

/// Which routes an event matches and why the others do not, and what became of it.
///
/// The question is an object of a bucket (it need not exist), or a CloudEvent in its JSON format (it need not have
/// been sent).
#[utoipa::path(post, path = "/system/explain", operation_id = "explain_asked", tag = "invocations", security(("admin" = [])),
    request_body(content((ExplainObject = "application/json"))), responses(
    (status = 200, description = "`event`, `routes` with a sentence for each input and filter, and `way`: the receipts of its workflow run, oldest first", body = Object),
    (status = 400, description = "The question is neither")))]
pub(super) async fn asked(
    _: Admin,
    State(node): State<Arc<Node>>,
    body: Body,
) -> Result<Json<ExplainView>, ApiError> {
    let text = body::whole(body, MAX_BODY).await?;
    let Outline { specversion } = body::parse(&text)?;
    let (event, first) = if specversion.is_some() {
        let event = cloud_event::structured(&text)?;
        let first = started(&node, &event).await?;
        (event, first)
    } else {
        let event = of_object(body::parse(&text)?)?;
        let first = touched(&node, &event).await?;
        (event, first)
    };
    answer(&node, event, first).await
}

/// The same of the event of an invocation.
#[utoipa::path(get, path = "/system/explain/{id}", operation_id = "explain_happened", tag = "invocations", security(("admin" = [])),
    params(("id" = String, Path, description = "The invocation")), responses(
    (status = 200, description = "As above", body = Object),
    (status = 404, description = "There is no such invocation, or it was a synchronous call")))]
pub(super) async fn happened(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(id): Named<InvocationId>,
) -> Result<Json<ExplainView>, ApiError> {
    let receipt = node.receipts().await.receipt(id).await?.ok_or_else(|| invocations::unknown(id))?;
    let event = node.receipts().await.event(id).await?.ok_or_else(|| no_event(id))?;
    answer(&node, event, Some(receipt)).await
}

async fn answer(node: &Node, event: Event, known: Option<Receipt>) -> Result<Json<ExplainView>, ApiError> {
    let routes = node.catalog.table().router.explain(&event);
    let way = way_of(node, known).await?;
    Ok(Json(ExplainView { event: view(event), routes, way }))
}

/// Enough to tell the questions apart.
#[derive(Deserialize)]
struct Outline {
    specversion: Option<serde::de::IgnoredAny>,
}

/// The event that this object's creation is.
fn of_object(asked: ExplainObject) -> Result<Event, ApiError> {
    let bucket: BucketName = asked.bucket.parse().map_err(|error: NameError| ApiError::from(error))?;
    let key: ObjectKey = asked.key.parse().map_err(|error: NameError| ApiError::from(error))?;
    let provider = asked.storage_provider.map_or_else(ProviderId::default, ProviderId);
    let object = ObjectRef { provider, bucket, key, size: None, etag: None };
    let local = object.provider.is_local();
    let source = format!("/{}/{}", object.provider.0, object.bucket);
    let mut event = Event::object_created(object, EventId::random());
    if !local {
        event.source = source;
    }
    Ok(event)
}

/// The first thing that this very event started.
async fn started(node: &Node, event: &Event) -> Result<Option<Receipt>, ApiError> {
    for service in node.catalog.table().deployments.keys() {
        let id = InvocationId::derive(service, &event.source, &event.id);
        if let Some(receipt) = node.receipts().await.receipt(id).await? {
            return Ok(Some(receipt));
        }
    }
    Ok(None)
}

/// The newest invocation on this object, among the newest of the services that it starts.
async fn touched(node: &Node, event: &Event) -> Result<Option<Receipt>, ApiError> {
    let table = node.catalog.table();
    let mut newest: Option<Receipt> = None;
    for route in table.router.explain(event).into_iter().filter(|route| route.matches) {
        let joins = table.deployments.get(&route.service).is_some_and(|one| one.service.join.is_some());
        let limit = if joins { MAX_JOINS } else { MAX_PAGE };
        let filter = Filter { service: Some(route.service), limit, ..Filter::default() };
        let receipts = node.receipts().await.list(&filter).await?;
        let found = if joins {
            joined(node, receipts, event).await?
        } else {
            let same = |one: &Receipt| one.source == event.source && one.subject == event.subject;
            receipts.into_iter().find(same)
        };
        if found.as_ref().map(|receipt| receipt.accepted) > newest.as_ref().map(|receipt| receipt.accepted) {
            newest = found;
        }
    }
    Ok(newest)
}

/// The newest of these invocations of a join that has this event's object among its parts.
async fn joined(node: &Node, receipts: Vec<Receipt>, event: &Event) -> Result<Option<Receipt>, ApiError> {
    let Some(wanted) = event.object() else { return Ok(None) };
    let place = |object: &ObjectRef| (object.provider.clone(), object.bucket.clone(), object.key.clone());
    for receipt in receipts {
        let Some(parts) = node.queue.event(receipt.id).await? else { continue };
        if parts.objects().into_iter().any(|part| place(part) == place(wanted)) {
            return Ok(Some(receipt));
        }
    }
    Ok(None)
}

/// Everything that ran in the same workflow run, oldest first.
async fn way_of(node: &Node, receipt: Option<Receipt>) -> Result<Vec<InvocationView>, ApiError> {
    let Some(receipt) = receipt else { return Ok(Vec::new()) };
    let filter = Filter { origin: Some(receipt.origin), limit: MAX_PAGE, ..Filter::default() };
    let mut way = node.receipts().await.list(&filter).await?;
    way.reverse();
    Ok(way)
}

fn no_event(id: InvocationId) -> ApiError {
    ApiError::missing(
        "unknown_event",
        format!("invocation {id} was a synchronous call: it had no event to route"),
    )
}

fn view(event: Event) -> EventView {
    EventView {
        id: event.id.to_string(),
        source: event.source,
        kind: event.kind,
        subject: event.subject,
        time: event.time,
        origin: event.origin.to_string(),
        hops: event.hops,
    }
}
