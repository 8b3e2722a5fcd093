//! Models: uploaded once, named by their digest.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use wicket_config::ModelDigest;

use super::access::Admin;
use super::body;
use super::error::ApiError;
use super::openapi::Binary;
use super::params::Named;
use super::view::FileView;
use crate::node::Node;

/// All models, by digest.
#[utoipa::path(get, path = "/system/models", operation_id = "models_list", tag = "models", security(("admin" = [])), responses((status = 200, body = Vec<FileView>)))]
pub(super) async fn list(_: Admin, State(node): State<Arc<Node>>) -> Result<Json<Vec<FileView>>, ApiError> {
    let models = node.models.files().list().await?;
    Ok(Json(models.into_iter().map(|file| FileView { digest: file.digest, size: file.size }).collect()))
}

/// Uploads a model. The same again changes nothing.
#[utoipa::path(put, path = "/system/models/{sha256}", operation_id = "models_upload", tag = "models", security(("admin" = [])),
    params(("sha256" = String, Path, description = "The SHA-256 of the bytes, in hex")),
    request_body(content = Binary, content_type = "application/octet-stream"), responses(
    (status = 201, description = "It is on disk", body = FileView),
    (status = 200, description = "It was there", body = FileView),
    (status = 400, description = "The bytes have another digest"),
    (status = 413, description = "It is larger than `inference.max_model`")))]
pub(super) async fn upload(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(digest): Named<ModelDigest>,
    body: Body,
) -> Result<(StatusCode, Json<FileView>), ApiError> {
    let limit = node.config.inference.max_model;
    body::announced(&body, limit.0).map_err(|()| {
        ApiError::too_large(format!("the model is larger than {limit}"))
            .help("`inference.max_model` in wicket.toml")
    })?;
    let stored = node.models.files().store(digest.as_str(), body::pieces(body), limit).await?;
    let status = if stored.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(FileView { digest: stored.digest, size: stored.size })))
}

/// Whether a model is here.
#[utoipa::path(head, path = "/system/models/{sha256}", operation_id = "models_has", tag = "models", security(("admin" = [])),
    params(("sha256" = String, Path, description = "Its SHA-256, in hex")), responses(
    (status = 200, description = "It is"),
    (status = 404, description = "It is not")))]
pub(super) async fn has(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(digest): Named<ModelDigest>,
) -> Result<StatusCode, ApiError> {
    if node.models.files().has(digest.as_str()).await {
        return Ok(StatusCode::OK);
    }
    Err(ApiError::missing("unknown_model", format!("there is no model {digest}")))
}
