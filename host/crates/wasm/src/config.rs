//! What the operator decides about wasm on this machine.

use std::path::PathBuf;
use std::time::Duration;

use wicket_config::ByteSize;

/// Settings of the executor. [`WasmConfig::new`] has good ones for an edge box.
#[derive(Clone)]
pub struct WasmConfig {
    /// Where uploaded modules are kept, one file for each digest.
    pub modules_dir: PathBuf,
    /// Where compiled modules are kept; made with mode 0700.
    pub cache_dir: PathBuf,
    /// Signs the compiled modules: a file that this host did not write is never loaded.
    pub cache_key: [u8; 32],
    /// The program that compiles, as a child process; it calls [`crate::compile_child`].
    pub compiler: Compiler,
    /// Instances at once, over all services.
    pub max_instances: u32,
    /// Most linear memory that one memory of one instance may have, whatever its service says.
    pub max_memory: ByteSize,
    /// How long a call waits for one of `max_instances` to be free.
    pub queue_wait: Duration,
    /// Instances kept for another request, over all services that have `instance_reuse`.
    pub idle_instances: usize,
    /// Linear memory of all instances kept.
    pub idle_memory: ByteSize,
    /// How long an instance is kept; 0 keeps none.
    pub idle_time: Duration,
    /// Compiled modules kept loaded while they are idle.
    pub loaded_modules: usize,
    /// Bytes of compiled modules kept loaded while they are idle.
    pub loaded_bytes: ByteSize,
    /// Address space of a compile.
    pub compile_memory: ByteSize,
    /// CPU time of a compile; it may take twice as long by the clock.
    pub compile_time: Duration,
    /// Largest module that is compiled.
    pub max_module: ByteSize,
}

/// How a compile child is started.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

impl WasmConfig {
    /// Settings for an edge box; the compiler is this very program with the argument `compile-child`.
    pub fn new(modules_dir: PathBuf, cache_dir: PathBuf, cache_key: [u8; 32]) -> Self {
        Self {
            modules_dir,
            cache_dir,
            cache_key,
            // The running file, even when an upgrade has replaced it on disk.
            compiler: Compiler { program: "/proc/self/exe".into(), args: vec!["compile-child".into()] },
            max_instances: 1000,
            max_memory: ByteSize::mib(4096),
            queue_wait: Duration::from_secs(5),
            idle_instances: 128,
            idle_memory: ByteSize::mib(256),
            idle_time: Duration::from_secs(5),
            loaded_modules: 256,
            loaded_bytes: ByteSize::mib(512),
            compile_memory: ByteSize::mib(6144),
            compile_time: Duration::from_secs(120),
            max_module: ByteSize::mib(256),
        }
    }
}

impl std::fmt::Debug for WasmConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmConfig")
            .field("modules_dir", &self.modules_dir)
            .field("cache_dir", &self.cache_dir)
            .field("compiler", &self.compiler)
            .field("max_instances", &self.max_instances)
            .field("max_memory", &self.max_memory)
            .finish_non_exhaustive()
    }
}
