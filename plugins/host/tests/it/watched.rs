//! Figures, log lines and suspensions of plugins.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use millstream_engine::{
    CallUse, FailureKind, PluginCalls, PluginHost as _, PluginId, PluginLimits, PluginSuspension, ScalarFunction,
};

use crate::harness::{TestHost, assert_failure, describe, failure, function, guest, no_tables, tight, values};

/// A plugin with its id, so that it can be asked after.
fn load(host: &TestHost, name: &str, config: &str, limits: &PluginLimits) -> (PluginId, Arc<dyn ScalarFunction>) {
    let module = guest(name);
    let info = describe(&host.host, &module, config, limits).unwrap_or_else(|e| panic!("{name}: {e}"));
    let loaded = host.host.load(&info, &module, no_tables()).unwrap_or_else(|e| panic!("{name}: {e}"));
    (info.id, function(loaded))
}

fn calls(host: &TestHost, plugin: PluginId) -> PluginCalls {
    host.host.calls().into_iter().find(|calls| calls.plugin == plugin).expect("the plugin was loaded")
}

fn failures(calls: &PluginCalls, kind: FailureKind) -> u64 {
    let at = FailureKind::ALL.iter().position(|other| *other == kind).expect("a kind");
    calls.figures.failures[at]
}

#[test]
fn calls_are_counted_with_their_rows_bytes_time_and_memory() {
    let host = TestHost::new();
    let (id, traps) = load(&host, "traps", "1000000", &PluginLimits::default());
    for _ in 0..10 {
        traps.call(&values(1_000), 1_000).expect("an answer");
    }
    let PluginCalls { figures, uses, instances, instances_started, waiting, .. } = calls(&host, id);
    let seen = &figures;
    assert_eq!((seen.calls, seen.rows_in, seen.rows_out, seen.bytes_out), (10, 10_000, 10_000, 10 * 125));
    assert!(seen.bytes_in > 10 * 8_000, "{seen:?}");
    assert!(seen.memory_peak_bytes > 0 && seen.memory_peak_bytes <= PluginLimits::default().memory_bytes);
    assert_eq!((instances, instances_started, waiting), (1, 1, 0));
    assert_eq!(seen.times.buckets.iter().sum::<u64>(), 10);
    let [used] = uses.as_slice() else { panic!("one use, not {uses:?}") };
    assert_eq!((&used.of, &used.figures), (&CallUse::Query, seen));
    assert!(seen.queued_max_us <= seen.queued_us && seen.cpu_us > 0, "{seen:?}");
    assert_eq!((seen.throttled, seen.throttled_us), (0, 0));
    let (p50, p99) = (seen.times.quantile_us(0.5), seen.times.quantile_us(0.99));
    assert!(p50 <= p99 && p99 <= seen.times.max_us && seen.times.max_us <= seen.times.sum_us, "{seen:?}");
    drop(traps);
    assert_eq!(calls(&host, id).instances, 0, "its instances went with its last user");
}

#[test]
fn failures_are_counted_by_kind() {
    let host = TestHost::new();
    let (picky, data) = load(&host, "traps", "data", &tight());
    let (spins, slow) = load(&host, "spins", "", &tight());
    failure(&data, &values(8), 8);
    failure(&slow, &values(8), 8);
    assert_eq!(failures(&calls(&host, picky), FailureKind::Data), 1);
    let slow = calls(&host, spins);
    assert_eq!((slow.figures.calls, failures(&slow, FailureKind::Timeout), slow.instances_discarded), (1, 1, 1));
    assert!(slow.figures.times.max_us >= 95_000, "{slow:?}");
}

#[test]
fn a_plugin_that_only_fails_is_suspended_until_it_is_resumed_and_others_are_not() {
    let host = TestHost::new();
    let (id, broken) = load(&host, "traps", "1", &tight());
    let (_, sound) = load(&host, "traps", "1000000", &tight());
    let error = (0..100).map(|_| failure(&broken, &values(8), 8)).find(|error| error.kind == FailureKind::Host);
    let error = error.expect("it is suspended in the end");
    assert!(error.message.contains("is suspended: 64 calls in a row failed"), "{error}");
    assert!(error.message.contains("ALTER PLUGIN traps RESUME"), "{error}");
    let seen = calls(&host, id);
    assert_eq!((seen.figures.calls, failures(&seen, FailureKind::Trap)), (64, 64));
    assert!(seen.suspended.is_some_and(|why| why.since_us > 0 && why.reason.contains("the call has come")));
    assert_eq!(sound.call(&values(9), 9).expect("an answer").as_boolean().true_count(), 9);
    assert!(host.host.resume(id) && !host.host.resume(id));
    assert_failure(&failure(&broken, &values(8), 8), FailureKind::Trap, "filter trapped");
    assert!(calls(&host, id).suspended.is_none());
}

#[test]
fn a_plugin_that_was_suspended_before_stays_so_until_it_is_resumed() {
    let host = TestHost::new();
    let module = guest("traps");
    let mut info = describe(&host.host, &module, "1000000", &tight()).expect("it is described");
    info.suspended = Some(PluginSuspension { since_us: 7, reason: "it was no good".to_owned() });
    let sound = function(host.host.load(&info, &module, no_tables()).expect("it is loaded"));
    let error = failure(&sound, &values(8), 8);
    assert_eq!(error.kind, FailureKind::Host);
    assert!(error.message.contains("version 1 is suspended: it was no good"), "{error}");
    assert_eq!(host.host.suspensions(), [(info.id, info.suspended.clone().expect("a reason"))]);
    assert!(host.host.resume(info.id));
    assert_eq!(sound.call(&values(9), 9).expect("an answer").as_boolean().true_count(), 9);
    assert!(host.host.suspensions().is_empty());
}

#[test]
fn a_suspended_plugin_is_not_called() {
    let host = TestHost::new();
    let (id, spins) = load(&host, "spins", "", &PluginLimits { call_timeout_ms: 10, ..tight() });
    while failure(&spins, &values(8), 8).kind != FailureKind::Host {}
    // It would spin if it were called, and time out.
    let before = calls(&host, id);
    for _ in 0..1_000 {
        assert_eq!(failure(&spins, &values(8), 8).kind, FailureKind::Host);
    }
    let after = calls(&host, id);
    assert_eq!(failures(&after, FailureKind::Timeout), failures(&before, FailureKind::Timeout));
    assert_eq!((after.instances_started, after.figures.cpu_us), (before.instances_started, before.figures.cpu_us));
}

#[test]
fn what_a_guest_says_is_kept_and_bounded() {
    let host = TestHost::new();
    let (_, traps) = load(&host, "traps", "1", &tight());
    failure(&traps, &values(8), 8);
    let lines = host.host.log_lines();
    let line = lines.last().expect("a line");
    assert_eq!((line.plugin.as_str(), line.version, line.level), ("traps", 1, "error"));
    assert!(line.line.contains("the call has come in which I trap"), "{line:?}");
    assert!(line.place.is_none(), "no topic was evaluated");
    assert!(!host.host.resume(PluginId(u64::MAX)));
}
