//! How full a device is.

use std::time::{Duration, Instant};

use super::models::Load;
use super::worker::Life;
use super::{Device, models::Entry};
use crate::{Backend, Digest, Target};

/// A device and how full it is.
#[derive(Clone, Debug)]
pub struct DeviceStatus {
    /// Which device.
    pub device: Target,
    /// Its worker's process, while there is one.
    pub worker: Option<u32>,
    /// How often its worker ended unasked.
    pub crashes: u64,
    /// The version of ONNX Runtime in its worker, or why there is none; unknown before the worker was up.
    pub onnxruntime: Option<Result<String, String>>,
    /// Bytes of the loaded models.
    pub memory: u64,
    /// Bytes that they may have.
    pub memory_limit: u64,
    /// Calls that wait.
    pub queued: usize,
    /// Runs under way.
    pub running: usize,
    /// The models, loaded or not, that were asked of it.
    pub models: Vec<ModelStatus>,
}

/// A model on a device.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// Which model.
    pub digest: Digest,
    /// What runs it.
    pub backend: Backend,
    /// It is loaded.
    pub loaded: bool,
    /// Never unloaded to make room.
    pub pinned: bool,
    /// Bytes that it takes, when loaded.
    pub memory: u64,
    /// Runs of it under way.
    pub running: usize,
    /// Calls answered.
    pub calls: u64,
    /// Runs that answered them.
    pub runs: u64,
    /// How long it is still set aside, for having ended its worker too often.
    pub set_aside: Option<Duration>,
}

impl Device {
    pub(crate) fn status(&self) -> DeviceStatus {
        let state = self.state();
        let worker = match &state.life {
            Life::Up { process, .. } => *process,
            Life::None | Life::Starting { .. } | Life::Unusable { .. } => None,
        };
        let now = Instant::now();
        let model = |(key, entry): (&super::Key, &Entry)| ModelStatus {
            digest: key.digest.clone(),
            backend: key.backend,
            loaded: matches!(entry.load, Load::Ready { .. }),
            pinned: entry.pinned,
            memory: entry.memory(),
            running: entry.running,
            calls: entry.calls,
            runs: entry.runs,
            set_aside: entry.set_aside.and_then(|until| until.checked_duration_since(now)),
        };
        let mut models: Vec<ModelStatus> = state.models.iter().map(model).collect();
        models.sort_by(|a, b| (&a.digest, a.backend as u8).cmp(&(&b.digest, b.backend as u8)));
        DeviceStatus {
            device: self.target,
            worker,
            crashes: state.crashes,
            onnxruntime: state.onnxruntime.clone(),
            memory: models.iter().map(|model| model.memory).sum(),
            memory_limit: self.budget(),
            queued: state.queue.len() + state.suspects.len(),
            running: state.runs.len(),
            models,
        }
    }
}
