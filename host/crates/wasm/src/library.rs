//! Compiled modules in memory: loaded when first called, let go when idle and others need the room.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use wasmtime::InstancePre;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3::bindings::CommandPre as CommandPre03;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wicket_config::ModuleDigest;

use crate::cache::{Artefact, Cache};
use crate::compile::{Job, compile};
use crate::engine::{Machine, PoolInfo, compatibility};
use crate::executor::chain;
use crate::modules::{DRAFT, Modules, blocking};
use crate::shapes::event::bindings::OfferPre;
use crate::state::State;
use crate::ticker::Ticker;
use crate::{ModuleError, ModuleInfo, Shape, Wasi, WasmConfig, WasmError, inspect, linker};

/// Compiles at once: each takes a core and up to gigabytes.
const COMPILES: usize = 2;

/// A module ready to be instantiated.
pub(crate) struct Loaded {
    pub(crate) code: Code,
    size: u64,
    /// When it was last asked for, on the library's own count.
    used: AtomicU64,
}

/// By shape, and for two of them by the version of WASI.
pub(crate) enum Code {
    Http(ProxyPre<State>),
    Http03(ServicePre<State>),
    Command(CommandPre<State>),
    Command03(CommandPre03<State>),
    Preview1(InstancePre<State>),
    Event(OfferPre<State>),
}

impl Code {
    /// Whether it answers HTTP requests.
    pub(crate) fn is_http(&self) -> bool {
        match self {
            Self::Http(_) | Self::Http03(_) => true,
            Self::Command(_) | Self::Command03(_) | Self::Preview1(_) | Self::Event(_) => false,
        }
    }
}

/// An engine, what components link to on it, and what was compiled for it.
struct Side {
    machine: Machine,
    components: Linker<State>,
    cache: Cache,
}

impl Side {
    fn start(config: &WasmConfig, concurrent: bool) -> Result<Self, WasmError> {
        let machine = Machine::start(config, concurrent)?;
        let folder = |source| WasmError::Folder { path: config.cache_dir.clone(), source };
        let cache = Cache::open(&config.cache_dir, config.cache_key, compatibility(&machine.engine));
        let components = linker::component(&machine.engine).map_err(WasmError::Engine)?;
        Ok(Self { machine, components, cache: cache.map_err(folder)? })
    }
}

/// All modules of this host, on disk, compiled, and loaded.
pub(crate) struct Library {
    pub(crate) modules: Modules,
    pub(crate) ticker: Arc<Ticker>,
    plain: Side,
    /// For guests of WASI 0.3; started with the first of them.
    concurrent: OnceLock<Side>,
    config: WasmConfig,
    cores: wasmtime::Linker<State>,
    loaded: RwLock<HashMap<ModuleDigest, Arc<Loaded>>>,
    /// One loader for each module at a time.
    loading: Mutex<HashMap<ModuleDigest, Weak<AsyncMutex<()>>>>,
    compiles: Semaphore,
    clock: AtomicU64,
}

impl Library {
    pub(crate) fn open(config: WasmConfig) -> Result<Self, WasmError> {
        let folder = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| WasmError::Folder { path, source }
        };
        std::fs::create_dir_all(&config.modules_dir).map_err(folder(&config.modules_dir))?;
        let plain = Side::start(&config, false)?;
        for dir in [&config.modules_dir, &config.cache_dir] {
            remove_drafts(dir).map_err(folder(dir))?;
        }
        Ok(Self {
            cores: linker::module(&plain.machine.engine).map_err(WasmError::Engine)?,
            ticker: Arc::new(Ticker::start(plain.machine.engine.clone())?),
            modules: Modules::new(&config.modules_dir),
            plain,
            concurrent: OnceLock::new(),
            config,
            loaded: RwLock::default(),
            loading: Mutex::default(),
            compiles: Semaphore::new(COMPILES),
            clock: AtomicU64::new(0),
        })
    }

    /// Where instances of most modules come from.
    pub(crate) fn pool(&self) -> &PoolInfo {
        &self.plain.machine.pool
    }

    /// The side that a module runs on.
    fn side(&self, info: &ModuleInfo) -> Result<&Side, ModuleError> {
        if info.wasi != Wasi::V03 {
            return Ok(&self.plain);
        }
        if let Some(side) = self.concurrent.get() {
            return Ok(side);
        }
        let started = Side::start(&self.config, true);
        let started = started.map_err(|error| ModuleError::Compile(chain(&error)))?;
        // Of two that start it at once, one throws its own away.
        let side = self.concurrent.get_or_init(|| started);
        self.ticker.also(side.machine.engine.clone());
        tracing::info!(instances = side.machine.pool.instances, "wasm pool for WASI 0.3 ready");
        Ok(side)
    }

    fn loaded(&self, digest: &ModuleDigest) -> Option<Arc<Loaded>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let module = loaded.get(digest)?;
        module.used.store(self.clock.fetch_add(1, Relaxed), Relaxed);
        Some(module.clone())
    }

    /// How many are loaded, and their bytes.
    pub(crate) fn size(&self) -> (usize, u64) {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        (loaded.len(), loaded.values().map(|module| module.size).sum())
    }

    /// The module, loaded; compiled before, if it must be.
    pub(crate) async fn get(&self, digest: &ModuleDigest) -> Result<Arc<Loaded>, ModuleError> {
        if let Some(module) = self.loaded(digest) {
            return Ok(module);
        }
        let turn = {
            let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
            loading.retain(|_, turn| turn.strong_count() > 0);
            let turn = loading.get(digest).and_then(Weak::upgrade).unwrap_or_default();
            loading.insert(digest.clone(), Arc::downgrade(&turn));
            turn
        };
        let _turn = turn.lock().await;
        if let Some(module) = self.loaded(digest) {
            return Ok(module);
        }
        let info = self.inspect(digest).await?;
        let side = self.side(&info)?;
        let artefact = match find(side, digest).await? {
            Some(artefact) => artefact,
            None => self.compile(side, digest, &info).await?,
        };
        let module = Arc::new(self.load(side, &info, &artefact)?);
        self.insert(digest, &module);
        Ok(module)
    }

    /// What a stored module is.
    pub(crate) async fn inspect(&self, digest: &ModuleDigest) -> Result<ModuleInfo, ModuleError> {
        let (path, most) = (self.modules.path(digest), self.config.max_module);
        let read = blocking(move || {
            if std::fs::metadata(&path)?.len() > most.0 {
                return Ok(None);
            }
            std::fs::read(path).map(Some)
        })
        .await;
        match read {
            Ok(Some(wasm)) => inspect(&wasm),
            Ok(None) => Err(ModuleError::TooLarge(most)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ModuleError::Missing(digest.clone()))
            }
            Err(error) => Err(ModuleError::io(format!("read the module {digest}"))(error)),
        }
    }

    async fn compile(
        &self,
        side: &Side,
        digest: &ModuleDigest,
        info: &ModuleInfo,
    ) -> Result<Artefact, ModuleError> {
        let _turn = self.compiles.acquire().await.expect("the semaphore is never closed");
        let began = std::time::Instant::now();
        self.modules.check(digest).await?;
        let cache = side.cache.clone();
        let write = || ModuleError::io("write the compile cache");
        let draft = blocking(move || cache.draft()).await.map_err(write())?;
        let job = Job {
            tuning: side.machine.tuning,
            wasm: absolute(self.modules.path(digest)).map_err(write())?,
            artefact: absolute(draft.to_path_buf()).map_err(write())?,
            memory: self.config.compile_memory.0,
            cpu_seconds: self.config.compile_time.as_secs().max(1),
            component: info.shape != Shape::Preview1,
        };
        compile(&self.config.compiler, &job).await?;
        let (cache, kept) = (side.cache.clone(), digest.clone());
        let artefact = blocking(move || cache.keep(&kept, draft)).await.map_err(write())?;
        tracing::info!(%digest, shape = %info.shape, took = ?began.elapsed(), "module compiled");
        Ok(artefact)
    }

    fn load(&self, side: &Side, info: &ModuleInfo, artefact: &Artefact) -> Result<Loaded, ModuleError> {
        let engine = &side.machine.engine;
        let broken = |error: wasmtime::Error| ModuleError::Compile(format!("{error:#}"));
        let code = if info.shape == Shape::Preview1 {
            let module = artefact.module(engine).map_err(broken)?;
            Code::Preview1(self.cores.instantiate_pre(&module).map_err(|error| import(&error))?)
        } else {
            let component = artefact.component(engine).map_err(broken)?;
            let pre = side.components.instantiate_pre(&component).map_err(|error| import(&error))?;
            let no_shape = |error: wasmtime::Error| ModuleError::NoShape(format!("{error:#}"));
            match info.shape {
                Shape::Http if info.exports("wasi:http/incoming-handler@0.2.") => {
                    Code::Http(ProxyPre::new(pre).map_err(no_shape)?)
                }
                Shape::Http => Code::Http03(ServicePre::new(pre).map_err(no_shape)?),
                Shape::Command if !info.exports("wasi:cli/run@0.2.") => {
                    Code::Command03(CommandPre03::new(pre).map_err(no_shape)?)
                }
                Shape::Command | Shape::Preview1 => Code::Command(CommandPre::new(pre).map_err(no_shape)?),
                Shape::Event => Code::Event(OfferPre::new(pre).map_err(no_shape)?),
            }
        };
        Ok(Loaded { code, size: artefact.size(), used: AtomicU64::new(self.clock.fetch_add(1, Relaxed)) })
    }

    fn insert(&self, digest: &ModuleDigest, module: &Arc<Loaded>) {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(digest.clone(), module.clone());
        let mut bytes: u64 = loaded.values().map(|module| module.size).sum();
        while loaded.len() > self.config.loaded_modules.max(1) || bytes > self.config.loaded_bytes.0 {
            // One that runs is held by its calls: letting it go here would free nothing.
            let idle =
                loaded.iter().filter(|(name, module)| *name != digest && Arc::strong_count(module) == 1);
            let Some(oldest) = idle.min_by_key(|(_, module)| module.used.load(Relaxed)) else { break };
            let (oldest, size) = (oldest.0.clone(), oldest.1.size);
            loaded.remove(&oldest);
            bytes -= size;
        }
    }

    /// Forgets a module everywhere; calls that run keep theirs.
    pub(crate) async fn remove(&self, digest: &ModuleDigest) -> Result<bool, ModuleError> {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner).remove(digest);
        let (cache, kept) = (self.plain.cache.clone(), digest.clone());
        blocking(move || cache.forget(&kept)).await.map_err(ModuleError::io("clean the compile cache"))?;
        self.modules.remove(digest).await
    }
}

/// Removes what uploads and compiles left unfinished when an earlier host ended. Only one host has these folders, and
/// this one has begun nothing yet.
fn remove_drafts(dir: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(DRAFT.as_bytes()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

async fn find(side: &Side, digest: &ModuleDigest) -> Result<Option<Artefact>, ModuleError> {
    let (cache, digest) = (side.cache.clone(), digest.clone());
    blocking(move || cache.find(&digest)).await.map_err(ModuleError::io("read the compile cache"))
}

fn absolute(path: std::path::PathBuf) -> std::io::Result<std::path::PathBuf> {
    std::path::absolute(path)
}

/// wasmtime quotes the name of what is missing.
fn import(error: &wasmtime::Error) -> ModuleError {
    let text = format!("{error:#}");
    let name = text.split('`').nth(1).map_or_else(|| text.clone(), str::to_owned);
    ModuleError::Import(name)
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("machine", &self.plain.machine).finish_non_exhaustive()
    }
}
