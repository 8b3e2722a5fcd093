//! Trainings: invocations of the service that trains, from the queue.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawQuery, State};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use wicket_config::{ByteSize, ServiceName, Train};
use wicket_core::{
    Event, EventId, Failure, Filter, InvocationId, Queue as _, Receipt, State as Stand, kinds,
};

use super::super::access;
use super::super::error::ApiError;
use super::super::openapi::Binary;
use super::super::params;
use super::asked::Asked;
use super::unknown;
use crate::node::{Node, model_source};

/// Trainings in one list: each is read with its file.
const LISTED: u32 = 20;
/// Largest file of a training: it travels in the queue.
const MAX_FILE: u64 = 8 << 20;

/// A model that is trained, and somebody who may do that: its token, or the admin's.
pub(in crate::api) struct Trained {
    model: ServiceName,
    train: Train,
    is_admin: bool,
}

impl FromRequestParts<Arc<Node>> for Trained {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        let texts = params::texts(parts, node).await?;
        let text = texts.first().map_or("", String::as_str);
        let name = text.parse::<ServiceName>().ok();
        let is_admin = access::may_call(parts, node, name.as_ref()).await?;
        let table = node.catalog.table();
        let found = name.and_then(|name| table.deployments.get(&name).cloned());
        let found = found.ok_or_else(|| unknown(text))?;
        let deepaas = found.service.as_deepaas().ok_or_else(|| unknown(text))?;
        let train = deepaas.train.clone().ok_or_else(|| {
            let message = format!("the model `{}` is not trained here", found.service.name);
            ApiError::new(StatusCode::NOT_IMPLEMENTED, "not_trained", message)
                .help("`deepaas.train` of its service names the service that trains it")
        })?;
        Ok(Self { model: found.service.name.clone(), train, is_admin })
    }
}

impl Trained {
    fn source(&self) -> String {
        format!("{}/train", model_source(&self.model))
    }

    /// One of its trainings.
    async fn training(&self, node: &Node, Id(text): &Id) -> Result<Receipt, ApiError> {
        let none = || {
            let message = format!("there is no training `{}` of `{}`", params::shown(text), self.model);
            ApiError::missing("unknown_training", message).help(format!("GET {}/ lists them", self.source()))
        };
        let id = text.parse::<InvocationId>().map_err(|_| none())?;
        let receipt = node.queue.receipt(id).await?;
        // Who sends events says where they come from: only the trainer's are trainings.
        let is_one = |one: &Receipt| one.source == self.source() && one.service == self.train.service;
        receipt.filter(is_one).ok_or_else(none)
    }
}

/// Begins a training: an invocation of the service that trains, on disk when this answers.
#[utoipa::path(post, path = "/v2/models/{model}/train/", operation_id = "deepaas_train", tag = "deepaas", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "The service")),
    request_body(content = Binary, content_type = "multipart/form-data"), responses(
    (status = 200, description = "It is on disk", body = Object),
    (status = 404, description = "There is no such model, or no service that trains it"),
    (status = 413, description = "A file is over 8 MiB, or over the `limits.body` of the service that trains"),
    (status = 422, description = "An argument is missing or wrong"),
    (status = 501, description = "The model is not trained here")))]
pub(in crate::api) async fn submit(
    trained: Trained,
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let Train { service, arguments } = &trained.train;
    let trainer = node.catalog.table().deployments.get(service).cloned().ok_or_else(|| {
        let message = format!("the service `{service}` that trains `{}` is not deployed", trained.model);
        ApiError::missing("unknown_service", message)
    })?;
    let most = ByteSize(trainer.service.limits.body.0.min(MAX_FILE));
    let read = Asked::read(&trainer.service, most, arguments, query.as_deref(), &headers, body, &node.work);
    let Asked { arguments, mut input } = read.await?;
    let mut event = Event::new(trained.source(), kinds::TRAIN, EventId::random());
    event.extensions.insert(kinds::ARGUMENTS.to_owned(), Value::from(arguments).to_string());
    event.subject = input.name.take();
    event.content_type = input.content_type.take();
    let bytes = input.bytes(most).await?;
    event.bring(bytes);
    let submitted = node.submit(service, vec![event], trained.is_admin).await?;
    let (id, _) = submitted[0];
    let receipt = node.queue.receipt(id).await?.ok_or_else(|| unknown(trained.model.as_str()))?;
    Ok(Json(view(&node, &receipt).await?))
}

/// The trainings of a model, the newest first.
#[utoipa::path(get, path = "/v2/models/{model}/train/", operation_id = "deepaas_trainings", tag = "deepaas", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "The service")), responses(
    (status = 200, description = "The newest twenty", body = Vec<Object>),
    (status = 404, description = "There is no such model"),
    (status = 501, description = "The model is not trained here")))]
pub(in crate::api) async fn list(
    trained: Trained,
    State(node): State<Arc<Node>>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let (service, source) = (Some(trained.train.service.clone()), Some(trained.source()));
    let filter = Filter { service, source, limit: LISTED, ..Filter::default() };
    let receipts = node.queue.list(&filter).await?;
    let mut trainings = Vec::with_capacity(receipts.len());
    for receipt in &receipts {
        trainings.push(view(&node, receipt).await?);
    }
    Ok(Json(trainings))
}

/// How a training stands.
#[utoipa::path(get, path = "/v2/models/{model}/train/{id}", operation_id = "deepaas_training", tag = "deepaas", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "The service"), ("id" = String, Path, description = "The training")), responses(
    (status = 200, description = "`running`, `done`, `error` or `cancelled`", body = Object),
    (status = 404, description = "There is none"),
    (status = 501, description = "The model is not trained here")))]
pub(in crate::api) async fn status(
    trained: Trained,
    State(node): State<Arc<Node>>,
    id: Id,
) -> Result<Json<Value>, ApiError> {
    let receipt = trained.training(&node, &id).await?;
    Ok(Json(view(&node, &receipt).await?))
}

/// Cancels a training that waits or runs; of one that has ended it says how.
#[utoipa::path(delete, path = "/v2/models/{model}/train/{id}", operation_id = "deepaas_train_cancel", tag = "deepaas", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "The service"), ("id" = String, Path, description = "The training")), responses(
    (status = 200, description = "How it stands now", body = Object),
    (status = 404, description = "There is none"),
    (status = 501, description = "The model is not trained here")))]
pub(in crate::api) async fn cancel(
    trained: Trained,
    State(node): State<Arc<Node>>,
    id: Id,
) -> Result<Json<Value>, ApiError> {
    let receipt = trained.training(&node, &id).await?;
    if matches!(receipt.state, Stand::Queued | Stand::Running) {
        match node.cancel(receipt.id, "by a client of DEEPaaS").await {
            // It has ended meanwhile.
            Ok(()) | Err(wicket_core::QueueError::Ended(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let receipt = trained.training(&node, &id).await?;
    Ok(Json(view(&node, &receipt).await?))
}

/// Which training, as the path has it.
pub(in crate::api) struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        params::texts(parts, state).await.map(|mut texts| Self(texts.pop().unwrap_or_default()))
    }
}

/// A training in DEEPaaS's words.
async fn view(node: &Node, receipt: &Receipt) -> Result<Value, ApiError> {
    let event = node.queue.event(receipt.id).await?;
    let said = event.and_then(|event| event.extensions.get(kinds::ARGUMENTS).cloned()).unwrap_or_default();
    let arguments: Map<String, Value> = serde_json::from_str(&said).unwrap_or_default();
    let failure = receipt.attempts.last().and_then(|attempt| attempt.failure.as_ref());
    let (status, message) = match (receipt.state, failure) {
        (Stand::Succeeded, _) => ("done", None),
        (Stand::Failed, Some(failure @ Failure::Cancelled { .. })) => {
            ("cancelled", Some(failure.to_string()))
        }
        (Stand::Failed, failure) => ("error", Some(failure.map_or_else(String::new, ToString::to_string))),
        (Stand::Queued | Stand::Running, failure) => {
            let waiting = receipt.waiting.as_ref().map(|waiting| waiting.reason.clone());
            ("running", waiting.or_else(|| failure.map(ToString::to_string)))
        }
    };
    let mut view = json!({
        "uuid": receipt.id.to_string(),
        "date": receipt.accepted.to_string(),
        "args": arguments,
        "status": status,
        "invocation": format!("/system/invocations/{}", receipt.id),
    });
    if let Some(message) = message {
        view["message"] = message.into();
    }
    if let Some(finished) = receipt.finished {
        let seconds = finished.since(receipt.accepted).as_secs_f64();
        view["result"] = json!({"finish_date": finished.to_string(), "duration": format!("{seconds:.3} s")});
    }
    Ok(view)
}
