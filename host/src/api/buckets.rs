//! Buckets, in OSCAR's words. Objects themselves go through the S3 endpoint.

pub(super) mod presign;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use wicket_buckets::{ListQuery, ObjectInfo};
use wicket_config::BucketName;

use super::access::Admin;
use super::body;
use super::error::ApiError;
use super::params::{Asked, Named};
use super::view::{BucketPage, BucketView, ObjectView};
use crate::node::Node;

/// Objects in one answer.
const MAX_PAGE: u32 = 1000;

/// Which objects.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The page after this key: `next_page` of the page before.
    page: Option<String>,
    /// Only keys that begin so.
    #[serde(default)]
    #[param(required = false)]
    prefix: String,
    /// At most so many: 1,000, and never more.
    limit: Option<u32>,
}

/// All buckets, by name.
#[utoipa::path(get, path = "/system/buckets", operation_id = "buckets_list", tag = "buckets", security(("admin" = [])), responses((status = 200, body = Vec<BucketView>)))]
pub(super) async fn list(_: Admin, State(node): State<Arc<Node>>) -> Result<Json<Vec<BucketView>>, ApiError> {
    let buckets = node.buckets.buckets().await?;
    Ok(Json(buckets.into_iter().map(|bucket| view(&bucket.name)).collect()))
}

/// Makes a bucket.
#[utoipa::path(post, path = "/system/buckets", operation_id = "buckets_create", tag = "buckets", security(("admin" = [])), request_body = BucketView, responses(
    (status = 201, description = "It is made", body = BucketView),
    (status = 409, description = "There is one of this name")))]
pub(super) async fn create(
    _: Admin,
    State(node): State<Arc<Node>>,
    body: Body,
) -> Result<(StatusCode, Json<BucketView>), ApiError> {
    let name = wanted(body).await?;
    if !node.buckets.create(&name).await? {
        let message = format!("there is a bucket `{name}` already");
        return Err(ApiError::new(StatusCode::CONFLICT, "bucket_exists", message));
    }
    Ok((StatusCode::CREATED, Json(view(&name))))
}

/// Changes who may use a bucket: for OSCAR's clients. On this host it is the admin, and nothing else is taken.
#[utoipa::path(put, path = "/system/buckets", operation_id = "buckets_update", tag = "buckets", security(("admin" = [])), request_body = BucketView, responses(
    (status = 204, description = "It is as it was"),
    (status = 400, description = "It cannot be as is asked for"),
    (status = 404, description = "There is no such bucket")))]
pub(super) async fn update(
    _: Admin,
    State(node): State<Arc<Node>>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    node.buckets.exists(&wanted(body).await?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A bucket and a page of its objects, by key.
#[utoipa::path(get, path = "/system/buckets/{bucket}", operation_id = "buckets_read", tag = "buckets", security(("admin" = [])),
    params(("bucket" = String, Path, description = "The bucket"), Wanted), responses(
    (status = 200, body = BucketPage),
    (status = 404, description = "There is no such bucket")))]
pub(super) async fn read(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(bucket): Named<BucketName>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<BucketPage>, ApiError> {
    let limit = wanted.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let after = wanted.page.filter(|page| !page.is_empty());
    let query = ListQuery { prefix: wanted.prefix, delimiter: None, after, limit };
    let page = node.buckets.list(&bucket, query).await?;
    let object = |info: ObjectInfo| ObjectView {
        object_name: info.key.to_string(),
        size_bytes: info.size,
        last_modified: info.modified,
    };
    let objects: Vec<ObjectView> = page.objects.into_iter().map(object).collect();
    Ok(Json(BucketPage {
        bucket: view(&bucket),
        returned_items: objects.len(),
        objects,
        is_truncated: page.next.is_some(),
        next_page: page.next,
    }))
}

/// Removes an empty bucket.
#[utoipa::path(delete, path = "/system/buckets/{bucket}", operation_id = "buckets_delete", tag = "buckets", security(("admin" = [])), params(("bucket" = String, Path, description = "The bucket")), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such bucket"),
    (status = 409, description = "It is not empty")))]
pub(super) async fn delete(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(bucket): Named<BucketName>,
) -> Result<StatusCode, ApiError> {
    node.buckets.remove(&bucket).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The bucket that a body names. What it asks of visibility must be what all buckets of this host have.
async fn wanted(body: Body) -> Result<BucketName, ApiError> {
    let asked: BucketView = body::json(body).await?;
    if !matches!(asked.visibility.as_str(), "" | "private") || !asked.allowed_users.is_empty() {
        return Err(ApiError::bad(
            "bad_visibility",
            "buckets of this host are private, and have no users but the admin",
        )
        .help("leave `visibility` and `allowed_users` out"));
    }
    Ok(asked.bucket_name.parse()?)
}

fn view(name: &BucketName) -> BucketView {
    BucketView { bucket_name: name.to_string(), visibility: "private".to_owned(), allowed_users: Vec::new() }
}
