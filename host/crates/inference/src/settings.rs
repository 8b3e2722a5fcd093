//! What the operator decides about inference on this machine.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the service. [`Settings::default`] has good ones for an edge box.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that runs models, as a child process; it calls [`crate::worker_main`].
    pub worker: Worker,
    /// The library of ONNX Runtime, an absolute path. Without it there is only the built-in backend.
    pub onnxruntime: Option<PathBuf>,
    /// Bytes of loaded models on the CPU.
    pub cpu_memory: u64,
    /// Bytes of loaded models on each GPU.
    pub gpu_memory: u64,
    /// Bytes that a worker may have beside its models, for what runs need. What needs more fails.
    pub working_memory: u64,
    /// Largest model file, in bytes.
    pub max_model: u64,
    /// Bytes of all tensors of one call, in and out each.
    pub max_tensors: u64,
    /// Bytes of memory shared with workers that all tensors together may have.
    pub shared_memory: u64,
    /// Threads of one run. 0: as many as there are processors, at most 8.
    pub threads: usize,
    /// Runs at once on one device.
    pub runs: usize,
    /// Calls of one service that wait for one device.
    pub service_queue: usize,
    /// Calls of all services that wait for one device.
    pub queue: usize,
    /// How long loading a model may take.
    pub load_timeout: Duration,
    /// How long a worker may take to start.
    pub start_timeout: Duration,
    /// How long a run that nobody waits for any more may go on, once told to end, before its worker is killed.
    pub grace: Duration,
    /// How long a model is set aside when it ended its worker for the third time in a row; doubles each further time, up
    /// to sixteen times as long.
    pub back_off: Duration,
}

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment: what CUDA needs to be found, as `LD_LIBRARY_PATH`. Nothing else is inherited.
    pub env: Vec<(String, String)>,
}

impl Default for Settings {
    /// For an edge box; the worker is this very program with the argument `inference-worker`.
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            // The running file, even when an upgrade has replaced it on disk.
            worker: Worker {
                program: "/proc/self/exe".into(),
                args: vec!["inference-worker".into()],
                env: vec![],
            },
            onnxruntime: None,
            cpu_memory: 2048 * MIB,
            gpu_memory: 4096 * MIB,
            working_memory: 2048 * MIB,
            max_model: 2048 * MIB,
            max_tensors: 256 * MIB,
            shared_memory: 1024 * MIB,
            threads: 0,
            runs: 2,
            service_queue: 256,
            queue: 1024,
            load_timeout: Duration::from_secs(120),
            start_timeout: Duration::from_secs(20),
            grace: Duration::from_secs(2),
            back_off: Duration::from_secs(5),
        }
    }
}
