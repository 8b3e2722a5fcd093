//! The Open Inference Protocol, version 2: the models of services, for whoever speaks it (`tritonclient`, KServe). A model is
//! called `SERVICE.MODEL`; the service's token calls it, or the admin.

mod tensors;

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use wicket_config::{ServiceModel, ServiceName};
use wicket_core::{Deployment, Timestamp};
use wicket_inference::{Call, InferenceError, ModelInfo, Port};

use super::access;
use super::body;
use super::error::ApiError;
use super::view::INVOCATION_HEADER;
use crate::node::Node;

/// A model of a service, and somebody who may call it.
pub(super) struct Called {
    deployment: Arc<Deployment>,
    model: ServiceModel,
}

impl FromRequestParts<Arc<Node>> for Called {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Fault> {
        let texts = super::params::texts(parts, node).await?;
        let text = texts.first().map_or("", String::as_str);
        let (service, model) = text.split_once('.').unwrap_or((text, ""));
        let service = service.parse::<ServiceName>();
        access::may_call(parts, node, service.as_ref().ok()).await?;
        let found = service.ok().and_then(|name| node.catalog.table().deployments.get(&name).cloned());
        let version = texts.get(1).map(|text| text.parse::<u32>().ok());
        let found = found.and_then(|deployment| {
            let model = deployment.service.models.iter().find(|one| one.name.as_str() == model)?.clone();
            let is_current = version.is_none_or(|version| version == Some(deployment.version));
            is_current.then_some(Self { deployment, model })
        });
        found.ok_or_else(|| {
            let message = format!("there is no model {}", super::params::shown(text));
            let help =
                "a model is called SERVICE.MODEL, and its version is that of its service that runs now";
            Fault(StatusCode::NOT_FOUND, format!("{message}: {help}"), None)
        })
    }
}

impl Called {
    fn name(&self) -> String {
        format!("{}.{}", self.deployment.service.name, self.model.name.as_str())
    }

    async fn info(&self, node: &Node) -> Result<Arc<ModelInfo>, Fault> {
        Ok(node.models.inference().prepare(&node.models.model(&self.model)).await?)
    }
}

/// An error in the protocol's shape.
pub(super) struct Fault(StatusCode, String, Option<&'static str>);

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        let (status, message, challenge) = error.parts();
        Self(status, message.to_owned(), challenge)
    }
}

impl From<InferenceError> for Fault {
    fn from(error: InferenceError) -> Self {
        let status = match &error {
            InferenceError::Invalid { .. } => StatusCode::BAD_REQUEST,
            InferenceError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            InferenceError::Busy { .. } | InferenceError::SetAside { .. } | InferenceError::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            InferenceError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self(status, error.to_string(), None)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(json!({"error": self.1}))).into_response();
        if let Some(challenge) = self.2 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Whether the host answers.
#[utoipa::path(get, path = "/v2/health/live", operation_id = "inference_live", tag = "inference", responses((status = 200, description = "It does")))]
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether the host takes calls.
#[utoipa::path(get, path = "/v2/health/ready", operation_id = "inference_ready", tag = "inference", responses(
    (status = 200, description = "It does"),
    (status = 503, description = "It is stopping")))]
pub(super) async fn ready(State(node): State<Arc<Node>>) -> StatusCode {
    if node.stop.is_cancelled() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// Who answers.
#[utoipa::path(get, path = "/v2", operation_id = "inference_server", tag = "inference", responses((status = 200, description = "Its name, version and extensions", body = Object)))]
pub(super) async fn server() -> Json<Value> {
    let extensions = ["binary_tensor_data"];
    Json(json!({"name": "wicketgate", "version": env!("CARGO_PKG_VERSION"), "extensions": extensions}))
}

/// What a model takes and gives.
#[utoipa::path(get, path = "/v2/models/{model}", operation_id = "inference_model", tag = "inference", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "`SERVICE.MODEL`")), responses(
    (status = 200, description = "Names, types and shapes (-1: a call decides) of its inputs and outputs", body = Object),
    (status = 404, description = "There is no such model")))]
pub(super) async fn model(
    called: Result<Called, Fault>,
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    // A name without a dot is one of DEEPaaS's, which has a slash at the end.
    if let (true, Ok(service)) = (called.is_err(), name.parse::<ServiceName>()) {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(Redirect::permanent(&format!("/v2/models/{service}/{query}")).into_response());
    }
    described(&called?, &node).await.map(IntoResponse::into_response)
}

async fn described(called: &Called, node: &Node) -> Result<Json<Value>, Fault> {
    let info = called.info(node).await?;
    let ports = |ports: &[Port]| {
        let port = |port: &Port| {
            let dims = port.dims.iter().flatten();
            let shape: Vec<i64> =
                dims.map(|dim| dim.and_then(|dim| i64::try_from(dim).ok()).unwrap_or(-1)).collect();
            json!({"name": port.name, "datatype": tensors::word(port.dtype), "shape": shape})
        };
        ports.iter().map(port).collect::<Vec<_>>()
    };
    Ok(Json(json!({
        "name": called.name(),
        "versions": [called.deployment.version.to_string()],
        "platform": format!("onnx_{}", info.backend),
        "inputs": ports(&info.inputs),
        "outputs": ports(&info.outputs),
    })))
}

/// Whether a model is loaded and runs; it is loaded where it is not.
#[utoipa::path(get, path = "/v2/models/{model}/ready", operation_id = "inference_model_ready", tag = "inference", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "`SERVICE.MODEL`")), responses(
    (status = 200, description = "It is"),
    (status = 404, description = "There is no such model")))]
pub(super) async fn model_ready(called: Called, State(node): State<Arc<Node>>) -> Result<StatusCode, Fault> {
    called.info(&node).await.map(|_| StatusCode::OK)
}

/// Runs a model on tensors, in JSON or as bytes behind it.
#[utoipa::path(post, path = "/v2/models/{model}/infer", operation_id = "inference_infer", tag = "inference", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "`SERVICE.MODEL`")),
    request_body(content = Object, description = "`inputs` with name, datatype, shape and data; with `Inference-Header-Content-Length` their bytes behind"), responses(
    (status = 200, description = "`outputs` in the same shape", body = Object, headers(("wicket-invocation" = String, description = "The invocation"))),
    (status = 400, description = "An input is not what the model takes"),
    (status = 404, description = "There is no such model"),
    (status = 413, description = "The body is over the service's `limits.body`, or a tensor over `inference.max_tensors`"),
    (status = 503, description = "Too many calls wait"),
    (status = 504, description = "It took longer than the service's `limits.timeout`")))]
pub(super) async fn infer(
    called: Called,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let begun = (Timestamp::now(), Instant::now());
    let limits = &called.deployment.service.limits;
    let most = usize::try_from(limits.body.0).unwrap_or(usize::MAX);
    let deadline = begun.1 + limits.timeout.0;
    let body = body::whole(body, most).await?;
    let inference = node.models.inference();
    let asked = match tensors::Asked::read(inference, &headers, &body) {
        Ok(asked) => asked,
        Err(why) => return Err(Fault(StatusCode::BAD_REQUEST, why, None)),
    };
    let call = Call { service: called.deployment.service.name.as_str().into(), deadline };
    let model = node.models.model(&called.model);
    let answered = inference.infer(&model, asked.inputs, call).await;
    let used = answered.as_ref().map(|answer| answer.used.clone());
    let bytes_in = body.len() as u64;
    let id = node.inferred(&called.deployment, called.model.name.as_str(), begun, bytes_in, used);
    let mut response = match answered {
        Ok(answer) => {
            let version = called.deployment.version;
            tensors::response(&called.name(), version, asked.id.as_deref(), &answer.outputs, &asked.wanted)
        }
        Err(error) => Fault::from(error).into_response(),
    };
    if let Ok(id) = id.to_string().parse() {
        response.headers_mut().insert(INVOCATION_HEADER, id);
    }
    Ok(response)
}

/// The same of a version.
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}", operation_id = "inference_version", tag = "inference", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "`SERVICE.MODEL`"), ("version" = String, Path, description = "The service's version that runs now")), responses(
    (status = 200, description = "As of the model", body = Object),
    (status = 404, description = "There is no such model")))]
pub(super) async fn version(called: Called, State(node): State<Arc<Node>>) -> Result<Json<Value>, Fault> {
    described(&called, &node).await
}

/// Whether a version is loaded and runs.
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/ready", operation_id = "inference_version_ready", tag = "inference", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "`SERVICE.MODEL`"), ("version" = String, Path, description = "The service's version that runs now")), responses(
    (status = 200, description = "It is"),
    (status = 404, description = "There is no such model")))]
pub(super) async fn version_ready(called: Called, node: State<Arc<Node>>) -> Result<StatusCode, Fault> {
    model_ready(called, node).await
}

/// Runs a version on tensors.
#[utoipa::path(post, path = "/v2/models/{model}/versions/{version}/infer", operation_id = "inference_version_infer", tag = "inference", security(("token" = []), ("admin" = [])),
    params(("model" = String, Path, description = "`SERVICE.MODEL`"), ("version" = String, Path, description = "The service's version that runs now")),
    request_body(content = Object, description = "As of the model"), responses(
    (status = 200, description = "As of the model", body = Object),
    (status = 404, description = "There is no such model")))]
pub(super) async fn version_infer(
    called: Called,
    node: State<Arc<Node>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    infer(called, node, headers, body).await
}
