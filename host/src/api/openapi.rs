//! The document that describes this API, made from the code that answers it.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Content, OpenApi as Described, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::view::ErrorBody;

/// What the document says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wicketgate",
        description = "The API of a Wicketgate host. Its shapes are those of OSCAR where OSCAR has them. Errors are text, or JSON where `accept` asks for it."
    ),
    components(schemas(ErrorBody)),
    modifiers(&Access),
    tags(
        (name = "calls", description = "Run functions, send events"),
        (name = "services", description = "What is deployed"),
        (name = "modules", description = "WebAssembly modules"),
        (name = "models", description = "Models that modules infer with"),
        (name = "inference", description = "The Open Inference Protocol, version 2"),
        (name = "deepaas", description = "DEEPaaS, version 2: services as models, with a page at /api"),
        (name = "invocations", description = "What ran, and how"),
        (name = "logs", description = "What functions wrote"),
        (name = "buckets", description = "Buckets of this host"),
        (name = "host", description = "The host itself"),
    )
)]
pub(super) struct Document;

/// A body of bytes, whatever they are.
pub(super) struct Binary;

impl utoipa::PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl utoipa::ToSchema for Binary {}

/// How callers say who they are.
struct Access;

impl Modify for Access {
    fn modify(&self, document: &mut Described) {
        let components = document.components.get_or_insert_with(Components::default);
        components.add_security_scheme("admin", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
    let text = serde_json::to_vec(&described());
    Bytes::from(text.expect("a document is JSON"))
});

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi_document", tag = "host", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
}

/// The whole document. Every operation may also end in an error, of one form.
fn described() -> Described {
    let mut document = super::documented().into_openapi();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.head];
        for operation in operations.into_iter().flatten() {
            add_errors(operation);
        }
    }
    document
}

fn add_errors(operation: &mut Operation) {
    let body = || Content::new(Some(Ref::from_schema_name("ErrorBody")));
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
        {
            response.content.insert("application/json".to_owned(), RefOr::T(body()));
        }
    }
    let any = ResponseBuilder::new()
        .description("Something is wrong: what, where, and what to do")
        .content("application/json", body())
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(any));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every route that this host promises. A route that is not here, or not in the document, fails.
    const ROUTES: [&str; 60] = [
        "delete /system/buckets/{bucket}",
        "delete /system/invocations/{id}",
        "delete /system/logs/{service}",
        "delete /system/logs/{service}/{id}",
        "delete /system/services/{name}",
        "delete /v2/models/{model}/train/{id}",
        "get /health",
        "get /openapi.json",
        "get /swagger.json",
        "get /system/buckets",
        "get /system/buckets/{bucket}",
        "get /system/config",
        "get /system/dead-letters",
        "get /system/devices",
        "get /system/explain/{id}",
        "get /system/fetches",
        "get /system/info",
        "get /system/invocations",
        "get /system/invocations/{id}",
        "get /system/invocations/{id}/logs",
        "get /system/logs/{service}",
        "get /system/logs/{service}/{id}",
        "get /system/models",
        "get /system/modules",
        "get /system/services",
        "get /system/services/{name}",
        "get /system/services/{name}/versions",
        "get /system/stats",
        "get /v2",
        "get /v2/",
        "get /v2/health/live",
        "get /v2/health/ready",
        "get /v2/models/",
        "get /v2/models/{model}",
        "get /v2/models/{model}/",
        "get /v2/models/{model}/ready",
        "get /v2/models/{model}/train/",
        "get /v2/models/{model}/train/{id}",
        "get /v2/models/{model}/versions/{version}",
        "get /v2/models/{model}/versions/{version}/ready",
        "head /system/models/{sha256}",
        "head /system/modules/{sha256}",
        "post /events",
        "post /job/{service}",
        "post /run/{service}",
        "post /system/buckets",
        "post /system/buckets/{bucket}/presign",
        "post /system/dead-letters/{id}/redrive",
        "post /system/explain",
        "post /system/services",
        "post /system/services/{name}/rollback",
        "post /v2/models/{model}/infer",
        "post /v2/models/{model}/predict/",
        "post /v2/models/{model}/train/",
        "post /v2/models/{model}/versions/{version}/infer",
        "put /system/buckets",
        "put /system/models/{sha256}",
        "put /system/modules/{sha256}",
        "put /system/services",
        "put /system/services/{name}",
    ];

    #[test]
    fn every_route_is_described_and_guarded() {
        let document: serde_json::Value = serde_json::from_slice(&TEXT).unwrap();
        let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                found.push(format!("{method} {path}"));
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "{id} is the name of two operations");
                assert!(operation["responses"]["default"].is_object(), "{method} {path}");
                let open = matches!(
                    path.as_str(),
                    "/health"
                        | "/openapi.json"
                        | "/swagger.json"
                        | "/v2"
                        | "/v2/"
                        | "/v2/health/live"
                        | "/v2/health/ready"
                );
                assert_eq!(operation["security"].is_array(), !open, "{method} {path}");
            }
        }
        found.sort();
        let promised = ROUTES.map(str::to_owned);
        assert_eq!(found, promised);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_slice(&TEXT).unwrap();
        let mut open = vec![&document];
        let mut seen = 0;
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(|reference| reference.as_str()) {
                let place = reference.strip_prefix('#').expect("a reference into this document");
                assert!(document.pointer(place).is_some(), "{reference}");
                seen += 1;
            }
            match value {
                serde_json::Value::Array(list) => open.extend(list),
                serde_json::Value::Object(map) => open.extend(map.values()),
                _ => {}
            }
        }
        assert!(seen > 20);
    }
}
