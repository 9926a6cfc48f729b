//! What instances take of the room of all: parts, and memory of the whole server.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use millstream_engine::{
    Error, FailureKind, NamespaceLimit, NamespaceLimits, PluginHost as _, PluginLimits, PluginSettings, ScalarFunction,
};
use wasmparser::{Parser, Payload};

use super::SPIN;
use super::filters::Core;
use super::shares::{calls, load, usage};
use crate::harness::{TestHost, assert_failure, tight};

/// Grows by 10 MiB a call, and traps where it may not.
const GROWS: &str = "(if (i32.eq (memory.grow (i32.const 160)) (i32.const -1)) (then unreachable)) i32.const 96";

/// A component with that many more core modules instantiated in it, which do nothing.
fn in_parts(component: &[u8], more: u8) -> Vec<u8> {
    let mut depth = 0;
    let mut modules = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("a component") {
            Payload::ModuleSection { .. } => {
                modules += u8::from(depth == 0);
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    let empty: &[u8] = b"\x01\x08\0asm\x01\0\0\0";
    let instance = [0, modules, 0];
    let instances = instance.repeat(more.into());
    let length = u8::try_from(1 + instances.len()).expect("a short section");
    let head = if length < 0x80 { vec![2, length, more] } else { vec![2, length, 1, more] };
    [component, empty, &head, &instances].concat()
}

fn call(filter: &Arc<dyn ScalarFunction>) -> Result<(), millstream_engine::OperatorError> {
    filter.call(&[], 8).map(drop)
}

#[test]
fn instances_of_many_parts_wait_for_their_turn_and_leave_room_to_others() {
    let host = TestHost::with(|options| options.wait_timeout = Duration::from_secs(60));
    let limits = PluginLimits { concurrency: 8, call_timeout_ms: 100, ..tight() };
    // 128 parts are there, so that not three of these run at once.
    let heavy = in_parts(&Core { filter: SPIN, ..Core::default() }.component(), 55);
    let (id, heavy) = load(&host, "noisy", &heavy, &limits);
    let (_, light) = load(&host, "quiet", &Core::default().component(), &tight());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2 {
                    assert_failure(&call(&heavy).expect_err("it spins"), FailureKind::Timeout, "filter took longer");
                }
            });
        }
        let patience = Instant::now() + Duration::from_secs(60);
        while usage(&host, "noisy").waiting < 3 {
            assert!(Instant::now() < patience, "they do not wait: {:?}", usage(&host, "noisy"));
            thread::yield_now();
        }
        for _ in 0..3 {
            call(&light).expect("an answer beside them");
        }
    });
    assert_eq!(calls(&host, id).figures.failed(), 16);
    assert_eq!((usage(&host, "noisy").running, usage(&host, "noisy").waiting), (0, 0));
}

#[test]
fn all_plugins_together_have_no_more_memory_than_the_server_gives() {
    let most = 64 << 20;
    let host = TestHost::with(|options| {
        options.memory_bytes = most;
        options.wait_timeout = Duration::from_secs(5);
    });
    let limits = PluginLimits { memory_bytes: 1 << 30, call_timeout_ms: 20_000, ..tight() };
    let grows = Core { filter: GROWS, ..Core::default() }.component();
    let filters = ["a", "b", "c"].map(|namespace| (namespace, load(&host, namespace, &grows, &limits).1));
    thread::scope(|scope| {
        for (namespace, filter) in &filters {
            let host = &host;
            scope.spawn(move || {
                let error = (0..20).find_map(|_| call(filter).err()).expect("the end of the memory");
                assert_failure(&error, FailureKind::Host, "bytes of plugin_memory_bytes");
                assert!(usage(host, namespace).memory_refusals > 0);
            });
        }
    });
    let held: u64 = host.host.namespace_usage().iter().map(|usage| usage.memory_bytes).sum();
    assert!(held <= most, "{held}");
    // One that leaves nothing idle, and much, is not in the way of another.
    let (_, small) = load(&host, "d", &Core::default().component(), &tight());
    call(&small).expect("an answer");
}

#[test]
fn who_lacks_memory_is_started_again_when_there_is_some() {
    let host = TestHost::new();
    let mut limits = NamespaceLimits::default();
    limits.set(NamespaceLimit::PluginMemory, Some(16 << 20));
    host.host.limit_namespace("a", &limits);
    let grown = |pages: u32, then: &str| -> &'static str {
        let grow = format!("(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))");
        format!("{grow} {then}").leak()
    };
    let holds = Core { filter: grown(200, SPIN), ..Core::default() }.component();
    let waits = Core {
        import: r#"(import "millstream:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))"#,
        open: format!("(call $log (i32.const 2) (i32.const 16) (i32.const 4)) {}", grown(100, "i32.const 64")).leak(),
        ..Core::default()
    };
    let limits = PluginLimits { memory_bytes: 64 << 20, call_timeout_ms: 1_500, ..tight() };
    let (_, holds) = load(&host, "a", &holds, &limits);
    let (id, waits) = load(&host, "a", &waits.component(), &limits);
    thread::scope(|scope| {
        let holding = scope.spawn(|| call(&holds).expect_err("it spins"));
        let patience = Instant::now() + Duration::from_secs(20);
        while usage(&host, "a").memory_bytes < 12 << 20 {
            assert!(Instant::now() < patience, "it holds nothing");
            thread::yield_now();
        }
        call(&waits).expect("an answer, in the memory that the other has left");
        assert_failure(&holding.join().expect("a failure"), FailureKind::Timeout, "filter took longer");
    });
    // When it was loaded, when it found no memory, when there was some; and where others were faster.
    let seen = calls(&host, id);
    let starts = seen.log_lines + seen.log_lines_dropped;
    assert!((3..8).contains(&starts), "it was started {starts} times: {seen:?}");
}

/// A component that takes a while to compile: many functions that do much and nothing.
fn long_to_compile() -> Vec<u8> {
    let step = |n: u32| {
        format!(
            "(local.set 1 (i64.mul (i64.add (local.get 1) (i64.const {n})) (i64.rotl (local.get 1) (i64.const 7))))"
        )
    };
    let body: String = (0..200).map(step).collect();
    let functions: String = (0..150)
        .map(|n| format!("(func (param i64) (result i64) (local i64) {body} (i64.add (local.get 1) (i64.const {n})))"))
        .collect();
    Core { extra: functions.leak(), ..Core::default() }.component()
}

#[test]
fn compiled_code_waits_for_no_compilation() {
    let host = TestHost::new();
    let known = Core::default().component();
    host.host.inspect(&known, &tight()).expect("a description");
    let long = long_to_compile();
    let (longest, compiling) = thread::scope(|scope| {
        let compiling = scope.spawn(|| {
            let began = Instant::now();
            host.host.inspect(&long, &tight()).expect("a description");
            began.elapsed()
        });
        let mut longest = Duration::ZERO;
        while !compiling.is_finished() {
            let began = Instant::now();
            host.host.inspect(&known, &tight()).expect("a description");
            longest = longest.max(began.elapsed());
        }
        (longest, compiling.join().expect("no panic"))
    });
    assert_eq!(host.host.figures().compilations, 2);
    assert!(longest < compiling / 2, "{longest:?} beside a compilation of {compiling:?}");
}

#[test]
fn what_compiling_takes_is_the_namespaces() {
    let host = TestHost::new();
    let mut limits = NamespaceLimits::default();
    limits.set(NamespaceLimit::PluginCpu, Some(10));
    host.host.limit_namespace("a", &limits);
    let made = |n: u32| {
        let module =
            Core { extra: format!("(func (result i32) (i32.const {n}))").leak(), ..Core::default() }.component();
        host.host.inspect_with("a", "late", &module, &PluginSettings { limits: tight(), ..PluginSettings::default() })
    };
    made(0).expect("it has a burst");
    let before = usage(&host, "a");
    assert!(before.cpu_us > 0, "{before:?}");
    // Each waits until the ones before are paid for, and is refused if that takes too long.
    let began = Instant::now();
    let mut made_more = 0;
    while usage(&host, "a").throttled == 0 {
        made_more += 1;
        let tried = made(made_more);
        assert!(matches!(tried, Ok(_) | Err(Error::Busy(_))), "{tried:?}");
        assert!(began.elapsed() < Duration::from_secs(60), "{made_more} modules cost nothing");
    }
}

#[test]
fn a_module_that_is_compiled_takes_more_of_its_namespace_than_one_that_is_known() {
    let host = TestHost::new();
    let long = long_to_compile();
    let settings = PluginSettings { limits: tight(), ..PluginSettings::default() };
    let inspected = || {
        host.host.inspect_with("a", "late", &long, &settings).expect("a description");
        usage(&host, "a").cpu_us
    };
    let compiled = inspected();
    let known = inspected() - compiled;
    assert_eq!(host.host.figures().compilations, 1);
    assert!(compiled > 5 * known, "{compiled} µs, and {known} µs once it was compiled");
}
