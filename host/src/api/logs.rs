//! What functions wrote: as text in OSCAR's shape, and as JSON lines that can be followed.

mod follow;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use wicket_config::ServiceName;
use wicket_core::{Filter, Forget, InvocationId, Log, Queue, Receipt, State as Stand};

use super::access::Admin;
use super::error::ApiError;
use super::params::{Asked, Named, Pair};
use super::view::{JobView, JobsView, LogLineView};
use super::{invocations, services};
use crate::node::Node;

/// Jobs in one answer, as many as OSCAR has.
const JOBS: u32 = 70;

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// `next_page` of the page before.
    page: Option<String>,
}

/// The invocations of a service in OSCAR's words, the newest page first.
#[utoipa::path(get, path = "/system/logs/{service}", operation_id = "logs_jobs", tag = "logs", security(("admin" = [])),
    params(("service" = String, Path, description = "The service"), Page), responses(
    (status = 200, body = JobsView),
    (status = 404, description = "There is no such service, and no trace of one")))]
pub(super) async fn jobs(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(service): Named<ServiceName>,
    Asked(page): Asked<Page>,
) -> Result<Json<JobsView>, ApiError> {
    let before = page.page.filter(|page| !page.is_empty()).map(|page| page.parse()).transpose()?;
    // One more than is told: whether there is a next page.
    let filter = Filter { service: Some(service.clone()), before, limit: JOBS + 1, ..Filter::default() };
    let mut receipts = node.receipts().await.list(&filter).await?;
    let more = receipts.len() > JOBS as usize;
    receipts.truncate(JOBS as usize);
    if receipts.is_empty() && before.is_none() && !node.catalog.table().deployments.contains_key(&service) {
        return Err(services::unknown(&service));
    }
    let next_page = receipts.last().filter(|_| more).map(|receipt| receipt.id.to_string());
    let jobs = receipts.iter().map(|receipt| (receipt.id.to_string(), job(receipt))).collect();
    Ok(Json(JobsView { jobs, next_page }))
}

fn job(receipt: &Receipt) -> JobView {
    let status = match receipt.state {
        Stand::Queued => "Pending",
        Stand::Running => "Running",
        Stand::Succeeded => "Succeeded",
        Stand::Failed => "Failed",
    };
    JobView {
        status: status.to_owned(),
        creation_time: receipt.accepted,
        start_time: receipt.attempts.last().map(|attempt| attempt.started),
        finish_time: receipt.finished,
    }
}

/// What to forget.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Those that failed and those that wait, too.
    #[serde(default)]
    #[param(required = false, value_type = bool)]
    all: String,
}

/// Forgets invocations of a service, with their logs: those that succeeded, or with `all` every one that does not run.
///
/// One that waits is never run then, and an event that comes again is a new one.
#[utoipa::path(delete, path = "/system/logs/{service}", operation_id = "logs_forget", tag = "logs", security(("admin" = [])),
    params(("service" = String, Path, description = "The service"), Which), responses(
    (status = 204, description = "They are gone"),
    (status = 404, description = "There is no such service, and no trace of one")))]
pub(super) async fn forget(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(service): Named<ServiceName>,
    Asked(which): Asked<Which>,
) -> Result<StatusCode, ApiError> {
    let any = Filter { service: Some(service.clone()), limit: 1, ..Filter::default() };
    if !node.catalog.table().deployments.contains_key(&service)
        && node.receipts().await.list(&any).await?.is_empty()
    {
        return Err(services::unknown(&service));
    }
    node.receipts()
        .await
        .forget(&service, if is_true(&which.all) { Forget::All } else { Forget::Succeeded })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets one invocation, with its logs. One that waits is never run then.
#[utoipa::path(delete, path = "/system/logs/{service}/{id}", operation_id = "logs_forget_one", tag = "logs", security(("admin" = [])),
    params(("service" = String, Path, description = "The service"), ("id" = String, Path, description = "The invocation")), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such invocation of this service"),
    (status = 409, description = "It runs")))]
pub(super) async fn forget_one(
    _: Admin,
    State(node): State<Arc<Node>>,
    Pair(service, id): Pair<ServiceName, InvocationId>,
) -> Result<StatusCode, ApiError> {
    if node.receipts().await.forget(&service, Forget::One(id)).await? > 0 {
        return Ok(StatusCode::NO_CONTENT);
    }
    let receipt = node.receipts().await.receipt(id).await?.filter(|receipt| receipt.service == service);
    receipt.ok_or_else(|| invocations::unknown(id))?;
    let message = format!("invocation {id} runs, and what runs is not forgotten");
    Err(ApiError::new(StatusCode::CONFLICT, "running", message).help("wait until it has ended"))
}

/// As Go reads a boolean.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// How a log is shown.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Shown {
    /// Each line begins with its time.
    #[serde(default)]
    #[param(required = false, value_type = bool)]
    timestamps: String,
}

/// The log of an invocation as text, all attempts one after the other.
#[utoipa::path(get, path = "/system/logs/{service}/{id}", operation_id = "logs_text", tag = "logs", security(("admin" = [])),
    params(("service" = String, Path, description = "The service"), ("id" = String, Path, description = "The invocation"), Shown), responses(
    (status = 200, description = "A line for each", content_type = "text/plain", body = String),
    (status = 404, description = "There is no such invocation of this service")))]
pub(super) async fn text(
    _: Admin,
    State(node): State<Arc<Node>>,
    Pair(service, id): Pair<ServiceName, InvocationId>,
    Asked(shown): Asked<Shown>,
) -> Result<Response, ApiError> {
    let receipt = node.receipts().await.receipt(id).await?.filter(|receipt| receipt.service == service);
    receipt.ok_or_else(|| invocations::unknown(id))?;
    let timestamps = is_true(&shown.timestamps);
    let mut text = String::new();
    for (_, log) in so_far(&node, id).await? {
        for line in log.lines {
            if timestamps {
                text.push_str(&line.time.to_string());
                text.push(' ');
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        if log.dropped > 0 {
            text.push_str(&dropped(log.dropped));
            text.push('\n');
        }
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// Until when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Until {
    /// Stay, and send each line when it is written, until the invocation ends.
    #[serde(default)]
    #[param(required = false)]
    follow: bool,
}

/// The log of an invocation, one JSON object a line: `attempt`, `time`, `stream`, `text`.
#[utoipa::path(get, path = "/system/invocations/{id}/logs", operation_id = "logs_lines", tag = "logs", security(("admin" = [])),
    params(("id" = String, Path, description = "The invocation"), Until), responses(
    (status = 200, description = "JSON lines", content_type = "application/x-ndjson", body = String),
    (status = 404, description = "There is no such invocation")))]
pub(super) async fn lines(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(id): Named<InvocationId>,
    Asked(until): Asked<Until>,
) -> Result<Response, ApiError> {
    if node.receipts().await.receipt(id).await?.is_none() && node.running.log(id).is_none() {
        return Err(invocations::unknown(id));
    }
    let body = if until.follow {
        Body::from_stream(follow::lines(node, id))
    } else {
        let mut text = String::new();
        for (attempt, log) in so_far(&node, id).await? {
            write(&mut text, attempt, &log);
        }
        Body::from(text)
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The logs of all attempts, by number; that of a running one as it stands.
async fn so_far(node: &Node, id: InvocationId) -> Result<Vec<(u32, Log)>, ApiError> {
    // First the one that runs: when it ends meanwhile, it is among the stored ones.
    let running = node.running.log(id).map(|(attempt, sink)| (attempt, sink.since(0)));
    let mut logs = node.receipts().await.logs(id).await?;
    if let Some((attempt, log)) = running
        && !logs.iter().any(|(stored, _)| *stored == attempt)
    {
        logs.push((attempt, log));
    }
    Ok(logs)
}

/// Writes lines as JSON, and what is missing as a line of the host's.
fn write(text: &mut String, attempt: u32, log: &Log) {
    for line in &log.lines {
        let view = LogLineView { attempt, time: line.time, stream: line.stream, text: line.text.clone() };
        text.push_str(&serde_json::to_string(&view).unwrap_or_default());
        text.push('\n');
    }
    if log.dropped > 0 {
        let time = log.lines.last().map_or_else(wicket_core::Timestamp::now, |line| line.time);
        let stream = wicket_core::LogStream::Host;
        let view = LogLineView { attempt, time, stream, text: dropped(log.dropped) };
        text.push_str(&serde_json::to_string(&view).unwrap_or_default());
        text.push('\n');
    }
}

fn dropped(bytes: u64) -> String {
    format!("{bytes} more bytes were over the service's `limits.log` and are gone")
}
