//! Invocations that were given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use wicket_config::ServiceName;
use wicket_core::{Filter, InvocationId, Queue, Receipt};

use super::access::Admin;
use super::error::ApiError;
use super::invocations::{self, MAX_PAGE};
use super::params::{Asked, Named};
use super::view::{DeadLetterView, InvocationView};
use crate::node::Node;

/// Which dead letters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this service.
    #[param(value_type = Option<String>)]
    service: Option<ServiceName>,
    /// The page after this invocation: the last one of the page before.
    #[param(value_type = Option<String>)]
    before: Option<InvocationId>,
    /// At most so many: 100, and never more than 1,000.
    #[serde(default)]
    limit: u32,
}

/// Dead letters, newest first, each with its reason.
#[utoipa::path(get, path = "/system/dead-letters", operation_id = "dead_letters_list", tag = "invocations", security(("admin" = [])), params(Wanted), responses(
    (status = 200, description = "Receipts, and `reason` and `failure` beside their fields", body = Vec<Object>)))]
pub(super) async fn list(
    _: Admin,
    State(node): State<Arc<Node>>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Vec<DeadLetterView>>, ApiError> {
    let filter = Filter {
        service: wanted.service,
        dead_letters: true,
        before: wanted.before,
        limit: wanted.limit.min(MAX_PAGE),
        ..Filter::default()
    };
    Ok(Json(node.queue.list(&filter).await?.into_iter().map(view).collect()))
}

/// Queues a dead letter again, with a full set of attempts.
#[utoipa::path(post, path = "/system/dead-letters/{id}/redrive", operation_id = "dead_letters_redrive", tag = "invocations", security(("admin" = [])), params(("id" = String, Path, description = "The invocation")), responses(
    (status = 202, description = "It is queued: its receipt", body = Object),
    (status = 404, description = "There is no such invocation"),
    (status = 409, description = "It is no dead letter, or its service is gone")))]
pub(super) async fn redrive(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(id): Named<InvocationId>,
) -> Result<(StatusCode, Json<InvocationView>), ApiError> {
    let receipt = node.queue.receipt(id).await?.ok_or_else(|| invocations::unknown(id))?;
    if !node.catalog.table().deployments.contains_key(&receipt.service) {
        let message = format!("service `{}` of this dead letter is gone", receipt.service);
        return Err(
            ApiError::new(StatusCode::CONFLICT, "unknown_service", message).help("deploy it again first")
        );
    }
    node.queue.redrive(id).await?;
    let receipt = node.queue.receipt(id).await?.ok_or_else(|| invocations::unknown(id))?;
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}

fn view(receipt: Receipt) -> DeadLetterView {
    let failure = receipt.attempts.last().and_then(|attempt| attempt.failure.clone());
    let reason = failure.as_ref().map_or_else(|| "no attempt was made".to_owned(), ToString::to_string);
    DeadLetterView { reason, failure, receipt }
}
