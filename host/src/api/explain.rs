//! Why did something start, or not start?

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Deserialize;
use wicket_config::{BucketName, NameError, ObjectKey, ProviderId, ServiceName};
use wicket_core::{Data, Event, EventId, Filter, InvocationId, ObjectRef, Queue, Receipt, Timestamp};

use super::access::Admin;
use super::error::ApiError;
use super::invocations::{self, MAX_PAGE};
use super::params::Named;
use super::view::{EventView, ExplainObject, ExplainView, InvocationView, PlacementView};
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
    (status = 200, description = "`event`, `routes` with a sentence for each input and filter, `placements`: where services with several variants would run it and why, and `way`: the receipts of its workflow run, oldest first", body = Object),
    (status = 400, description = "The question is neither")))]
pub(super) async fn asked(
    _: Admin,
    State(node): State<Arc<Node>>,
    body: Body,
) -> Result<Json<ExplainView>, ApiError> {
    let text = body::whole(body, MAX_BODY).await?;
    let Outline { specversion } = body::parse(&text)?;
    let (event, origin) = if specversion.is_some() {
        let event = cloud_event::structured(&text)?;
        let origin = started(&node, &event).await?.map(|receipt| receipt.origin);
        (event, origin)
    } else {
        let mut event = of_object(body::parse(&text)?)?;
        know_size(&node, &mut event).await;
        let origin = touched(&node, &event).await?;
        (event, origin)
    };
    answer(&node, event, origin).await
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
    answer(&node, event, Some(receipt.origin)).await
}

async fn answer(node: &Node, event: Event, origin: Option<EventId>) -> Result<Json<ExplainView>, ApiError> {
    let table = node.catalog.table();
    let routes = table.router.explain(&event);
    let mut placements = Vec::new();
    for route in routes.iter().filter(|route| route.matches) {
        let Some(deployment) = table.deployments.get(&route.service) else { continue };
        // Of a join it is one of many parts: how large they are together nobody knows.
        let size = if deployment.service.join.is_some() { None } else { event.size() };
        let Some(placed) = node.would_place(deployment, size).await else { continue };
        if placed.away.is_some() || deployment.service.variants().len() > 1 {
            placements.push(PlacementView {
                service: route.service.clone(),
                variant: placed.variant,
                waits_for: placed.away,
                placement: placed.placement,
            });
        }
    }
    let way = match origin {
        Some(origin) => way_of(node, origin).await?,
        None => Vec::new(),
    };
    Ok(Json(ExplainView { event: view(event), routes, placements, way }))
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
    let object = ObjectRef { provider, bucket, key, size: asked.size, etag: None };
    let local = object.provider.is_local();
    let source = format!("/{}/{}", object.provider.0, object.bucket);
    let mut event = Event::object_created(object, EventId::random());
    if !local {
        event.source = source;
    }
    Ok(event)
}

/// An object that is here has a size.
async fn know_size(node: &Node, event: &mut Event) {
    let Data::Object(object) = &mut event.data else { return };
    if object.size.is_none()
        && object.provider.is_local()
        && let Ok((info, _)) = node.buckets.get(&object.bucket, &object.key, None).await
    {
        object.size = Some(info.size);
    }
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

/// The workflow run of the newest event of this object, among the newest invocations of the services that it starts.
async fn touched(node: &Node, event: &Event) -> Result<Option<EventId>, ApiError> {
    let table = node.catalog.table();
    let mut newest: Option<(Timestamp, EventId)> = None;
    for route in table.router.explain(event).into_iter().filter(|route| route.matches) {
        let joins = table.deployments.get(&route.service).is_some_and(|one| one.service.join.is_some());
        let found = if joins {
            joined(node, &route.service, |part| same_object(part, event)).await?.map(|joined| {
                // Each part has a run of its own, until it is joined.
                (joined.receipt.accepted, joined.part)
            })
        } else {
            let filter = Filter { service: Some(route.service), limit: MAX_PAGE, ..Filter::default() };
            let receipts = node.receipts().await.list(&filter).await?;
            let same = |one: &Receipt| one.source == event.source && one.subject == event.subject;
            receipts.into_iter().find(same).map(|receipt| (receipt.accepted, receipt.origin))
        };
        newest = newest.max(found);
    }
    Ok(newest.map(|(_, origin)| origin))
}

fn same_object(part: &Event, event: &Event) -> bool {
    let place = |object: &ObjectRef| (object.provider.clone(), object.bucket.clone(), object.key.clone());
    part.object().map(place) == event.object().map(place)
}

/// An invocation of a join, and the run of the part that it was looked for by.
struct Joined {
    receipt: Receipt,
    part: EventId,
}

/// The newest invocation of a join that has such a part.
async fn joined(
    node: &Node,
    service: &ServiceName,
    wanted: impl Fn(&Event) -> bool,
) -> Result<Option<Joined>, ApiError> {
    let filter = Filter { service: Some(service.clone()), limit: MAX_JOINS, ..Filter::default() };
    for receipt in node.receipts().await.list(&filter).await? {
        let Some(Event { data: Data::Parts(parts), .. }) = node.queue.event(receipt.id).await? else {
            continue;
        };
        if let Some(part) = parts.into_iter().find(&wanted) {
            return Ok(Some(Joined { receipt, part: part.origin }));
        }
    }
    Ok(None)
}

/// Everything that ran in a workflow run, oldest first; and where a join took something of it into another run, that
/// and what followed.
async fn way_of(node: &Node, origin: EventId) -> Result<Vec<InvocationView>, ApiError> {
    let table = node.catalog.table();
    let joins: Vec<&ServiceName> = table
        .deployments
        .values()
        .filter(|one| one.service.join.is_some())
        .map(|one| &one.service.name)
        .collect();
    let mut way = run(node, &origin).await?;
    let mut origins = vec![origin];
    let mut idx = 0;
    while let Some(origin) = origins.get(idx).cloned() {
        idx += 1;
        for service in &joins {
            let found = joined(node, service, |part| part.origin == origin).await?;
            if let Some(Joined { receipt, .. }) = found
                && !origins.contains(&receipt.origin)
            {
                let later = run(node, &receipt.origin).await?;
                way.extend(later.into_iter().filter(|one| one.accepted >= receipt.accepted));
                origins.push(receipt.origin);
            }
        }
    }
    way.sort_by_key(|one| one.accepted);
    Ok(way)
}

async fn run(node: &Node, origin: &EventId) -> Result<Vec<InvocationView>, ApiError> {
    let filter = Filter { origin: Some(origin.clone()), limit: MAX_PAGE, ..Filter::default() };
    let mut run = node.receipts().await.list(&filter).await?;
    run.reverse();
    Ok(run)
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
