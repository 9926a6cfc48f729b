//! The settings of wasmtime, and what one instance may take of its allocator.

use std::hash::{Hash, Hasher};

use millstream_engine::{Error, Result};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::modules::Parts;
use crate::tenants::UNITS;

/// Stack of compiled code, on the calling thread.
const STACK_BYTES: usize = 512 << 10;

/// Address space kept for each memory, so that compiled code needs no bounds checks.
const RESERVATION_BYTES: u64 = 4 << 30;

/// What one instance may consist of. Interpreters come as many modules over one memory: CPython with its libraries is 38.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 16;

pub(super) fn new_engine(max_instances: u32, max_memory_bytes: u64) -> Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        // On the thread that asks: what it takes is then that thread's time, and of one core.
        .parallel_compilation(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .memory_init_cow(true)
        .memory_reservation(RESERVATION_BYTES)
        .wasm_memory64(false)
        // wasmtime's own adapters between the parts of a component need it.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(max_instances)
        .total_core_instances(max_instances.saturating_mul(UNITS as u32))
        .total_memories(max_instances)
        .total_tables(max_instances.saturating_mul(UNITS as u32))
        .max_memories_per_component(MAX_MEMORIES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(usize::try_from(max_memory_bytes).unwrap_or(usize::MAX));
    let pooled = Engine::new(config.clone().allocation_strategy(InstanceAllocationStrategy::Pooling(pool)));
    // Where address space is limited, instances are slower to make but no less contained.
    let engine = pooled.or_else(|e| {
        tracing::warn!("plugin instances are not pooled: {e:#}");
        Engine::new(config.allocation_strategy(InstanceAllocationStrategy::OnDemand))
    });
    engine.map_err(|e| Error::Internal(format!("the Wasm engine does not start: {e:#}")))
}

/// All that compiled code depends on besides the module.
pub(super) fn settings_of(engine: &Engine) -> String {
    struct Collect(blake3::Hasher);
    impl Hasher for Collect {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut collect = Collect(blake3::Hasher::new());
    // wasmtime's version, the target and its features, and every setting of the compiler.
    engine.precompile_compatibility_hash().hash(&mut collect);
    collect.0.finalize().to_hex().to_string()
}

/// What an instance takes of the pool, by what is scarcest for it: all of it is shared out in the proportion of its totals.
pub(super) fn weight(component: &Component, parts: Parts) -> usize {
    let most = (MAX_MEMORIES as usize * UNITS, MAX_TABLES as usize);
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let (memories, tables) = component
        .resources_required()
        .map_or(most, |needs| (count(needs.num_memories) * UNITS, count(needs.num_tables)));
    let core =
        parts.core_instances.map_or(MAX_CORE_INSTANCES as usize, |found| count(found).min(MAX_CORE_INSTANCES as usize));
    UNITS.max(memories).max(tables).max(core)
}
