//! What plugins, and all plugins of a namespace, may have together, and that neighbours do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray as _;
use millstream_engine::{
    FailureKind, NamespaceLimit, NamespaceLimits, NamespaceUsage, PluginCalls, PluginHost as _, PluginId, PluginLimits,
    ScalarFunction,
};

use super::filters::Core;
use crate::harness::{TestHost, assert_failure, describe, failure, function, guest, no_tables, tight, values};

const LOGGING: &str = r#"(import "millstream:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))"#;

/// Counts for some ms, then answers.
fn slow() -> Vec<u8> {
    let filter = "(local i32) (loop $more
        (br_if $more (i32.ne (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 20000000))))
      i32.const 96";
    Core { filter, ..Core::default() }.component()
}

/// Logs ten lines a call.
fn chatty() -> Vec<u8> {
    let filter = "(local i32) (loop $more
        (call $log (i32.const 2) (i32.const 16) (i32.const 4))
        (br_if $more (i32.ne (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 10))))
      i32.const 96";
    Core { import: LOGGING, filter, ..Core::default() }.component()
}

pub(super) fn load(
    host: &TestHost,
    namespace: &str,
    module: &[u8],
    limits: &PluginLimits,
) -> (PluginId, Arc<dyn ScalarFunction>) {
    let mut info = describe(&host.host, module, "", limits).unwrap_or_else(|e| panic!("{e}"));
    info.namespace = namespace.to_owned();
    (info.id, function(host.host.load(&info, module, no_tables()).unwrap_or_else(|e| panic!("{e}"))))
}

fn limit(host: &TestHost, namespace: &str, limits: &[(NamespaceLimit, u64)]) {
    let mut all = NamespaceLimits::default();
    limits.iter().for_each(|(limit, value)| all.set(*limit, Some(*value)));
    host.host.limit_namespace(namespace, &all);
}

pub(super) fn usage(host: &TestHost, namespace: &str) -> NamespaceUsage {
    let all = host.host.namespace_usage();
    all.into_iter().find(|usage| usage.namespace == namespace).expect("a namespace that the host knows")
}

pub(super) fn calls(host: &TestHost, plugin: PluginId) -> PluginCalls {
    host.host.calls().into_iter().find(|calls| calls.plugin == plugin).expect("the plugin was loaded")
}

fn patient() -> PluginLimits {
    PluginLimits { call_timeout_ms: 10_000, concurrency: 4, ..tight() }
}

/// Calls without arguments until the time is over; gives how many were answered.
fn busy(filter: &Arc<dyn ScalarFunction>, time: Duration) -> usize {
    let began = Instant::now();
    let mut answered = 0;
    while began.elapsed() < time {
        filter.call(&[], 8).expect("an answer");
        answered += 1;
    }
    answered
}

#[test]
fn a_plugin_over_its_share_waits_and_fails_nothing() {
    let host = TestHost::new();
    let limits = PluginLimits { cpu_milli: Some(100), ..patient() };
    let (id, throttled) = load(&host, "public", &slow(), &limits);
    assert!(throttled.throttled().is_none(), "it has a burst");
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| busy(&throttled, Duration::from_millis(2_000)));
        }
    });
    let seen = calls(&host, id).figures;
    let elapsed_us = began.elapsed().as_micros() as u64;
    assert_eq!(seen.failed(), 0, "{seen:?}");
    assert!(seen.throttled > 0 && seen.throttled_us > 200_000, "{seen:?}");
    // The burst, and the calls that were under way when the share was used up.
    let allowed = elapsed_us / 10 + 100_000 + 4 * seen.times.max_us;
    assert!(seen.cpu_us <= allowed, "{} µs of {allowed} in {elapsed_us}", seen.cpu_us);
    let wait = (0..1_000).find_map(|_| {
        throttled.call(&[], 8).expect("an answer");
        throttled.throttled()
    });
    assert!(wait.is_some_and(|wait| wait < Duration::from_secs(20)), "{wait:?}");
}

#[test]
fn a_namespace_over_its_share_is_not_noticed_by_its_neighbour() {
    let host = TestHost::new();
    limit(&host, "noisy", &[(NamespaceLimit::PluginCpu, 100)]);
    let (_, first) = load(&host, "noisy", &slow(), &patient());
    let (_, second) = load(&host, "noisy", &slow(), &patient());
    let (id, quiet) = load(&host, "quiet", &Core::default().component(), &tight());
    let (noisy_calls, quiet_calls) = thread::scope(|scope| {
        let noisy = [&first, &second].map(|filter| scope.spawn(|| busy(filter, Duration::from_millis(1_500))));
        let quiet = busy(&quiet, Duration::from_millis(1_500));
        (noisy.map(|calls| calls.join().expect("it ends")).iter().sum::<usize>(), quiet)
    });
    let (noisy, seen) = (usage(&host, "noisy"), calls(&host, id).figures);
    assert!(noisy.throttled > 0 && noisy.throttled_us > 100_000, "{noisy:?}");
    assert!(noisy_calls > 1, "they go on, if slowly");
    // Every call of it is thousands of times as short.
    assert!(quiet_calls > 10 * noisy_calls && quiet_calls > 100, "{quiet_calls} calls beside {noisy_calls}");
    assert_eq!((seen.throttled, usage(&host, "quiet").throttled), (0, 0));
    assert!(quiet.throttled().is_none() && noisy.cpu_us > 0);
}

#[test]
fn the_share_is_raised_at_once() {
    let host = TestHost::new();
    limit(&host, "public", &[(NamespaceLimit::PluginCpu, 10)]);
    let (_, filter) = load(&host, "public", &slow(), &patient());
    while filter.throttled().is_none() {
        filter.call(&[], 8).expect("an answer");
    }
    assert!(filter.throttled().is_some());
    limit(&host, "public", &[]);
    assert!(filter.throttled().is_none());
    filter.call(&[], 8).expect("an answer");
}

#[test]
fn what_a_namespace_answers_is_bounded_by_the_second() {
    let host = TestHost::new();
    limit(&host, "public", &[(NamespaceLimit::PluginOutputRate, 1_024)]);
    let sound = guest("traps");
    let mut info = describe(&host.host, &sound, "1000000", &tight()).expect("it is described");
    info.namespace = "public".to_owned();
    let filter = function(host.host.load(&info, &sound, no_tables()).expect("it is loaded"));
    // 8,192 rows are answered with 1,024 bytes.
    for _ in 0..2 {
        filter.call(&values(8_192), 8_192).expect("an answer");
    }
    let left = filter.throttled().expect("it is over its rate");
    assert!(left > Duration::from_millis(500) && left <= Duration::from_millis(1_100), "{left:?}");
    assert_eq!(usage(&host, "public").output_bytes, 2_048);
}

#[test]
fn memory_of_a_namespace_is_bounded_and_no_row_is_at_fault() {
    let host = TestHost::new();
    let most = 24 << 20;
    limit(&host, "a", &[(NamespaceLimit::PluginMemory, most)]);
    let limits = PluginLimits { memory_bytes: 64 << 20, call_timeout_ms: 20_000, ..tight() };
    let (id, first) = load(&host, "a", &guest("eats-memory"), &limits);
    let (_, second) = load(&host, "a", &guest("eats-memory"), &limits);
    let (_, neighbour) = load(&host, "b", &guest("eats-memory"), &limits);
    thread::scope(|scope| {
        for filter in [&first, &second] {
            scope.spawn(|| {
                for _ in 0..3 {
                    let error = failure(filter, &values(8), 8);
                    assert_failure(&error, FailureKind::Host, "of its plugin_memory");
                }
            });
        }
        let highest = AtomicUsize::new(0);
        let neighbour = scope.spawn(|| failure(&neighbour, &values(8), 8));
        while !neighbour.is_finished() {
            highest.fetch_max(usage(&host, "a").memory_bytes as usize, Ordering::Relaxed);
        }
        assert_failure(&neighbour.join().expect("a failure"), FailureKind::Memory, "memory limit of 67108864 bytes");
        assert!(highest.into_inner() as u64 <= most);
    });
    assert!(usage(&host, "a").memory_refusals >= 6);
    let seen = calls(&host, id);
    assert!(seen.suspended.is_none() && seen.figures.memory_peak_bytes <= most, "{seen:?}");
    drop((first, second));
    assert_eq!(usage(&host, "a").memory_bytes, 0, "what instances had was given back");
}

#[test]
fn idle_instances_of_a_namespace_give_their_memory_to_others_of_it() {
    let host = TestHost::new();
    limit(&host, "a", &[(NamespaceLimit::PluginMemory, 16 << 20)]);
    let limits = PluginLimits { memory_bytes: 14 << 20, call_timeout_ms: 20_000, ..tight() };
    let leaks = |namespace: &str| {
        let module = guest("eats-memory");
        let mut info = describe(&host.host, &module, "leak", &limits).expect("it is described");
        info.namespace = namespace.to_owned();
        (info.id, function(host.host.load(&info, &module, no_tables()).expect("it is loaded")))
    };
    let ((first_id, first), (_, second), (other_id, other)) = (leaks("a"), leaks("a"), leaks("b"));
    other.call(&values(8), 8).expect("an answer");
    for filter in [&first, &second, &first] {
        for _ in 0..9 {
            filter.call(&values(8), 8).expect("an answer, in the memory that an idle instance had");
        }
    }
    assert_eq!((calls(&host, first_id).instances, calls(&host, other_id).instances), (1, 1));
    assert!(usage(&host, "a").memory_bytes <= 16 << 20);
}

#[test]
fn calls_of_a_namespace_run_no_more_at_once_than_it_may() {
    let host = TestHost::with(|options| options.wait_timeout = Duration::from_millis(50));
    limit(&host, "a", &[(NamespaceLimit::PluginConcurrency, 1)]);
    let limits = PluginLimits { call_timeout_ms: 2_000, concurrency: 4, ..tight() };
    let (_, spins) = load(&host, "a", &guest("spins"), &limits);
    let (_, sound) = load(&host, "a", &Core::default().component(), &tight());
    let (_, neighbour) = load(&host, "b", &Core::default().component(), &tight());
    thread::scope(|scope| {
        let spinning = scope.spawn(|| failure(&spins, &values(8), 8));
        while usage(&host, "a").running == 0 {
            assert!(!spinning.is_finished(), "{:?}", spinning.join());
            thread::yield_now();
        }
        let error = sound.call(&[], 8).expect_err("the namespace runs what it may");
        assert_failure(&error, FailureKind::Host, "the 1 instances that namespace \"a\" may run at once");
        neighbour.call(&[], 8).expect("an answer");
        limit(&host, "a", &[(NamespaceLimit::PluginConcurrency, 2)]);
        sound.call(&[], 8).expect("an answer");
        assert_failure(&spinning.join().expect("a failure"), FailureKind::Timeout, "time limit");
    });
    assert_eq!(usage(&host, "a").running, 0);
}

#[test]
fn a_namespace_bounds_the_time_of_calls_that_run_already() {
    let host = TestHost::new();
    let limits = PluginLimits { call_timeout_ms: 60_000, ..tight() };
    let (_, spins) = load(&host, "a", &guest("spins"), &limits);
    limit(&host, "a", &[(NamespaceLimit::PluginTimeoutMax, 50)]);
    let began = Instant::now();
    assert_failure(&failure(&spins, &values(8), 8), FailureKind::Timeout, "time limit");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_log_flood_over_many_calls_is_cut_off() {
    let host = TestHost::new();
    let limits = PluginLimits { log_rate: 20, ..tight() };
    let (id, filter) = load(&host, "a", &chatty(), &limits);
    let (neighbour, other) = load(&host, "b", &chatty(), &tight());
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(filter.call(&[], 8).expect("an answer").as_boolean().true_count(), 4);
    }
    let most = 20 + 20 * (began.elapsed().as_secs() + 1);
    let seen = calls(&host, id);
    assert!((20..=most).contains(&seen.log_lines), "{seen:?}");
    assert_eq!(seen.log_lines + seen.log_lines_dropped, 1_000);
    other.call(&[], 8).expect("an answer");
    assert_eq!(calls(&host, neighbour).log_lines, 10);
}

#[test]
fn a_namespace_shares_its_log_lines() {
    let host = TestHost::new();
    limit(&host, "a", &[(NamespaceLimit::PluginLogRate, 15)]);
    let filters = [0, 1].map(|_| load(&host, "a", &chatty(), &tight()));
    let began = Instant::now();
    for (_, filter) in &filters {
        filter.call(&[], 8).expect("an answer");
    }
    let most = 15 + 15 * (began.elapsed().as_secs() + 1);
    let lines: u64 = filters.iter().map(|(id, _)| calls(&host, *id).log_lines).sum();
    assert!((15..=most).contains(&lines), "{lines}");
    assert_eq!(usage(&host, "a").log_lines_dropped, 20 - lines);
}

#[test]
fn one_namespace_does_not_keep_the_servers_instances() {
    let host = TestHost::with(|options| options.max_instances = 2);
    let (_, noisy) = load(&host, "noisy", &slow(), &PluginLimits { concurrency: 2, ..patient() });
    let also_noisy: Vec<_> =
        (0..3).map(|_| load(&host, "noisy", &slow(), &PluginLimits { concurrency: 2, ..patient() }).1).collect();
    let (_, quiet) = load(&host, "quiet", &Core::default().component(), &tight());
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for filter in also_noisy.iter().chain([&noisy]) {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        filter.call(&[], 8).expect("an answer");
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        }
        while usage(&host, "noisy").waiting == 0 {
            thread::yield_now();
        }
        // Eight calls are before it at any time; its turn comes after one of them.
        let before = done.load(Ordering::SeqCst);
        for _ in 0..5 {
            quiet.call(&[], 8).expect("an answer");
        }
        let meanwhile = done.load(Ordering::SeqCst) - before;
        assert!(meanwhile <= 30, "{meanwhile} calls of the other namespace went first");
    });
}

#[test]
fn a_suspension_is_told_of_at_once() {
    let host = TestHost::new();
    let told = Arc::new(AtomicUsize::new(0));
    let teller = told.clone();
    host.host.on_suspension(Arc::new(move || {
        teller.fetch_add(1, Ordering::SeqCst);
    }));
    let module = guest("traps");
    let info = describe(&host.host, &module, "1", &tight()).expect("it is described");
    let broken = function(host.host.load(&info, &module, no_tables()).expect("it is loaded"));
    while failure(&broken, &values(8), 8).kind != FailureKind::Host {
        assert!(told.load(Ordering::SeqCst) <= 1);
    }
    assert_eq!((told.load(Ordering::SeqCst), host.host.suspensions().len()), (1, 1));
}
