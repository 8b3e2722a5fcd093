//! The executor: one engine, one library of modules, and the three shapes that run on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use wicket_config::{ByteSize, ModuleDigest, Service};
use wicket_core::{Attempt, ByteStream, Executor, Failure, Limit, Report, Usage, chain};

use crate::engine::PoolInfo;
use crate::library::{Code, Library, Loaded, WasmEngine};
use crate::nn::Models;
use crate::shapes::http::{HttpCall, Shelf};
use crate::shapes::{command, event, http};
use crate::ticker::Ticker;
use crate::{Answer, FileError, ModuleError, ModuleInfo, StoredFile, WasmConfig, WasmError};

/// Runs wasm functions. Share it; all calls go through the same pool.
#[derive(Debug)]
pub struct WasmExecutor {
    pub(crate) library: Library,
    pub(crate) ticker: Arc<Ticker>,
    /// Calls that are still running behind a streamed answer.
    pub(crate) tasks: TaskTracker,
    /// What guests infer with, where the host offers it.
    pub(crate) models: Option<Models>,
    /// Instances that wait for another request.
    pub(crate) shelf: Arc<Shelf>,
    slots: Arc<Semaphore>,
    config: WasmConfig,
    calls: AtomicU64,
}

/// Figures of the executor, for metrics and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WasmStats {
    /// Where instances come from.
    pub pool: PoolInfo,
    /// Instances that live now.
    pub instances: u32,
    /// Of these, those that wait for another request.
    pub idle: usize,
    /// Calls begun since the start.
    pub calls: u64,
    /// Compiled modules in memory.
    pub loaded: usize,
    /// Their bytes.
    pub loaded_bytes: u64,
}

impl WasmExecutor {
    /// Starts the engine and the epoch thread. Where the machine has no room for the pool that was asked for it
    /// takes a smaller one, and says so in the log and in [`WasmExecutor::stats`].
    pub fn start(config: WasmConfig) -> Result<Arc<Self>, WasmError> {
        Self::on(WasmEngine::start(config.max_instances, config.max_memory)?, config, None)
    }

    /// The same on an engine that was started before with what `config` says of it, for guests that infer with `models`.
    pub fn on(
        engine: WasmEngine,
        config: WasmConfig,
        models: Option<Models>,
    ) -> Result<Arc<Self>, WasmError> {
        let library = Library::open(engine, config.clone())?;
        let pool = library.pool();
        match &pool.fallback {
            Some(why) => tracing::warn!(instances = pool.instances, why, "wasm runs with a smaller pool"),
            None => tracing::info!(
                instances = pool.instances,
                pagemap_scan = pool.pagemap_scan,
                "wasm pool ready"
            ),
        }
        let most = if pool.instances == 0 { config.max_instances } else { pool.instances };
        Ok(Arc::new(Self {
            ticker: library.ticker.clone(),
            library,
            tasks: TaskTracker::new(),
            models,
            shelf: Shelf::new(config.idle_instances, config.idle_memory.0, config.idle_time),
            slots: Arc::new(Semaphore::new(most.max(1) as usize)),
            config,
            calls: AtomicU64::new(0),
        }))
    }

    /// Stores an uploaded module after its digest was checked. At most `limit` bytes.
    pub async fn store_module(
        &self,
        digest: &ModuleDigest,
        body: ByteStream,
        limit: ByteSize,
    ) -> Result<StoredFile, FileError> {
        self.library.modules.store(digest.as_str(), body, limit).await
    }

    /// Whether a module is here.
    pub async fn has_module(&self, digest: &ModuleDigest) -> bool {
        self.library.modules.has(digest.as_str()).await
    }

    /// Removes a module and what was compiled of it; calls that run go on. Whether it was here.
    pub async fn remove_module(&self, digest: &ModuleDigest) -> Result<bool, ModuleError> {
        self.library.remove(digest).await
    }

    /// All modules, by digest.
    pub async fn modules(&self) -> Result<Vec<StoredFile>, FileError> {
        self.library.modules.list().await
    }

    /// Compiles a module if that was not done before, and checks that everything it imports is here.
    pub async fn prepare(&self, module: &ModuleDigest) -> Result<ModuleInfo, ModuleError> {
        self.library.prepare(module).await
    }

    /// What guests infer with, where the host offers it.
    pub fn models(&self) -> Option<&Models> {
        self.models.as_ref()
    }

    /// Most linear memory that a service may ask for.
    pub fn max_memory(&self) -> ByteSize {
        self.config.max_memory
    }

    /// Answers an HTTP request with a fresh instance, or with one that was kept where the service has
    /// `instance_reuse`; both bodies stream. `call.done` is called once, when the
    /// answer has gone or nothing will come of it. Dropping the future, or the answer's body, ends the guest.
    pub async fn serve(&self, call: HttpCall) -> Result<Answer, Failure> {
        http::serve(self, call).await
    }

    /// What it does now.
    pub fn stats(&self) -> WasmStats {
        let pool = self.library.pool().clone();
        let most = if pool.instances == 0 { self.config.max_instances } else { pool.instances };
        let (loaded, loaded_bytes) = self.library.size();
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        WasmStats {
            instances: most.saturating_sub(free),
            idle: self.shelf.len(),
            pool,
            calls: self.calls.load(Relaxed),
            loaded,
            loaded_bytes,
        }
    }

    /// Waits for the guests that still run behind streamed answers, and keeps no instance for another request.
    pub async fn drain(&self) {
        self.shelf.close();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A module and an instance's place in the pool.
    pub(crate) async fn enter(
        &self,
        service: &Service,
    ) -> Result<(Arc<Loaded>, OwnedSemaphorePermit), Failure> {
        let Some(digest) = &service.wasm else {
            return Err(Failure::Host { message: "the service has no module".to_owned() });
        };
        let module =
            self.library.get(digest).await.map_err(|error| Failure::Host { message: chain(&error) })?;
        self.calls.fetch_add(1, Relaxed);
        loop {
            if let Ok(slot) = self.slots.clone().try_acquire_owned() {
                return Ok((module, slot));
            }
            if !self.shelf.give_way() {
                break;
            }
        }
        // From here on, those that come back are let go; one may have come back before.
        let _wanted = self.shelf.want();
        self.shelf.give_way();
        match tokio::time::timeout(self.config.queue_wait, self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok((module, slot)),
            Ok(Err(_)) | Err(_) => Err(Failure::Limit {
                limit: Limit::Concurrency,
                message: format!("no instance was free within {:?}", self.config.queue_wait),
            }),
        }
    }
}

#[async_trait]
impl Executor for WasmExecutor {
    async fn execute(&self, attempt: Attempt) -> Report {
        let (module, slot) = match self.enter(&attempt.deployment.service).await {
            Ok(entered) => entered,
            Err(failure) => return Report { result: Err(failure), usage: Usage::default() },
        };
        match &module.code {
            Code::Http(_) | Code::Http03(_) => http::deliver(self, (module.clone(), slot), attempt).await,
            Code::Command(_) | Code::Command03(_) | Code::Preview1(_) => {
                let report = command::run(self, &module.code, attempt).await;
                drop(slot);
                report
            }
            Code::Event(pre) => {
                let report = event::run(self, pre, attempt).await;
                drop(slot);
                report
            }
        }
    }
}
