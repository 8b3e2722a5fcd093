//! The models in Swagger 2.0, as clients of DEEPaaS read them to make forms; and the page that shows them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};
use swagger_ui_redist::SwaggerUi;
use wicket_config::{Argument, ArgumentKind, Deepaas, MediaType};
use wicket_core::Deployment;

use super::super::error::ApiError;
use super::{Seen, model_source};
use crate::node::Node;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");

/// What each model takes and gives, in Swagger 2.0.
#[utoipa::path(get, path = "/swagger.json", operation_id = "deepaas_document", tag = "deepaas", responses(
    (status = 200, description = "The models that the caller may ask", body = Object)))]
pub(in crate::api) async fn document(seen: Seen, State(node): State<Arc<Node>>) -> Json<Value> {
    let mut paths = Map::new();
    paths.insert(
        "/v2/models/".to_owned(),
        json!({"get": operation("All models", "models", json!([]), &[MediaType::JSON])}),
    );
    for (deployment, deepaas) in seen.models(&node) {
        paths.extend(model(&deployment, &deepaas));
    }
    Json(json!({
        "swagger": "2.0",
        "info": {
            "title": "Wicketgate: models",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The models of this host by DEEPaaS, version 2. Which of them are told of depends on who asks.",
        },
        "basePath": "/",
        "securityDefinitions": {
            "admin": {"type": "basic"},
            "token": {
                "type": "apiKey", "in": "header", "name": "Authorization",
                "description": "`Bearer`, a space, and the service's token",
            },
        },
        "security": [{"admin": []}, {"token": []}],
        "paths": paths,
        "definitions": {
            "Failure": {"type": "object", "properties": {"error": {"type": "object"}}},
            "Prediction": {
                "type": "object",
                "properties": {"status": {"type": "string"}, "predictions": {}},
                "required": ["status", "predictions"],
            },
        },
    }))
}

/// The paths of one model.
fn model(deployment: &Deployment, deepaas: &Deepaas) -> Map<String, Value> {
    let at = model_source(&deployment.service.name);
    let tag = deployment.service.name.as_str();
    let mut paths = Map::new();
    paths.insert(
        format!("{at}/"),
        json!({"get": operation("What is said of it", tag, json!([]), &[MediaType::JSON])}),
    );
    let accept: Vec<&str> = deepaas.accept.iter().map(MediaType::as_str).collect();
    let mut parameters: Vec<Value> = deepaas.arguments.iter().map(parameter).collect();
    parameters.push(json!({
        "name": "accept", "in": "header", "type": "string", "enum": accept, "default": accept.first(),
        "required": false, "description": "The media type of the answer",
    }));
    let summary = if deepaas.description.is_empty() { "Ask for a prediction" } else { &deepaas.description };
    let mut predict = operation(summary, tag, parameters.into(), &accept);
    predict["consumes"] = consumes(&deepaas.arguments);
    if deepaas.open {
        predict["security"] = json!([]);
    }
    paths.insert(format!("{at}/predict/"), json!({"post": predict}));
    if let Some(train) = &deepaas.train {
        let parameters = train.arguments.iter().map(parameter).collect::<Vec<_>>();
        let mut begin = operation("Begin a training", tag, parameters.into(), &[MediaType::JSON]);
        begin["consumes"] = consumes(&train.arguments);
        let list = operation("The trainings, the newest first", tag, json!([]), &[MediaType::JSON]);
        paths.insert(format!("{at}/train/"), json!({"post": begin, "get": list}));
        let id = json!([{"name": "uuid", "in": "path", "type": "string", "required": true}]);
        paths.insert(
            format!("{at}/train/{{uuid}}"),
            json!({
                "get": operation("How a training stands", tag, id.clone(), &[MediaType::JSON]),
                "delete": operation("Cancel a training", tag, id, &[MediaType::JSON]),
            }),
        );
    }
    paths
}

fn consumes(arguments: &[Argument]) -> Value {
    let has_file = arguments.iter().any(|argument| argument.kind == ArgumentKind::File);
    if has_file { json!(["multipart/form-data"]) } else { json!([MediaType::JSON]) }
}

fn operation(summary: &str, tag: &str, parameters: Value, produces: &[&str]) -> Value {
    json!({
        "summary": summary,
        "tags": [tag],
        "produces": produces,
        "parameters": parameters,
        "responses": {
            "200": {"description": "It went well"},
            "default": {"description": "What is wrong, and what to do", "schema": {"$ref": "#/definitions/Failure"}},
        },
    })
}

fn parameter(argument: &Argument) -> Value {
    let (place, kind) = match argument.kind {
        ArgumentKind::File => ("formData", "file"),
        ArgumentKind::Url | ArgumentKind::String => ("query", "string"),
        ArgumentKind::Integer => ("query", "integer"),
        ArgumentKind::Number => ("query", "number"),
        ArgumentKind::Boolean => ("query", "boolean"),
    };
    let mut parameter = json!({
        "name": argument.name,
        "in": place,
        "type": kind,
        "required": argument.required,
        "description": argument.description,
    });
    let more = [
        ("format", (argument.kind == ArgumentKind::Url).then(|| "uri".into())),
        ("default", argument.default.clone()),
        ("enum", (!argument.choices.is_empty()).then(|| argument.choices.clone().into())),
        ("minimum", argument.minimum.clone().map(Value::Number)),
        ("maximum", argument.maximum.clone().map(Value::Number)),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            parameter[key] = value;
        }
    }
    parameter
}

/// The page that shows the models and asks them.
pub(in crate::api) async fn page() -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                  img-src 'self' data: blob:; media-src blob:; connect-src 'self'; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE)
        .into_response()
}

/// A file of the page.
pub(in crate::api) async fn part(Path(name): Path<String>) -> Result<Response, ApiError> {
    let files = SwaggerUi::static_files().iter().map(|(file, bytes)| (file.file_name(), *bytes));
    let found = files.chain([("page.js", SCRIPT.as_bytes())]).find(|(file, _)| *file == name);
    let Some((_, bytes)) = found else {
        return Err(ApiError::missing("unknown_path", "there is nothing there"));
    };
    let content_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/png",
    };
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=86400")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]);
    Ok((headers, bytes).into_response())
}
