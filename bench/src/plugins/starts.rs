//! Instances, the first call after a restart, and a thousand plugins at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float32Array, Float64Array};

use crate::report::{Figure, median};
use crate::{Result, Scale, process};

const ROUNDS: usize = 5;

/// Figures `plugin_instance`, `plugin_first_call_*`, `plugin_thousand_loaded`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let (compiled, cached) = first_calls()?;
    Ok(vec![
        instance(scale.pick(Duration::from_millis(100), Duration::from_secs(2)))?,
        Figure::reported(
            "plugin_first_call_compiled",
            compiled * 1e3,
            "ms",
            "host opened, Rust filter loaded and called once; nothing in the cache",
        ),
        Figure::reported("plugin_first_call_cached", cached * 1e3, "ms", "the same, from the cache of compiled code")
            .beside(compiled * 1e3),
        thousand(scale.pick(50, 1_000))?,
    ])
}

/// The guest traps on the second call of each instance, which is then repeated on a fresh one: each call of ours is one that
/// traps, an instance dropped and another started and opened, and one that is answered.
fn instance(time: Duration) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let host = super::host(dir.path())?;
    let traps = super::load(&host, &super::module("traps")?, "2")?;
    let values: ArrayRef = Arc::new(Float64Array::from(vec![0.0; 8]));
    let (mut calls, start) = (0_u32, Instant::now());
    while start.elapsed() < time {
        traps.call(std::slice::from_ref(&values), 8)?;
        calls += 1;
    }
    let started = host.figures().instances_started;
    if started < u64::from(calls) {
        return Err(format!("{calls} calls started {started} instances").into());
    }
    let micros = start.elapsed().as_secs_f64() / f64::from(calls) * 1e6;
    Ok(Figure::reported(
        "plugin_instance",
        micros,
        "µs",
        "a Rust guest called, trapped and dropped, another started, opened and called",
    ))
}

/// Median seconds from opening the host to the first answer, without and with compiled code in the cache.
fn first_calls() -> Result<(f64, f64)> {
    let module = super::module("late_departures")?;
    let delays: ArrayRef = Arc::new(Float32Array::from(vec![61.0; 100]));
    let (mut compiled, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir()?;
        for times in [&mut compiled, &mut cached] {
            let start = Instant::now();
            let late = super::load(&*super::host(dir.path())?, &module, "")?;
            late.call(std::slice::from_ref(&delays), 100)?;
            times.push(start.elapsed().as_secs_f64());
        }
    }
    Ok((median(compiled), median(cached)))
}

/// Each is another module, so that nothing is shared; each has an instance that waits for its next call.
fn thousand(count: u32) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let host = super::host(dir.path())?;
    let module = super::module("late_departures")?;
    let delays: ArrayRef = Arc::new(Float32Array::from(vec![61.0; 100]));
    let pid = std::process::id();
    let (before, start) = (process::proc_value(pid, "status", "RssAnon")?, Instant::now());
    let mut loaded = Vec::new();
    for number in 0..count {
        let late = super::load(&host, &numbered(&module, number), "")?;
        late.call(std::slice::from_ref(&delays), 100)?;
        loaded.push(late);
    }
    let (after, seconds) = (process::proc_value(pid, "status", "RssAnon")?, start.elapsed().as_secs_f64());
    let mib = after.saturating_sub(before) as f64 / f64::from(1 << 20);
    let note = format!("{count} different Rust filters, each compiled, opened and called: {seconds:.0} s");
    Ok(Figure::reported("plugin_thousand_loaded", mib, "MiB", note))
}

/// A module of the same code with another digest: a custom section holds the number.
fn numbered(module: &[u8], number: u32) -> Vec<u8> {
    let mut module = module.to_vec();
    module.extend([0, 6, 1, b'n']);
    module.extend(number.to_le_bytes());
    module
}
