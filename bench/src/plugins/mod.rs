//! Plugins: what a call costs beside doing without one, in every language; a consumer; a checkback handler; starting; a neighbour that spins;
//! building.

pub(crate) mod builds;
pub(crate) mod calls;
pub(crate) mod checkback;
pub(crate) mod consumer;
pub(crate) mod languages;
pub(crate) mod neighbour;
pub(crate) mod starts;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::ArrayRef;
use millstream_engine::{LoadedPlugin, MemoryTables, PluginLimits, PluginSettings, ScalarFunction};
use millstream_plugin_host::{HostOptions, WasmHost};

use crate::{Result, report, store};

/// A host over a directory for compiled code.
fn host(cache: &Path) -> Result<Arc<WasmHost>> {
    Ok(WasmHost::new(HostOptions::new(cache))?)
}

/// The component of a guest that `scripts/build-guests` has built.
fn module(name: &str) -> Result<Vec<u8>> {
    Ok(std::fs::read(store::guest(name)?)?)
}

/// Loads a filter or a function under default limits.
fn load(host: &WasmHost, module: &[u8], config: &str) -> Result<Arc<dyn ScalarFunction>> {
    let settings =
        PluginSettings { limits: PluginLimits::default(), config: config.to_owned(), ..PluginSettings::default() };
    match host.load_alone(module, &settings, Arc::new(MemoryTables::default()))? {
        LoadedPlugin::Function(function) => Ok(function),
        other => Err(format!("{other:?} is neither a filter nor a function").into()),
    }
}

/// Median seconds of one run over one item, in five rounds of `time` each; a first round is not counted.
fn per_item<T>(items: &[T], time: Duration, mut run: impl FnMut(&T) -> Result<ArrayRef>) -> Result<f64> {
    let mut round = || -> Result<f64> {
        let (mut runs, start) = (0_usize, Instant::now());
        while start.elapsed() < time {
            for item in items {
                black_box(run(item)?);
            }
            runs += items.len();
        }
        Ok(start.elapsed().as_secs_f64() / runs as f64)
    };
    round()?;
    Ok(report::median((0..5).map(|_| round()).collect::<Result<Vec<_>>>()?))
}
