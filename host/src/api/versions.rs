//! Versions of a service.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use wicket_config::ServiceName;

use super::access::Admin;
use super::error::ApiError;
use super::params::Named;
use super::view::{RollbackRequest, RolledBack, VersionView};
use super::{body, services};
use crate::node::Node;

/// The versions of a service that are kept, newest first.
#[utoipa::path(get, path = "/system/services/{name}/versions", operation_id = "versions_list", tag = "services", security(("admin" = [])), params(("name" = String, Path, description = "The service")), responses(
    (status = 200, body = Vec<VersionView>),
    (status = 404, description = "There is no such service")))]
pub(super) async fn list(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(name): Named<ServiceName>,
) -> Result<Json<Vec<VersionView>>, ApiError> {
    let versions = node.catalog.versions(&name).await?;
    if versions.is_empty() {
        return Err(services::unknown(&name));
    }
    let view = |info: crate::catalog::VersionInfo| VersionView {
        version: info.version,
        created: info.created,
        wasm: info.wasm,
        image: info.image,
        current: info.current,
    };
    Ok(Json(versions.into_iter().map(view).collect()))
}

/// Makes an older version the one that runs, its secrets with it. No request is dropped.
#[utoipa::path(post, path = "/system/services/{name}/rollback", operation_id = "versions_rollback", tag = "services", security(("admin" = [])), params(("name" = String, Path, description = "The service")),
    request_body(content = RollbackRequest, description = "Empty: the version before the one that runs"), responses(
    (status = 200, body = RolledBack),
    (status = 404, description = "There is no such service or version"),
    (status = 409, description = "There is no older version")))]
pub(super) async fn rollback(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(name): Named<ServiceName>,
    body: Body,
) -> Result<Json<RolledBack>, ApiError> {
    let text = body::whole(body, body::QUESTION).await?;
    let request = if text.is_empty() { RollbackRequest::default() } else { body::parse(&text)? };
    let before = node.catalog.table();
    let version = node.catalog.rollback(&name, request.version).await?;
    node.end_old_joins(&name, &before).await?;
    tracing::info!(service = %name, version, "service rolled back");
    Ok(Json(RolledBack { version }))
}
