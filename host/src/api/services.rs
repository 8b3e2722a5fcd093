//! Services, in OSCAR's shape with our fields beside.

mod hidden;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use wicket_config::{ProviderId, Service, ServiceName, StorageProvider, fdl};
use wicket_core::{Deployment, Queue};

use super::access::Admin;
use super::body;
use super::error::ApiError;
use super::params::Named;
use super::view::{CHANGE_HEADER, NOTE_HEADER, VERSION_HEADER};
use crate::catalog::{Applied, Change, Expected};
use crate::node::{Node, REMOVED};

/// Every service, by name, without its token.
#[utoipa::path(get, path = "/system/services", operation_id = "services_list", tag = "services", security(("admin" = [])), responses(
    (status = 200, description = "In OSCAR's shape; `version`, `wasm`, `http`, `depth` and what else FDL has beside it", body = Vec<Object>)))]
pub(super) async fn list(_: Admin, State(node): State<Arc<Node>>) -> Result<Json<Vec<Value>>, ApiError> {
    let table = node.catalog.table();
    let mut services = Vec::with_capacity(table.deployments.len());
    for deployment in table.deployments.values() {
        services.push(show(&node, deployment).await?);
    }
    Ok(Json(services))
}

/// One service, and the token that calls it.
#[utoipa::path(get, path = "/system/services/{name}", operation_id = "services_read", tag = "services", security(("admin" = [])), params(("name" = String, Path, description = "The service")), responses(
    (status = 200, description = "As in the list, and `token`", body = Object),
    (status = 404, description = "There is no such service")))]
pub(super) async fn read(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(name): Named<ServiceName>,
) -> Result<Json<Value>, ApiError> {
    let deployment = node.catalog.table().deployments.get(&name).cloned().ok_or_else(|| unknown(&name))?;
    let mut json = show(&node, &deployment).await?;
    if let Some(token) = node.catalog.token(&name).await? {
        json["token"] = token.reveal().into();
    }
    Ok(Json(json))
}

/// Creates a service. Its module was uploaded before (`PUT /system/modules/{sha256}`).
///
/// On return it is checked, compiled and routed: the next request or object meets it.
#[utoipa::path(post, path = "/system/services", operation_id = "services_create", tag = "services", security(("admin" = [])),
    request_body(content = Object, description = "A service in FDL's JSON, `wasm` its module's digest"), responses(
    (status = 201, description = "Created", headers(("wicket-version" = u32, description = "Its version"))),
    (status = 400, description = "Something is wrong with it: everything is told, a line for each"),
    (status = 409, description = "There is one of this name, or its HTTP route is taken")))]
pub(super) async fn create(
    _: Admin,
    State(node): State<Arc<Node>>,
    body: Body,
) -> Result<Response, ApiError> {
    let (name, applied) = apply(&node, body, None, Expected::Absent).await?;
    let mut response = changed(StatusCode::CREATED, applied);
    if let Ok(place) = HeaderValue::from_str(&format!("/system/services/{name}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Updates a service: what it was doing ends as it began, what comes next meets the new version.
///
/// A secret that reads `hidden` or is empty, and a provider's `secret_key` that reads `hidden`, keep their stored
/// values: what was read can be sent back.
#[utoipa::path(put, path = "/system/services", operation_id = "services_update", tag = "services", security(("admin" = [])),
    request_body(content = Object, description = "A service in FDL's JSON"), responses(
    (status = 204, description = "Updated, or it was just so", headers(
        ("wicket-version" = u32, description = "The version that runs now"),
        ("wicket-change" = String, description = "`updated` or `unchanged`"))),
    (status = 400, description = "Something is wrong with it"),
    (status = 404, description = "There is no such service")))]
pub(super) async fn update(
    _: Admin,
    State(node): State<Arc<Node>>,
    body: Body,
) -> Result<Response, ApiError> {
    let (_name, applied) = apply(&node, body, None, Expected::Present).await?;
    Ok(changed(StatusCode::NO_CONTENT, applied))
}

/// The same, with the name in the path too.
#[utoipa::path(put, path = "/system/services/{name}", operation_id = "services_update_named", tag = "services", security(("admin" = [])), params(("name" = String, Path, description = "The service")),
    request_body(content = Object, description = "A service in FDL's JSON, of this name"), responses(
    (status = 204, description = "Updated, or it was just so", headers(
        ("wicket-version" = u32, description = "The version that runs now"),
        ("wicket-change" = String, description = "`updated` or `unchanged`"),
        ("wicket-note" = String, description = "Why one of its variants cannot run now, where another can"))),
    (status = 400, description = "Something is wrong with it"),
    (status = 404, description = "There is no such service")))]
pub(super) async fn update_named(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(name): Named<ServiceName>,
    body: Body,
) -> Result<Response, ApiError> {
    let (_name, applied) = apply(&node, body, Some(name), Expected::Present).await?;
    Ok(changed(StatusCode::NO_CONTENT, applied))
}

/// Takes a service away. What waits for it becomes dead letters; its buckets, receipts and logs stay.
#[utoipa::path(delete, path = "/system/services/{name}", operation_id = "services_delete", tag = "services", security(("admin" = [])), params(("name" = String, Path, description = "The service")), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such service")))]
pub(super) async fn delete(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(name): Named<ServiceName>,
) -> Result<StatusCode, ApiError> {
    let removed = node.catalog.remove(&name).await?;
    node.placing.forget(&name);
    // Also when it is gone already: an earlier call may have come only half way.
    node.queue.abandon(&name, REMOVED).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&name)) }
}

/// No such service.
pub(super) fn unknown(name: &ServiceName) -> ApiError {
    ApiError::missing("unknown_service", format!("there is no service `{name}`"))
        .help("GET /system/services lists them")
}

async fn show(node: &Node, deployment: &Deployment) -> Result<Value, ApiError> {
    let mut json = fdl::wire(&deployment.service);
    json["version"] = deployment.version.into();
    json["depth"] =
        serde_json::to_value(node.queue.depth(&deployment.service.name).await?).unwrap_or_default();
    Ok(json)
}

async fn apply(
    node: &Node,
    body: Body,
    named: Option<ServiceName>,
    expected: Expected,
) -> Result<(ServiceName, Applied), ApiError> {
    let text = body::whole(body, fdl::MAX_TEXT).await?;
    let (mut service, mut secrets) = fdl::read_service(&text)?.resolve()?;
    let name = service.name.clone();
    if named.is_some_and(|named| named != name) {
        return Err(ApiError::bad("bad_definition", format!("the path names another service than `{name}`")));
    }
    let table = node.catalog.table();
    let stored = table.deployments.get(&name).filter(|_| expected == Expected::Present);
    hidden::restore(&mut service, &mut secrets, stored.map(|stored| &**stored))?;
    if let Some(provider) = own_endpoint(node, &service) {
        let text =
            format!("storage provider `{}` of service `{name}` is this host's own S3 endpoint", provider.0);
        return Err(ApiError::bad("own_endpoint", text)
            .help("its buckets are those of `minio.default`: by another name, no circle is seen"));
    }
    if let Some(why) = node.never_runs(&service) {
        return Err(ApiError::bad("cannot_run", format!("service `{name}` cannot run on this host: {why}")));
    }
    let never = node.some_never_run(&service);
    let mut applied = node.catalog.apply(service, secrets, expected).await?;
    if !never.is_empty() {
        let notes = applied.note.take().into_iter().chain(never);
        applied.note = Some(notes.collect::<Vec<_>>().join("; "));
    }
    node.placing.forget(&name);
    node.end_old_joins(&name, &table).await?;
    tracing::info!(service = %name, version = applied.version, change = ?applied.change, "service applied");
    Ok((name, applied))
}

/// A storage provider of an output that is this very host. What is uploaded there begins a new run, so that neither the search for
/// circles nor the limit of hops would see one.
fn own_endpoint<'s>(node: &Node, service: &'s Service) -> Option<&'s ProviderId> {
    let own = node.addresses.get()?.s3;
    let is_own = |provider: &StorageProvider| {
        let Ok(uri) = provider.endpoint.as_deref().unwrap_or_default().parse::<http::Uri>() else {
            return false;
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host.parse::<IpAddr>().map_or(host.eq_ignore_ascii_case("localhost"), |address| {
            address.is_loopback() || address.is_unspecified() || address == own.ip()
        });
        here && uri.port_u16() == Some(own.port())
    };
    let mut outputs = service.output.iter().map(|output| &output.storage_provider);
    outputs.find(|id| service.storage_providers.get(*id).is_some_and(is_own))
}

fn changed(status: StatusCode, applied: Applied) -> Response {
    let change = match applied.change {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
    };
    let mut headers = HeaderMap::new();
    headers.insert(VERSION_HEADER, applied.version.into());
    headers.insert(CHANGE_HEADER, HeaderValue::from_static(change));
    // It may repeat words of an engine or a registry, and a header is one line of ASCII.
    let note = applied.note.map(|note| note.replace(|c: char| !(' '..='~').contains(&c), " "));
    if let Some(note) = note.and_then(|note| HeaderValue::try_from(note).ok()) {
        headers.insert(NOTE_HEADER, note);
    }
    (status, headers).into_response()
}
