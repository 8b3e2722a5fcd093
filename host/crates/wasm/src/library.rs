//! Compiled modules in memory: loaded when first called, let go when idle and others need the room.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use wasmtime::InstancePre;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3::bindings::CommandPre as CommandPre03;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wicket_config::{ByteSize, ModuleDigest};
use wicket_core::chain;

use crate::cache::{Artefact, Cache};
use crate::compile::{Job, compile};
use crate::engine::{Machine, PoolInfo, compatibility};
use crate::files::{DRAFT, DigestFiles, blocking};
use crate::shapes::event::bindings::OfferPre;
use crate::state::State;
use crate::ticker::Ticker;
use crate::{FileError, ModuleError, ModuleInfo, Shape, Wasi, WasmConfig, WasmError, inspect, linker};

/// Compiles at once: each takes a core and up to gigabytes. What is compiled already never waits for one.
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

/// What loading a module takes to know of it.
#[derive(Clone, Copy)]
struct Kind {
    shape: Shape,
    wasi: Wasi,
    /// Whether its shape's interface is that of WASI 0.2.
    v02: bool,
}

impl Kind {
    fn of(info: &ModuleInfo) -> Self {
        let v02 = match info.shape {
            Shape::Http => info.exports("wasi:http/incoming-handler@0.2."),
            Shape::Command => info.exports("wasi:cli/run@0.2."),
            Shape::Preview1 | Shape::Event => false,
        };
        Self { shape: info.shape, wasi: info.wasi, v02 }
    }
}

/// An engine with its pool, and what guests link to on it. Starting one takes milliseconds and touches no file.
pub struct WasmEngine {
    machine: Machine,
    components: Linker<State>,
}

impl std::fmt::Debug for WasmEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmEngine").field("pool", &self.machine.pool).finish_non_exhaustive()
    }
}

impl WasmEngine {
    /// Starts the engine that most guests run on, with a pool of so many instances whose memories may have so much;
    /// both as [`WasmConfig`] has them.
    pub fn start(max_instances: u32, max_memory: ByteSize) -> Result<Self, WasmError> {
        Self::of(max_instances, max_memory, false)
    }

    fn of(max_instances: u32, max_memory: ByteSize, concurrent: bool) -> Result<Self, WasmError> {
        let machine = Machine::start(max_instances, max_memory, concurrent)?;
        let components = linker::component(&machine.engine).map_err(WasmError::Engine)?;
        Ok(Self { machine, components })
    }
}

/// An engine, and what was compiled for it.
struct Side {
    machine: Machine,
    components: Linker<State>,
    cache: Cache,
}

impl Side {
    fn new(engine: WasmEngine, config: &WasmConfig) -> Result<Self, WasmError> {
        let WasmEngine { machine, components } = engine;
        let folder = |source| WasmError::Folder { path: config.cache_dir.clone(), source };
        let cache = Cache::open(&config.cache_dir, config.cache_key, compatibility(&machine.engine));
        Ok(Self { machine, components, cache: cache.map_err(folder)? })
    }
}

/// All modules of this host, on disk, compiled, and loaded.
pub(crate) struct Library {
    pub(crate) modules: DigestFiles,
    pub(crate) ticker: Arc<Ticker>,
    plain: Arc<Side>,
    /// For guests of WASI 0.3; started with the first of them.
    concurrent: OnceLock<Arc<Side>>,
    config: WasmConfig,
    cores: Arc<wasmtime::Linker<State>>,
    /// Of modules that were loaded before: those that come back are not read and parsed again.
    kinds: Mutex<HashMap<ModuleDigest, Kind>>,
    loaded: RwLock<HashMap<ModuleDigest, Arc<Loaded>>>,
    /// One loader for each module at a time.
    loading: Mutex<HashMap<ModuleDigest, Weak<AsyncMutex<()>>>>,
    compiles: Semaphore,
    clock: AtomicU64,
}

impl Library {
    pub(crate) fn open(engine: WasmEngine, config: WasmConfig) -> Result<Self, WasmError> {
        let folder = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| WasmError::Folder { path, source }
        };
        std::fs::create_dir_all(&config.modules_dir).map_err(folder(&config.modules_dir))?;
        let plain = Side::new(engine, &config)?;
        for dir in [&config.modules_dir, &config.cache_dir] {
            remove_drafts(dir).map_err(folder(dir))?;
        }
        Ok(Self {
            cores: Arc::new(linker::module(&plain.machine.engine).map_err(WasmError::Engine)?),
            kinds: Mutex::default(),
            ticker: Arc::new(Ticker::start(plain.machine.engine.clone())?),
            modules: DigestFiles::modules(&config.modules_dir),
            plain: Arc::new(plain),
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
    fn side(&self, kind: Kind) -> Result<&Arc<Side>, ModuleError> {
        if kind.wasi != Wasi::V03 {
            return Ok(&self.plain);
        }
        if let Some(side) = self.concurrent.get() {
            return Ok(side);
        }
        let engine = WasmEngine::of(self.config.max_instances, self.config.max_memory, true);
        let started = engine.and_then(|engine| Side::new(engine, &self.config));
        let started = started.map_err(|error| ModuleError::Compile(chain(&error)))?;
        // Of two that start it at once, one throws its own away.
        let side = self.concurrent.get_or_init(|| Arc::new(started));
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

    /// Compiles a module and loads it, and says what it is.
    pub(crate) async fn prepare(&self, digest: &ModuleDigest) -> Result<ModuleInfo, ModuleError> {
        let info = self.inspect(digest).await?;
        self.get_as(digest, Some(Kind::of(&info))).await?;
        Ok(info)
    }

    /// The module, loaded; compiled before, if it must be.
    pub(crate) async fn get(&self, digest: &ModuleDigest) -> Result<Arc<Loaded>, ModuleError> {
        self.get_as(digest, None).await
    }

    async fn get_as(&self, digest: &ModuleDigest, kind: Option<Kind>) -> Result<Arc<Loaded>, ModuleError> {
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
        let kind = match kind.or_else(|| self.kinds().get(digest).copied()) {
            Some(kind) => kind,
            None => Kind::of(&self.inspect(digest).await?),
        };
        let side = self.side(kind)?;
        let artefact = match find(side, digest).await? {
            Some(artefact) => artefact,
            None => self.compile(side, digest, kind.shape).await?,
        };
        let (side, cores, size) = (side.clone(), self.cores.clone(), artefact.size());
        let code = blocking(move || Ok(load(&side, &cores, kind, &artefact)));
        let code = code.await.map_err(ModuleError::io(format!("load the module {digest}")))??;
        let used = AtomicU64::new(self.clock.fetch_add(1, Relaxed));
        let module = Arc::new(Loaded { code, size, used });
        self.insert(digest, &module);
        // Only now: a file that was altered meanwhile would be no such module.
        self.kinds().insert(digest.clone(), kind);
        Ok(module)
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<ModuleDigest, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a stored module is.
    pub(crate) async fn inspect(&self, digest: &ModuleDigest) -> Result<ModuleInfo, ModuleError> {
        let (path, most) = (self.modules.path(digest.as_str()), self.config.max_module);
        let read = blocking(move || {
            if std::fs::metadata(&path)?.len() > most.0 {
                return Ok(None);
            }
            std::fs::read(path).map(|wasm| Some(inspect(&wasm)))
        })
        .await;
        match read {
            Ok(Some(info)) => info,
            Ok(None) => Err(FileError::TooLarge { what: "module", limit: most }.into()),
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
        shape: Shape,
    ) -> Result<Artefact, ModuleError> {
        let _turn = self.compiles.acquire().await.expect("the semaphore is never closed");
        let began = std::time::Instant::now();
        self.modules.check(digest.as_str()).await?;
        let cache = side.cache.clone();
        let write = || ModuleError::io("write the compile cache");
        let draft = blocking(move || cache.draft()).await.map_err(write())?;
        let job = Job {
            tuning: side.machine.tuning,
            wasm: absolute(self.modules.path(digest.as_str())).map_err(write())?,
            artefact: absolute(draft.to_path_buf()).map_err(write())?,
            memory: self.config.compile_memory.0,
            cpu_seconds: self.config.compile_time.as_secs().max(1),
            component: shape != Shape::Preview1,
        };
        compile(&self.config.compiler, &job).await?;
        let (cache, kept) = (side.cache.clone(), digest.clone());
        let artefact = blocking(move || cache.keep(&kept, draft)).await.map_err(write())?;
        tracing::info!(%digest, shape = %shape, took = ?began.elapsed(), "module compiled");
        Ok(artefact)
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
        self.kinds().remove(digest);
        let (cache, kept) = (self.plain.cache.clone(), digest.clone());
        blocking(move || cache.forget(&kept)).await.map_err(ModuleError::io("clean the compile cache"))?;
        Ok(self.modules.remove(digest.as_str()).await?)
    }
}

/// Removes what uploads and compiles left unfinished when an earlier host ended. Only one host has these folders, and
/// this one has begun nothing yet.
pub(crate) fn remove_drafts(dir: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(DRAFT.as_bytes()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes code of an artefact: hundreds of milliseconds for a large one, so not where calls are polled.
fn load(
    side: &Side,
    cores: &wasmtime::Linker<State>,
    kind: Kind,
    artefact: &Artefact,
) -> Result<Code, ModuleError> {
    let engine = &side.machine.engine;
    let broken = |error: wasmtime::Error| ModuleError::Compile(format!("{error:#}"));
    if kind.shape == Shape::Preview1 {
        let module = artefact.module(engine).map_err(broken)?;
        return Ok(Code::Preview1(cores.instantiate_pre(&module).map_err(|error| import(&error))?));
    }
    let component = artefact.component(engine).map_err(broken)?;
    let pre = side.components.instantiate_pre(&component).map_err(|error| import(&error))?;
    let code = match (kind.shape, kind.v02) {
        (Shape::Http, true) => ProxyPre::new(pre).map(Code::Http),
        (Shape::Http, false) => ServicePre::new(pre).map(Code::Http03),
        (Shape::Command, false) => CommandPre03::new(pre).map(Code::Command03),
        (Shape::Command | Shape::Preview1, _) => CommandPre::new(pre).map(Code::Command),
        (Shape::Event, _) => OfferPre::new(pre).map(Code::Event),
    };
    code.map_err(|error| ModuleError::NoShape(format!("{error:#}")))
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
