//! The service: what callers see.

mod check;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::device::{Device, DeviceStatus, Host, Key, Pending, Request};
use crate::memory::Pool;
use crate::{Backend, BufferMut, Dtype, InferenceError, Model, ModelInfo, Settings, Stage, Target, Tensor};

/// The inference service of a node. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Inference {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: Host,
    devices: Mutex<BTreeMap<Target, Arc<Device>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.host.closed.cancel();
    }
}

/// A model where it is loaded.
struct Placed {
    device: Arc<Device>,
    key: Key,
    info: Arc<ModelInfo>,
    fallback: bool,
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

impl Inference {
    /// The service, with no worker yet: each is started when it is first needed. Callable outside a runtime; everything else
    /// wants a tokio runtime.
    pub fn start(settings: Settings) -> Self {
        let pool = Pool::new(settings.shared_memory);
        let host = Host {
            settings: Arc::new(settings),
            pool,
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
        };
        Self { shared: Arc::new(Shared { host, devices: Mutex::default() }) }
    }

    /// Memory for a tensor of `len` bytes, to be written once and given to [`Tensor::new`].
    ///
    /// # Errors
    ///
    /// [`InferenceError::TooLarge`] over [`Settings::max_tensors`]; [`InferenceError::Busy`] while other calls have all of
    /// [`Settings::shared_memory`].
    pub fn buffer(&self, len: usize) -> Result<BufferMut, InferenceError> {
        let limit = self.settings().max_tensors;
        if len as u64 > limit {
            return Err(InferenceError::TooLarge { what: "a tensor".into(), size: len as u64, limit });
        }
        Ok(BufferMut::new(self.shared.host.pool.lease(len)?, len))
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
        let placed = self.place(model).await?;
        Ok(match placed.fallback {
            true => Arc::new(ModelInfo { fallback: true, ..(*placed.info).clone() }),
            false => placed.info,
        })
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
        let begun = Instant::now();
        let stage = StageSeen::default();
        let deadline = tokio::time::sleep_until(call.deadline.into());
        tokio::select! {
            answer = self.infer_now(model, inputs, &call, &stage) => answer,
            () = deadline => Err(InferenceError::Timeout {
                after: call.deadline.saturating_duration_since(begun),
                stage: stage.now(),
            }),
        }
    }

    /// The model may be unloaded to make room for others, pinned or not; it is when idle. Calls under way end as usual.
    pub async fn release(&self, model: &Model) {
        for target in [Some(model.target), model.fallback].into_iter().flatten() {
            let device = self.devices_now().get(&target).cloned();
            if let Some(device) = device
                && let Ok(key) = device.key(model)
            {
                device.release(&key);
            }
        }
    }

    /// Starts the worker of a device, if need be, and says what is there: for `doctor`.
    ///
    /// # Errors
    ///
    /// [`InferenceError::NoDevice`] when it cannot be used.
    pub async fn probe(&self, device: Target) -> Result<DeviceStatus, InferenceError> {
        let device = self.device(device);
        device.up().await?;
        Ok(device.status())
    }

    /// Every device that was asked for so far, and how full it is.
    pub fn devices(&self) -> Vec<DeviceStatus> {
        let devices: Vec<_> = self.devices_now().values().cloned().collect();
        devices.iter().map(|device| device.status()).collect()
    }

    /// Bytes of memory shared with workers that callers wrote: all there is, and of that what waits for the next caller.
    pub fn shared_memory(&self) -> (u64, u64) {
        self.shared.host.pool.bytes()
    }

    /// Ends the calls under way with [`InferenceError::Closed`], ends the workers and waits for them.
    pub async fn close(&self) {
        self.shared.host.closed.cancel();
        self.shared.host.tasks.close();
        self.shared.host.tasks.wait().await;
    }

    /// What the operator decided.
    pub fn limits(&self) -> &Settings {
        self.settings()
    }

    fn settings(&self) -> &Settings {
        &self.shared.host.settings
    }

    fn devices_now(&self) -> std::sync::MutexGuard<'_, BTreeMap<Target, Arc<Device>>> {
        self.shared.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device(&self, target: Target) -> Arc<Device> {
        let mut devices = self.devices_now();
        devices.entry(target).or_insert_with(|| Device::new(target, self.shared.host.clone())).clone()
    }

    /// Loads a model on its target, or on its fallback where there is no target.
    async fn place(&self, model: &Model) -> Result<Placed, InferenceError> {
        let device = self.device(model.target);
        let (device, fallback) = match (device.up().await, model.fallback) {
            (Ok(()), _) => (device, false),
            (Err(InferenceError::Closed), _) => return Err(InferenceError::Closed),
            (Err(why), Some(other)) if other != model.target => {
                tracing::debug!(target = %model.target, fallback = %other, %why, "a model runs on its fallback");
                let device = self.device(other);
                device.up().await?;
                (device, true)
            }
            (Err(why), _) => return Err(why),
        };
        let key = device.key(model)?;
        let info = device.prepare(model, &key).await?;
        Ok(Placed { device, key, info, fallback })
    }

    async fn infer_now(
        &self,
        model: &Model,
        inputs: Vec<(InputKey, Tensor)>,
        call: &Call,
        stage: &StageSeen,
    ) -> Result<Answer, InferenceError> {
        let Placed { device, key, info, fallback } = self.place(model).await?;
        let limit = self.settings().max_tensors;
        let inputs = check::in_order(&self.shared.host.pool, limit, &info, inputs)?;
        let request = Request { key, service: call.service.clone(), inputs, deadline: call.deadline };
        let done = stage.of(device.submit(request)?).await?;
        let names = info.outputs.iter().map(|port| port.name.clone());
        let used = Used {
            queue: done.queue,
            inference: done.inference,
            batch: done.batch,
            device: device.target,
            backend: done.backend,
            fallback,
        };
        Ok(Answer { outputs: names.zip(done.outputs).collect(), used })
    }
}

/// How far a call came, for whoever gives it up.
#[derive(Default)]
struct StageSeen {
    /// Whether it runs, once it was taken.
    running: std::sync::OnceLock<Arc<std::sync::atomic::AtomicBool>>,
}

impl StageSeen {
    fn of(&self, pending: Pending) -> Pending {
        let _ = self.running.set(pending.running());
        pending
    }

    fn now(&self) -> Stage {
        match self.running.get().map(|running| running.load(std::sync::atomic::Ordering::Relaxed)) {
            None => Stage::Loading,
            Some(false) => Stage::Queued,
            Some(true) => Stage::Running,
        }
    }
}
