//! The devices that run models, and what is loaded there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wicket_inference::{DeviceStatus, ModelStatus};

use super::access::Admin;
use crate::catalog::Table;
use crate::node::Node;

/// A device that somebody asked for since the host began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceView {
    /// `cpu`, `gpu:0`.
    pub(crate) device: String,
    /// The process that runs its models, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<u32>,
    /// How often that ended unasked.
    pub(crate) crashes: u64,
    /// The version of ONNX Runtime in it; none: there is none, or the process was not up yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) onnxruntime: Option<String>,
    /// Bytes of the models that are loaded.
    pub(crate) memory: u64,
    /// Bytes that they may have.
    pub(crate) memory_limit: u64,
    /// Calls that wait.
    pub(crate) queued: usize,
    /// Runs under way.
    pub(crate) running: usize,
    /// The models that were asked of it.
    pub(crate) models: Vec<DeviceModelView>,
}

/// A model on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceModelView {
    /// Its content.
    pub(crate) sha256: String,
    /// What services call it: `SERVICE.MODEL`.
    pub(crate) names: Vec<String>,
    /// What runs it.
    pub(crate) backend: String,
    /// Whether it is loaded.
    pub(crate) loaded: bool,
    /// Whether it is never unloaded to make room.
    pub(crate) pinned: bool,
    /// Bytes that it takes while it is loaded.
    pub(crate) memory: u64,
    /// Runs of it under way.
    pub(crate) running: usize,
    /// Calls answered since it was first asked for.
    pub(crate) calls: u64,
    /// Runs that answered them; fewer, where some ran together.
    pub(crate) runs: u64,
    /// It ended its process too often, and is not tried for so many ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) set_aside_ms: Option<u64>,
}

/// The devices that run models, how full they are, and what each model there has done.
#[utoipa::path(get, path = "/system/devices", operation_id = "devices_list", tag = "models", security(("admin" = [])), responses((status = 200, body = Vec<DeviceView>)))]
pub(super) async fn list(_: Admin, State(node): State<Arc<Node>>) -> Json<Vec<DeviceView>> {
    let table = node.catalog.table();
    let devices = node.models.inference().devices();
    Json(devices.into_iter().map(|device| view(&table, device)).collect())
}

fn view(table: &Table, device: DeviceStatus) -> DeviceView {
    DeviceView {
        device: device.device.to_string(),
        process: device.worker,
        crashes: device.crashes,
        onnxruntime: device.onnxruntime.and_then(Result::ok),
        memory: device.memory,
        memory_limit: device.memory_limit,
        queued: device.queued,
        running: device.running,
        models: device.models.into_iter().map(|model| model_view(table, model)).collect(),
    }
}

fn model_view(table: &Table, model: ModelStatus) -> DeviceModelView {
    let mut names = Vec::new();
    for deployment in table.deployments.values() {
        let service = &deployment.service;
        let same = service.models.iter().filter(|one| *one.sha256.as_str() == *model.digest);
        names.extend(same.map(|one| format!("{}.{}", service.name, one.name)));
    }
    DeviceModelView {
        sha256: model.digest.to_string(),
        names,
        backend: model.backend.to_string(),
        loaded: model.loaded,
        pinned: model.pinned,
        memory: model.memory,
        running: model.running,
        calls: model.calls,
        runs: model.runs,
        set_aside_ms: model.set_aside.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    }
}
