//! Receipts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use wicket_config::ServiceName;
use wicket_core::{EventId, Filter, InvocationId, Queue, State as Stand};

use super::access::Admin;
use super::error::ApiError;
use super::params::{Asked, Named};
use super::view::InvocationView;
use crate::node::Node;

/// Most receipts in one answer.
pub(super) const MAX_PAGE: u32 = 1000;

/// Which receipts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this service.
    #[param(value_type = Option<String>)]
    service: Option<ServiceName>,
    /// In this state: `queued`, `running`, `succeeded` or `failed`.
    #[param(value_type = Option<String>)]
    state: Option<Stand>,
    /// Of the workflow run that began with this event.
    origin: Option<String>,
    /// The page after this invocation: the last one of the page before.
    #[param(value_type = Option<String>)]
    before: Option<InvocationId>,
    /// At most so many: 100, and never more than 1,000.
    #[serde(default)]
    limit: u32,
}

/// Receipts, newest first.
#[utoipa::path(get, path = "/system/invocations", operation_id = "invocations_list", tag = "invocations", security(("admin" = [])), params(Wanted), responses(
    (status = 200, description = "A page of receipts", body = Vec<Object>)))]
pub(super) async fn list(
    _: Admin,
    State(node): State<Arc<Node>>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Vec<InvocationView>>, ApiError> {
    let filter = Filter {
        service: wanted.service,
        state: wanted.state,
        source: None,
        origin: wanted.origin.map(EventId),
        dead_letters: false,
        before: wanted.before,
        limit: wanted.limit.min(MAX_PAGE),
    };
    Ok(Json(node.receipts().await.list(&filter).await?))
}

/// One receipt: every attempt, what it used, and why it failed.
#[utoipa::path(get, path = "/system/invocations/{id}", operation_id = "invocations_read", tag = "invocations", security(("admin" = [])), params(("id" = String, Path, description = "The invocation")), responses(
    (status = 200, description = "The receipt", body = Object),
    (status = 404, description = "There is none")))]
pub(super) async fn read(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(id): Named<InvocationId>,
) -> Result<Json<InvocationView>, ApiError> {
    node.receipts().await.receipt(id).await?.map(Json).ok_or_else(|| unknown(id))
}

/// Cancels one that waits or runs: it becomes a dead letter, and nothing that it has made is kept.
#[utoipa::path(delete, path = "/system/invocations/{id}", operation_id = "invocations_cancel", tag = "invocations", security(("admin" = [])), params(("id" = String, Path, description = "The invocation")), responses(
    (status = 204, description = "It is cancelled"),
    (status = 404, description = "There is none"),
    (status = 409, description = "It has ended, or it is a synchronous call")))]
pub(super) async fn cancel(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(id): Named<InvocationId>,
) -> Result<StatusCode, ApiError> {
    node.cancel(id, "by the admin").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// No such invocation.
pub(super) fn unknown(id: InvocationId) -> ApiError {
    ApiError::missing("unknown_invocation", format!("there is no invocation {id}"))
        .help("receipts are forgotten after `queue.keep_receipts`; GET /system/invocations lists those that are kept")
}
