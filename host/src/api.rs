//! The HTTP API: OSCAR's routes in OSCAR's shapes, and ours beside them.
//!
//! Read in this order: [`router`] (the routes), `access` (who may), `body` and `params` (what comes in, within limits),
//! `error` (what is said when it does not work), [`view`] (what goes out); then a file for each noun.

mod access;
mod answer;
mod body;
mod buckets;
mod cloud_event;
mod dead_letters;
mod deepaas;
pub(crate) mod devices;
mod error;
mod events;
mod explain;
mod host;
mod inference;
mod invocations;
mod job;
mod logs;
mod models;
mod modules;
mod openapi;
mod oscar;
mod params;
mod run;
mod services;
mod versions;
pub(crate) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::node::Node;
use error::ApiError;
pub(crate) use error::status_of;

/// All routes of the API.
pub(crate) fn router(node: Arc<Node>) -> Router {
    let (router, _document) = documented().split_for_parts();
    router
        // OSCAR's Python client asks with a slash at the end.
        .route("/system/config/", get(host::config))
        // DEEPaaS itself takes its paths without the slash at the end, too.
        .route("/v2/models", get(deepaas::models))
        .route("/v2/models/{model}/predict", post(deepaas::predict))
        .route("/v2/models/{model}/train", get(deepaas::trainings).post(deepaas::submit))
        .route("/api", get(deepaas::page))
        .route("/api/", get(deepaas::page))
        .route("/api/{file}", get(deepaas::part))
        .fallback(nothing)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(shaped))
        .with_state(node)
}

/// The routes and what the document says of them, from one declaration.
fn documented() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(host::health))
        .routes(routes!(openapi::document))
        .routes(routes!(host::info))
        .routes(routes!(host::config))
        .routes(routes!(host::stats))
        .routes(routes!(services::list, services::create, services::update))
        .routes(routes!(services::read, services::update_named, services::delete))
        .routes(routes!(versions::list))
        .routes(routes!(versions::rollback))
        .routes(routes!(modules::list))
        .routes(routes!(modules::upload, modules::has))
        .routes(routes!(models::list))
        .routes(routes!(models::upload, models::has))
        .routes(routes!(devices::list))
        .routes(routes!(host::fetches))
        .routes(routes!(inference::live))
        .routes(routes!(inference::ready))
        .routes(routes!(inference::server))
        .routes(routes!(inference::model))
        .routes(routes!(inference::model_ready))
        .routes(routes!(inference::infer))
        .routes(routes!(inference::version))
        .routes(routes!(inference::version_ready))
        .routes(routes!(inference::version_infer))
        .routes(routes!(deepaas::version))
        .routes(routes!(deepaas::document))
        .routes(routes!(deepaas::models))
        .routes(routes!(deepaas::model))
        .routes(routes!(deepaas::predict))
        .routes(routes!(deepaas::submit, deepaas::trainings))
        .routes(routes!(deepaas::status, deepaas::cancel))
        .routes(routes!(run::run))
        .routes(routes!(job::submit))
        .routes(routes!(events::accept))
        .routes(routes!(logs::jobs, logs::forget))
        .routes(routes!(logs::text, logs::forget_one))
        .routes(routes!(invocations::list))
        .routes(routes!(invocations::read, invocations::cancel))
        .routes(routes!(logs::lines))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(explain::asked))
        .routes(routes!(explain::happened))
        .routes(routes!(buckets::list, buckets::create, buckets::update))
        .routes(routes!(buckets::read, buckets::delete))
        .routes(routes!(buckets::presign::presign))
}

/// Writes errors the way the caller reads them.
async fn shaped(request: Request, next: Next) -> Response {
    let json = params::wants_json(request.headers());
    error::shape(next.run(request).await, json)
}

async fn nothing(request: Request) -> ApiError {
    let path = params::shown(request.uri().path());
    ApiError::missing("unknown_path", format!("there is nothing at {path}"))
        .help("GET /openapi.json lists what there is")
}

async fn not_allowed(request: Request) -> ApiError {
    let message = format!("{} does not answer {}", params::shown(request.uri().path()), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        .help("the header `allow` lists what it answers")
}
