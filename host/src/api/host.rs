//! What this host is and does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, header};
use wicket_core::{Depth, Fetch, Queue};

use super::access::Admin;
use super::error::ApiError;
use super::params;
use super::view::{BackendView, BucketAccess, ConfigView, HostFeatures, InfoView, StatsView};
use crate::node::Node;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether the host answers.
#[utoipa::path(get, path = "/health", operation_id = "host_health", tag = "host", responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "Ok")))]
pub(super) async fn health() -> &'static str {
    "Ok"
}

/// What this host is.
#[utoipa::path(get, path = "/system/info", operation_id = "host_info", tag = "host", security(("admin" = [])), responses((status = 200, body = InfoView)))]
pub(super) async fn info(_: Admin) -> Json<InfoView> {
    Json(InfoView {
        version: VERSION.to_owned(),
        git_commit: String::new(),
        architecture: std::env::consts::ARCH.to_owned(),
        kubernetes_version: String::new(),
        serverless_backend: BackendView { name: "wicketgate".to_owned(), version: VERSION.to_owned() },
    })
}

/// What this host has, and the keys of its buckets.
#[utoipa::path(get, path = "/system/config", operation_id = "host_config", tag = "host", security(("admin" = [])), responses((status = 200, body = ConfigView)))]
pub(super) async fn config(_: Admin, State(node): State<Arc<Node>>, headers: HeaderMap) -> Json<ConfigView> {
    let keys = &node.credentials.s3;
    Json(ConfigView {
        config: HostFeatures {
            name: "oscar".to_owned(),
            namespace: "oscar".to_owned(),
            services_namespace: "oscar-svc".to_owned(),
            gpu_available: false,
            interlink_available: false,
            yunikorn_enable: false,
            kueue_enable: false,
            volume_enable: false,
            oidc_groups: Vec::new(),
        },
        minio_provider: BucketAccess {
            endpoint: s3_endpoint(&node, &headers),
            verify: true,
            access_key: keys.access().to_owned(),
            secret_key: keys.secret().to_owned(),
            region: "us-east-1".to_owned(),
        },
        allowed_image_repositories: Vec::new(),
    })
}

/// The buckets' base URL, as this caller can reach it: by the name by which he reached the API, where the host
/// listens on all addresses.
pub(super) fn s3_endpoint(node: &Node, headers: &HeaderMap) -> String {
    let Some(addresses) = node.addresses.get() else { return String::new() };
    let address = addresses.s3;
    let named = params::header(headers, header::HOST)
        .and_then(|host| host.parse::<http::uri::Authority>().ok())
        .filter(|_| address.ip().is_unspecified());
    match named {
        Some(host) => format!("http://{}:{}", host.host(), address.port()),
        None => format!("http://{address}"),
    }
}

/// What this host does now, in figures.
#[utoipa::path(get, path = "/system/stats", operation_id = "host_stats", tag = "host", security(("admin" = [])), responses((status = 200, body = StatsView)))]
pub(super) async fn stats(_: Admin, State(node): State<Arc<Node>>) -> Result<Json<StatsView>, ApiError> {
    let table = node.catalog.table();
    let mut invocations = Depth::default();
    for service in table.deployments.keys() {
        let Depth { queued, running, dead, waiting_parts } = node.queue.depth(service).await?;
        invocations.queued += queued;
        invocations.running += running;
        invocations.dead += dead;
        invocations.waiting_parts += waiting_parts;
    }
    let wasm = node.wasm.stats();
    Ok(Json(StatsView {
        services: table.deployments.len(),
        invocations,
        instances: wasm.instances,
        calls: wasm.calls,
        loaded_modules: wasm.loaded,
        loaded_bytes: wasm.loaded_bytes,
        receipts_dropped: node.recorder.dropped(),
    }))
}

/// What is on its way here from elsewhere, for services that are being applied: images and models.
#[utoipa::path(get, path = "/system/fetches", operation_id = "host_fetches", tag = "host", security(("admin" = [])), responses(
    (status = 200, description = "For each `what`, the bytes that are `here`, and of the `whole` where that is known", body = Vec<Object>)))]
pub(super) async fn fetches(_: Admin, State(node): State<Arc<Node>>) -> Json<Vec<Fetch>> {
    Json(node.fetches.now())
}
