//! The service: what callers see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::memory::Pool;
use crate::{Backend, BufferMut, Dtype, InferenceError, Model, ModelInfo, Settings, Target, Tensor};

/// The inference service of a node. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Inference {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    pool: Arc<Pool>,
}

/// Which input of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKey {
    /// By its name in the model.
    Name(String),
    /// By its place, from 0.
    Index(usize),
}

/// Who asks, and until when.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service that asks: turns are taken by service.
    pub service: Arc<str>,
    /// When the answer is of no use any more.
    pub deadline: Instant,
}

/// What a model said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Every output of the model by name, in its order.
    pub outputs: Vec<(String, Tensor)>,
    /// What it took.
    pub used: Used,
}

/// What a call took.
#[derive(Clone, Debug)]
pub struct Used {
    /// How long it waited: for its turn, and for others to join it.
    pub queue: Duration,
    /// How long the run took, with all calls that it was of.
    pub inference: Duration,
    /// Calls in that run.
    pub batch: u32,
    /// Where it ran.
    pub device: Target,
    /// What ran it.
    pub backend: Backend,
    /// It ran on its fallback, since there is no such target.
    pub fallback: bool,
}

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
    pub digest: crate::Digest,
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

impl Inference {
    /// The service, with no worker yet: each is started when it is first needed. Callable outside a runtime; everything else
    /// wants a tokio runtime.
    pub fn start(settings: Settings) -> Self {
        let pool = Pool::new(settings.shared_memory);
        Self { shared: Arc::new(Shared { settings: Arc::new(settings), pool }) }
    }

    /// Memory for a tensor of `len` bytes, to be written once and given to [`Tensor::new`].
    ///
    /// # Errors
    ///
    /// [`InferenceError::TooLarge`] over [`Settings::max_tensors`]; [`InferenceError::Busy`] while other calls have all of
    /// [`Settings::shared_memory`].
    pub fn buffer(&self, len: usize) -> Result<BufferMut, InferenceError> {
        let limit = self.shared.settings.max_tensors;
        if len as u64 > limit {
            return Err(InferenceError::TooLarge { what: "a tensor".into(), size: len as u64, limit });
        }
        Ok(BufferMut::new(self.shared.pool.lease(len)?, len))
    }

    /// A tensor of a copy of `data`.
    ///
    /// # Errors
    ///
    /// As [`Self::buffer`] and [`Tensor::new`].
    pub fn tensor(&self, dtype: Dtype, shape: &[u64], data: &[u8]) -> Result<Tensor, InferenceError> {
        let mut buffer = self.buffer(data.len())?;
        buffer.put(data)?;
        Tensor::new(dtype, shape.to_vec(), buffer.freeze())
    }

    /// Loads a model and warms it up, unless it is loaded; says what it takes and gives.
    ///
    /// # Errors
    ///
    /// [`InferenceError::BadModel`], [`InferenceError::TooLarge`], [`InferenceError::NoDevice`] or
    /// [`InferenceError::NoLibrary`] when it cannot be, [`InferenceError::Crashed`] and [`InferenceError::SetAside`] when it
    /// ends its worker.
    pub async fn prepare(&self, model: &Model) -> Result<Arc<ModelInfo>, InferenceError> {
        let _ = model;
        Err(InferenceError::Closed)
    }

    /// Runs a model on inputs, once each, in any order. Loads it first where that was not done. Dropping the future cancels
    /// the call.
    ///
    /// # Errors
    ///
    /// As [`Self::prepare`]; [`InferenceError::Invalid`] for inputs that the model does not take;
    /// [`InferenceError::Busy`] when a queue is full; [`InferenceError::Timeout`] at the deadline.
    pub async fn infer(
        &self,
        model: &Model,
        inputs: Vec<(InputKey, Tensor)>,
        call: Call,
    ) -> Result<Answer, InferenceError> {
        let _ = (model, inputs, call);
        Err(InferenceError::Closed)
    }

    /// The model may be unloaded to make room for others, pinned or not; it is when idle. Calls under way end as usual.
    pub async fn release(&self, model: &Model) {
        let _ = model;
    }

    /// Starts the worker of a device, if need be, and says what is there: for `doctor`.
    ///
    /// # Errors
    ///
    /// [`InferenceError::NoDevice`] when it cannot be used.
    pub async fn probe(&self, device: Target) -> Result<DeviceStatus, InferenceError> {
        let _ = device;
        Err(InferenceError::Closed)
    }

    /// Every device that was asked for so far, and how full it is.
    pub fn devices(&self) -> Vec<DeviceStatus> {
        Vec::new()
    }

    /// Ends the calls under way with [`InferenceError::Closed`], ends the workers and waits for them.
    pub async fn close(&self) {}
}
