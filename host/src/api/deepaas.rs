//! DEEPaaS, version 2: services as models, with arguments, predictions and trainings. A model is called as its service;
//! its token calls it, or the admin, or anybody where the service says so (`deepaas.open`).
//!
//! Names with a dot are models of the Open Inference Protocol, which shares these paths (`inference`).

mod answered;
mod asked;
mod form;
mod swagger;
mod train;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, header};
use http_body::Body as _;
use serde_json::{Value, json};
use wicket_config::{Deepaas, ServiceName};
use wicket_core::Deployment;

use super::access::{self, Sender};
use super::error::ApiError;
use super::openapi::Binary;
use super::params;
use super::run::{NotRun, failed, named};
use crate::node::{Node, Posted, Prediction, RunReply, model_source};
use asked::Asked;

pub(super) use swagger::{__path_document, document, page, part};
pub(super) use train::{
    __path_cancel, __path_list as __path_trainings, __path_status, __path_submit, cancel, list as trainings,
    status, submit,
};

/// Which models somebody sees.
pub(super) enum Seen {
    /// All: the admin.
    All,
    /// Those that are open, and this one.
    Of(ServiceName),
    /// Those that are open.
    Open,
}

impl FromRequestParts<Arc<Node>> for Seen {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        match Sender::from_request_parts(parts, node).await {
            Ok(Sender(None)) => Ok(Self::All),
            Ok(Sender(Some(service))) => Ok(Self::Of(service)),
            Err(error) if parts.headers.contains_key(header::AUTHORIZATION) => Err(error),
            Err(_) => Ok(Self::Open),
        }
    }
}

impl Seen {
    /// These models, by name.
    fn models(&self, node: &Node) -> Vec<(Arc<Deployment>, Deepaas)> {
        let table = node.catalog.table();
        table
            .deployments
            .values()
            .filter_map(|deployment| {
                let deepaas = deployment.service.as_deepaas()?;
                let seen = match self {
                    Self::All => true,
                    Self::Of(service) => deepaas.open || *service == deployment.service.name,
                    Self::Open => deepaas.open,
                };
                seen.then(|| (deployment.clone(), deepaas.into_owned()))
            })
            .collect()
    }
}

/// A model, and somebody who may ask it for a prediction.
pub(super) struct Model {
    deployment: Arc<Deployment>,
    deepaas: Deepaas,
}

impl FromRequestParts<Arc<Node>> for Model {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        let texts = params::texts(parts, node).await?;
        let text = texts.first().map_or("", String::as_str);
        let name = text.parse::<ServiceName>().ok();
        let found = name.as_ref().and_then(|name| node.catalog.table().deployments.get(name).cloned());
        let deepaas =
            found.as_ref().and_then(|one| one.service.as_deepaas()).map(std::borrow::Cow::into_owned);
        match deepaas.as_ref().is_some_and(|deepaas| deepaas.open) {
            true => access::same_site(&parts.method, &parts.headers)?,
            false => access::may_call(parts, node, name.as_ref()).await.map(drop)?,
        }
        match (found, deepaas) {
            (Some(deployment), Some(deepaas)) => Ok(Self { deployment, deepaas }),
            _ => Err(unknown(text)),
        }
    }
}

/// No such model.
fn unknown(name: &str) -> ApiError {
    ApiError::missing("unknown_model", format!("there is no model `{}`", params::shown(name))).help(
        "GET /v2/models/ lists the services that declare one (`models` or `deepaas`); \
         for the Open Inference Protocol a model is called SERVICE.MODEL",
    )
}

/// Which versions of the protocol there are.
#[utoipa::path(get, path = "/v2/", operation_id = "deepaas_version", tag = "deepaas", responses((status = 200, description = "This one", body = Object)))]
pub(super) async fn version() -> Json<Value> {
    let links = [json!({"rel": "self", "type": "application/json", "href": "/v2/"})];
    Json(json!({"version": "stable", "id": "v2", "links": links}))
}

/// The models, with what is said of them.
#[utoipa::path(get, path = "/v2/models/", operation_id = "deepaas_models", tag = "deepaas", security(("token" = []), ("admin" = [])), responses(
    (status = 200, description = "Those that the caller may ask", body = Object)))]
pub(super) async fn models(seen: Seen, State(node): State<Arc<Node>>) -> Result<Json<Value>, ApiError> {
    let models = seen.models(&node);
    if let (true, Seen::Open) = (models.is_empty(), seen) {
        let help = "no model here is open to everybody: send a service's token as `Authorization: Bearer …`, or the admin's basic auth";
        return Err(ApiError::unauthorized(access::BEARER, help));
    }
    let models: Vec<Value> =
        models.iter().map(|(deployment, deepaas)| metadata(deployment, deepaas)).collect();
    Ok(Json(json!({"models": models})))
}

/// What is said of a model.
#[utoipa::path(get, path = "/v2/models/{model}/", operation_id = "deepaas_model", tag = "deepaas", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "The service")), responses(
    (status = 200, description = "Its metadata", body = Object),
    (status = 404, description = "There is no such model")))]
pub(super) async fn model(model: Model) -> Json<Value> {
    Json(metadata(&model.deployment, &model.deepaas))
}

fn metadata(deployment: &Deployment, deepaas: &Deepaas) -> Value {
    let name = &deployment.service.name;
    let models: Vec<&str> = deployment.service.models.iter().map(|model| model.name.as_str()).collect();
    json!({
        "id": name,
        "name": name,
        "description": deepaas.description,
        "author": deepaas.author,
        "license": deepaas.license,
        "url": deepaas.url,
        "version": deployment.version.to_string(),
        // For the Open Inference Protocol.
        "models": models.iter().map(|model| format!("{name}.{model}")).collect::<Vec<_>>(),
        "links": [{"rel": "self", "type": "application/json", "href": model_source(name)}],
    })
}

/// Asks a model for a prediction. Its arguments stand in the query, in a form or in JSON; a file in a form, or as the body.
///
/// The header `accept` chooses among the media types that the model answers in. In JSON the answer is
/// `{"status": "OK", "predictions": …}`; in another it is the file itself, and in `application/zip` all that were made.
#[utoipa::path(post, path = "/v2/models/{model}/predict/", operation_id = "deepaas_predict", tag = "deepaas", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "The service")),
    request_body(content = Binary, content_type = "multipart/form-data"), responses(
    (status = 200, description = "The prediction", body = Object, headers(("wicket-invocation" = String, description = "The invocation"))),
    (status = 404, description = "There is no such model"),
    (status = 406, description = "It does not answer in such a media type"),
    (status = 413, description = "The file is over the service's `limits.body`"),
    (status = 422, description = "An argument is missing or wrong"),
    (status = 429, description = "As many attempts run as may"),
    (status = 502, description = "The function failed"),
    (status = 504, description = "The function took longer than it may")))]
pub(super) async fn predict(
    model: Model,
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, NotRun> {
    let wanted = answered::wanted(&model.deepaas, &headers, asked::accept_of(query.as_deref()))?;
    let service = &model.deployment.service;
    // A form is more than the file in it.
    let announced = body.size_hint().lower().saturating_sub(form::FORM as u64);
    let posted = async {
        let read = Asked::read(
            service,
            service.limits.body,
            &model.deepaas.arguments,
            query.as_deref(),
            &headers,
            body,
            &node.work,
        );
        let Asked { mut arguments, input } = read.await?;
        arguments.insert("accept".to_owned(), wanted.as_str().into());
        let prediction = Prediction { file: input.name, arguments: Value::from(arguments).to_string() };
        Ok(Posted { content_type: input.content_type, body: input.body, prediction: Some(prediction) })
    };
    let RunReply { id, result } = node.run::<NotRun>(&service.name, announced, posted).await?;
    let response = match result {
        Ok(made) => match answered::answer(&service.name, &wanted, made).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
        Err(failure) => failed(&node, &failure, id).into_response(),
    };
    Ok(named(response, id))
}
