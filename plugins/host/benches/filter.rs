//! What a filter costs: `cargo bench -p millstream-plugin-host`, after `scripts/build-guests`.
//!
//! One thread; the batches together are larger than the second-level cache. `bench/` measures plugins in topics.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float32Type;
use arrow_array::{Array as _, ArrayRef, BooleanArray, Float32Array, Float64Array};
use millstream_engine::{LoadedPlugin, Lsn, PluginHost as _, PluginId, PluginInfo, PluginLimits, ScalarFunction};
use millstream_plugin_host::{HostOptions, WasmHost};
use sha2::{Digest as _, Sha256};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BATCHES: usize = 64;
const RUN: Duration = Duration::from_secs(2);

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let host = WasmHost::new(HostOptions::new(dir.path()))?;
    let late = load(&host, 1, "late_departures", "")?;

    for rows in [1, 100, 1_024, 8_192, 65_536] {
        let batches: Vec<ArrayRef> = (0..BATCHES).map(|i| column(i, rows)).collect();
        let wasm = per_batch(&batches, |batch| Ok(late.call(std::slice::from_ref(batch), rows)?))?;
        let native = per_batch(&batches, |batch| Ok(Arc::new(plain_loop(batch)) as ArrayRef))?;
        let copies = per_batch(&batches, copy_twice)?;
        eprintln!(
            "{rows:>6} rows: wasm {wasm:>10.2?} a call, {:>6.1} M rows/s; plain loop {native:>9.2?}; two copies {copies:>9.2?}",
            rows as f64 / wasm.as_secs_f64() / 1e6
        );
    }
    starting(&host)
}

/// A trapping guest is thrown away at each call, so a call is an instantiation, an `open`, a trap, and little else.
fn starting(host: &WasmHost) -> Outcome<()> {
    let start = Instant::now();
    let traps = load(host, 2, "traps", "1")?;
    eprintln!("loaded for the first time, compiled: {:.1?}", start.elapsed());
    let start = Instant::now();
    let _again = load(host, 3, "traps", "1")?;
    eprintln!("loaded again, from the cache: {:.1?}", start.elapsed());
    let values: ArrayRef = Arc::new(Float64Array::from(vec![0.0; 8]));
    let (mut calls, start) = (0, Instant::now());
    while start.elapsed() < RUN {
        let answer = traps.call(std::slice::from_ref(&values), 8);
        assert!(answer.is_err(), "the guest must trap");
        calls += 1;
    }
    eprintln!("instance started, opened, called, trapped and dropped: {:.1?}", start.elapsed() / calls);
    Ok(())
}

fn load(host: &WasmHost, id: u64, name: &str, config: &str) -> Outcome<Arc<dyn ScalarFunction>> {
    let binary = env::current_exe()?;
    let target = binary.ancestors().nth(3).ok_or("a benchmark lies under the target directory")?;
    let guests = env::var_os("MILLSTREAM_GUESTS_DIR").map_or_else(|| target.join("guests"), Into::into);
    let path = guests.join(name).with_extension("wasm");
    let module = fs::read(&path).map_err(|e| format!("{}: {e}; run scripts/build-guests", path.display()))?;
    let limits = PluginLimits::default();
    let info = PluginInfo {
        id: PluginId(id),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        version: 1,
        sha256: Sha256::digest(&module).iter().map(|byte| format!("{byte:02x}")).collect(),
        module_bytes: module.len() as u64,
        description: host.inspect(&module, &limits)?,
        limits,
        config: config.to_owned(),
        grants: Default::default(),
        created: Lsn(0),
    };
    match host.load(&info, &module)? {
        LoadedPlugin::Function(function) => Ok(function),
        other => Err(format!("{other:?} is no filter").into()),
    }
}

/// One value in 30 is null, and one in 13 is kept.
fn column(seed: usize, rows: usize) -> ArrayRef {
    let value = |i: usize| (i % 30 != 7).then_some(((i + seed) % 780) as f32 / 12.0);
    Arc::new((0..rows).map(value).collect::<Float32Array>())
}

fn plain_loop(batch: &ArrayRef) -> BooleanArray {
    let values = batch.as_primitive::<Float32Type>();
    BooleanArray::new(
        arrow_buffer::BooleanBuffer::collect_bool(values.len(), |i| values.values()[i] > 60.0),
        values.nulls().cloned(),
    )
}

/// What no way of sending a batch that copies it twice can be faster than.
fn copy_twice(batch: &ArrayRef) -> Outcome<ArrayRef> {
    let bytes = batch.as_primitive::<Float32Type>().values().inner().as_slice();
    let first = black_box(bytes.to_vec());
    black_box(first.clone());
    Ok(batch.clone())
}

fn per_batch(batches: &[ArrayRef], mut run: impl FnMut(&ArrayRef) -> Outcome<ArrayRef>) -> Outcome<Duration> {
    let (mut calls, start) = (0, Instant::now());
    while start.elapsed() < RUN {
        for batch in batches {
            black_box(run(batch)?);
        }
        calls += batches.len();
    }
    Ok(start.elapsed() / u32::try_from(calls)?)
}
