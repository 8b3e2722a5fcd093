//! How full a device is.

use std::time::Instant;

use super::models::Load;
use super::worker::Life;
use super::{Device, models::Entry};
use crate::{DeviceStatus, ModelStatus};

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
