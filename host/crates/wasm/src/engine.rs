//! The one engine: what guests may use of WebAssembly, and the pool their instances come from.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
};

use wicket_config::ByteSize;

use crate::WasmError;

/// Wasm's stack; deeper recursion is the stack limit.
const WASM_STACK: usize = 512 << 10;
/// A fiber's stack: wasm's, and room for host calls on top.
const FIBER_STACK: usize = 2 << 20;
/// Bytes of a freed memory that are wiped in place instead of being given back: what a small guest touches.
const KEEP_MEMORY: usize = 1 << 20;
/// As above, for tables.
const KEEP_TABLE: usize = 64 << 10;
/// As above, for stacks.
const KEEP_STACK: usize = 64 << 10;
/// Elements that a table slot of the pool has room for.
const TABLE_ROOM: usize = 100_000;

/// Settings that the compiled code depends on: parent and compile child must agree on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Tuning {
    /// Address space behind each memory, bytes.
    pub(crate) reservation: u64,
    /// Unmapped bytes behind that.
    pub(crate) guard: u64,
    /// Whether guests may run several tasks in one store, as WASI 0.3 needs it. Its bookkeeping costs every call, so
    /// guests of WASI 0.2 run on an engine without it.
    pub(crate) concurrent: bool,
}

/// Where instances come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolInfo {
    /// Slots of the pooling allocator; 0: instances are allocated on demand, which is slower.
    pub instances: u32,
    /// Address space reserved behind each memory.
    pub reservation: u64,
    /// Whether the kernel tells which pages a guest touched, so that only those are reset.
    pub pagemap_scan: bool,
    /// Why it is not the pool that was asked for.
    pub fallback: Option<String>,
}

/// An engine, its tuning and its pool.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    pub(crate) tuning: Tuning,
    pub(crate) pool: PoolInfo,
}

const FULL: Tuning = Tuning { reservation: 4 << 30, guard: 32 << 20, concurrent: false };
const SMALL: Tuning = Tuning { reservation: 256 << 20, guard: 64 << 10, concurrent: false };

/// What every engine here agrees on.
pub(crate) fn base(tuning: Tuning) -> Config {
    let mut config = Config::new();
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true);
    config.wasm_component_model(true);
    config.wasm_component_model_async(tuning.concurrent);
    config.concurrency_support(tuning.concurrent);
    config.wasm_threads(false);
    config.shared_memory(false);
    config.wasm_memory64(false);
    config.wasm_gc(false);
    // An exception lives in a heap of the garbage collector.
    config.wasm_exceptions(false);
    config.max_wasm_stack(WASM_STACK);
    config.async_stack_size(FIBER_STACK);
    config.memory_reservation(tuning.reservation);
    config.memory_guard_size(tuning.guard);
    config.memory_init_cow(true);
    config
}

/// A name for everything the compiled code depends on.
pub(crate) fn compatibility(engine: &Engine) -> String {
    #[expect(deprecated, reason = "the hasher is part of no format: it only has to repeat within one build")]
    let mut hasher = std::hash::SipHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

impl Machine {
    /// The largest pool this machine has the address space for, else instances on demand.
    pub(crate) fn start(
        max_instances: u32,
        max_memory: ByteSize,
        concurrent: bool,
    ) -> Result<Self, WasmError> {
        let mut why = None;
        let wanted = max_instances.max(1);
        for (instances, tuning) in
            [(wanted, FULL), (wanted.min(100), FULL), (wanted.min(100), SMALL), (wanted.min(16), SMALL)]
        {
            let tuning = Tuning { concurrent, ..tuning };
            let (settings, pagemap_scan) = pooled(instances, tuning, max_memory);
            match Engine::new(&settings) {
                Ok(engine) => {
                    let pool =
                        PoolInfo { instances, reservation: tuning.reservation, pagemap_scan, fallback: why };
                    return Ok(Self { engine, tuning, pool });
                }
                Err(error) => {
                    let said = format!("a pool of {instances} instances was refused: {error:#}");
                    tracing::warn!(instances, error = %format!("{error:#}"), "pooling allocator refused");
                    why.get_or_insert(said);
                }
            }
        }
        let tuning = Tuning { concurrent, ..SMALL };
        let engine = Engine::new(&base(tuning)).map_err(WasmError::Engine)?;
        let pool =
            PoolInfo { instances: 0, reservation: tuning.reservation, pagemap_scan: false, fallback: why };
        Ok(Self { engine, tuning, pool })
    }
}

fn pooled(instances: u32, tuning: Tuning, max_memory: ByteSize) -> (Config, bool) {
    let mut pool = PoolingAllocationConfig::new();
    // A component is made of several core instances, and some bring several tables.
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(6))
        .total_memories(instances.saturating_add(instances / 4).saturating_add(8))
        .total_tables(instances.saturating_mul(4))
        // Every task that waits inside of a concurrent guest holds one.
        .total_stacks(instances.saturating_mul(if tuning.concurrent { 4 } else { 1 }).saturating_add(16))
        .total_gc_heaps(0)
        .max_memories_per_component(16)
        .max_tables_per_component(64)
        .max_core_instances_per_component(64)
        .max_memories_per_module(4)
        .max_tables_per_module(8)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(TABLE_ROOM)
        .max_memory_size(max_memory.as_usize().min(usize::try_from(tuning.reservation).unwrap_or(usize::MAX)))
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .async_stack_keep_resident(KEEP_STACK)
        .max_unused_warm_slots(instances.min(100));
    let pagemap_scan = PoolingAllocationConfig::is_pagemap_scan_available();
    if pagemap_scan {
        pool.pagemap_scan(Enabled::Yes);
    }
    let mut settings = base(tuning);
    settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    (settings, pagemap_scan)
}
