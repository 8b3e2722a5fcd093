//! Modules: uploaded once, named by their digest.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use wicket_config::ModuleDigest;

use super::access::Admin;
use super::body;
use super::error::ApiError;
use super::openapi::Binary;
use super::params::Named;
use super::view::FileView;
use crate::node::Node;

/// All modules, by digest.
#[utoipa::path(get, path = "/system/modules", operation_id = "modules_list", tag = "modules", security(("admin" = [])), responses((status = 200, body = Vec<FileView>)))]
pub(super) async fn list(_: Admin, State(node): State<Arc<Node>>) -> Result<Json<Vec<FileView>>, ApiError> {
    let modules = node.wasm.modules().await?;
    Ok(Json(
        modules.into_iter().map(|module| FileView { digest: module.digest, size: module.size }).collect(),
    ))
}

/// Uploads a module. The same again changes nothing.
#[utoipa::path(put, path = "/system/modules/{sha256}", operation_id = "modules_upload", tag = "modules", security(("admin" = [])),
    params(("sha256" = String, Path, description = "The SHA-256 of the bytes, in hex")),
    request_body(content = Binary, content_type = "application/wasm"), responses(
    (status = 201, description = "It is on disk", body = FileView),
    (status = 200, description = "It was there", body = FileView),
    (status = 400, description = "The bytes have another digest"),
    (status = 413, description = "It is larger than `wasm.max_module`")))]
pub(super) async fn upload(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(digest): Named<ModuleDigest>,
    body: Body,
) -> Result<(StatusCode, Json<FileView>), ApiError> {
    let limit = node.config.wasm.max_module;
    body::announced(&body, limit.0).map_err(|()| {
        ApiError::too_large(format!("the module is larger than {limit}"))
            .help("`wasm.max_module` in wicket.toml")
    })?;
    let stored = node.wasm.store_module(&digest, body::pieces(body), limit).await?;
    let status = if stored.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(FileView { digest: stored.digest, size: stored.size })))
}

/// Whether a module is here.
#[utoipa::path(head, path = "/system/modules/{sha256}", operation_id = "modules_has", tag = "modules", security(("admin" = [])),
    params(("sha256" = String, Path, description = "Its SHA-256, in hex")), responses(
    (status = 200, description = "It is"),
    (status = 404, description = "It is not")))]
pub(super) async fn has(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(digest): Named<ModuleDigest>,
) -> Result<StatusCode, ApiError> {
    if node.wasm.has_module(&digest).await {
        return Ok(StatusCode::OK);
    }
    Err(ApiError::missing("unknown_module", format!("there is no module {digest}")))
}
