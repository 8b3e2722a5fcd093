//! What the operator's file says of inference, as the service wants it.

use std::path::{Path, PathBuf};

use wicket_config::InferenceSection;
use wicket_inference::{Settings, Worker};

use crate::env;

/// Where the library of ONNX Runtime is put by hand, in the data folder.
const BESIDE: &str = "onnxruntime/libonnxruntime.so";
/// Where Linux's packages put it.
const SYSTEM: [&str; 4] = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"];
const LIBRARY: &str = "libonnxruntime.so";

/// Settings of the service.
pub(super) fn settings(section: &InferenceSection, data: &Path) -> Settings {
    let default = Settings::default();
    let libraries = (!section.libraries.is_empty()).then(|| section.libraries.join(":"));
    Settings {
        worker: Worker {
            env: libraries.into_iter().map(|folders| ("LD_LIBRARY_PATH".to_owned(), folders)).collect(),
            ..default.worker
        },
        onnxruntime: section.onnxruntime.clone().or_else(|| onnxruntime(Some(data))),
        cpu_memory: section.cpu_memory.0,
        gpu_memory: section.gpu_memory.0,
        working_memory: section.working_memory.0,
        max_model: section.max_model.0,
        max_tensors: section.max_tensors.0,
        shared_memory: section.shared_memory.0,
        threads: section.threads.unwrap_or(0) as usize,
        runs: section.runs as usize,
        queue: section.queue as usize,
        service_queue: section.service_queue as usize,
        load_timeout: section.load_timeout.0,
        ..default
    }
}

/// The library of ONNX Runtime, when nobody names it: that of `ORT_DYLIB_PATH`, of the data folder, of this machine.
pub(crate) fn onnxruntime(data: Option<&Path>) -> Option<PathBuf> {
    let named = env::onnxruntime();
    let beside = data.map(|data| data.join(BESIDE));
    let system = SYSTEM.iter().map(|folder| Path::new(folder).join(LIBRARY));
    named.into_iter().chain(beside).chain(system).find(|file| file.is_file())
}
