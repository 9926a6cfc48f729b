//! The hostile guests of `plugins/evil`, each contained: within its time and memory, told apart, and harmless to others.

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray as _;
use millstream_engine::{FailureKind, PluginHost as _, PluginLimits, ScalarFunction, Volatility};

use crate::harness::{TestHost, assert_failure, describe, failure, function, guest, no_tables, tight, values};

/// How far past its limit a call may end on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// After whatever happened, the host runs other plugins.
fn assert_alive(host: &TestHost) {
    let other = host.filter("traps", "1000000");
    let answer = other.call(&values(9), 9).expect("an answer of a sound plugin");
    assert_eq!(answer.as_boolean().true_count(), 9);
}

#[test]
fn a_guest_that_spins_is_interrupted() {
    let host = TestHost::new();
    let spins = host.filter_within("spins", "", &tight());
    for _ in 0..3 {
        let start = Instant::now();
        let error = failure(&spins, &values(8), 8);
        assert_failure(&error, FailureKind::Timeout, "took longer than its time limit");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(95) && took < SLACK, "took {took:?}");
    }
    assert_eq!(host.host.figures().timeouts, 3);
    assert_eq!(host.host.figures().instances_discarded, 3);
    assert_alive(&host);
}

#[test]
fn a_guest_that_spins_while_opening_is_refused() {
    let host = TestHost::new();
    let start = Instant::now();
    let error = host.load(&guest("spins"), "open", &tight()).expect_err("spins in open");
    assert!(error.to_string().contains("open took longer than its time limit"), "{error}");
    assert!(start.elapsed() < SLACK);
    assert_alive(&host);
}

#[test]
fn a_guest_that_eats_memory_is_stopped_at_its_limit() {
    let host = TestHost::new();
    let limits = PluginLimits { call_timeout_ms: 10_000, ..tight() };
    let eats = host.filter_within("eats-memory", "", &limits);
    let error = failure(&eats, &values(8), 8);
    assert_failure(&error, FailureKind::Memory, "memory limit of 8388608 bytes");
    assert_alive(&host);
}

#[test]
fn memory_that_a_guest_leaks_is_not_held_against_later_rows() {
    let host = TestHost::new();
    let limits = PluginLimits { call_timeout_ms: 10_000, ..tight() };
    let leaks = host.filter_within("eats-memory", "leak", &limits);
    for call in 0..40 {
        let answer = leaks.call(&values(8), 8).unwrap_or_else(|e| panic!("call {call}: {e}"));
        assert_eq!(answer.as_boolean().true_count(), 8);
    }
    let figures = host.host.figures();
    assert!(figures.instances_discarded >= 4, "{figures:?}");
    assert_eq!(figures.memory_failures, 0);
}

#[test]
fn a_bitmap_of_another_length_is_refused() {
    let host = TestHost::new();
    for (config, rows) in [("8", 8), ("-8", 16), ("100000", 9), ("-9", 9)] {
        let wrong = host.filter("wrong-bitmap", config);
        let error = failure(&wrong, &values(rows), rows);
        assert_failure(&error, FailureKind::BadOutput, "a bitmap of");
    }
    assert_alive(&host);
}

#[test]
fn bits_past_the_last_row_are_ignored() {
    let host = TestHost::new();
    let sloppy = host.filter("wrong-bitmap", "3");
    let answer = sloppy.call(&values(9), 9).expect("an answer");
    assert_eq!((answer.len(), answer.as_boolean().true_count()), (9, 9));
}

#[test]
fn a_guest_that_drifts_is_told_by_instances_of_its_own() {
    let host = TestHost::new();
    let module = guest("drifts");
    let info = describe(&host.host, &module, "", &tight()).expect("it is described");
    assert_eq!(info.description.volatility, Volatility::Immutable, "so it says");
    let kept = |filter: &dyn ScalarFunction| filter.call(&values(8), 8).expect("an answer").as_boolean().true_count();
    let shared = function(host.host.load(&info, &module, no_tables()).expect("it is loaded"));
    assert_eq!((kept(&*shared), kept(&*shared)), (8, 0));
    let again = function(host.host.load(&info, &module, no_tables()).expect("it is loaded"));
    assert_eq!(kept(&*again), 0, "the same instances");
    let apart = function(host.host.load_apart(&info, &module).expect("it is loaded"));
    assert_eq!((kept(&*apart), kept(&*apart), kept(&*shared)), (8, 0, 0));
    let calls = host.host.calls();
    let shared = calls.iter().find(|calls| calls.plugin == info.id).expect("it was loaded");
    assert_eq!(shared.figures.calls, 4, "those apart count apart");
}

#[test]
fn a_guest_that_traps_says_why() {
    let host = TestHost::new();
    let traps = host.filter("traps", "1");
    for _ in 0..3 {
        let error = failure(&traps, &values(8), 8);
        assert_failure(&error, FailureKind::Trap, "filter trapped");
        assert_failure(&error, FailureKind::Trap, "the call has come in which I trap");
    }
    assert_eq!(host.host.figures().traps, 3);
    assert_alive(&host);
}

#[test]
fn a_trap_that_only_an_old_instance_has_is_not_the_rows_fault() {
    let host = TestHost::new();
    let traps = host.filter_within("traps", "3", &PluginLimits { concurrency: 1, ..PluginLimits::default() });
    for call in 0..10 {
        traps.call(&values(8), 8).unwrap_or_else(|e| panic!("call {call}: {e}"));
    }
    assert_eq!(host.host.figures().traps, 0);
    assert_eq!(host.host.figures().instances_discarded, 4);
}

#[test]
fn an_error_of_the_guest_is_about_the_rows_and_spares_the_instance() {
    let host = TestHost::new();
    let picky = host.filter("traps", "data");
    for _ in 0..3 {
        let error = failure(&picky, &values(8), 8);
        assert_failure(&error, FailureKind::Data, "these rows are not to my taste");
    }
    let figures = host.host.figures();
    assert_eq!((figures.data_errors, figures.instances_discarded), (3, 0));
}

#[test]
fn a_configuration_that_the_guest_refuses_is_an_error_when_it_is_loaded() {
    let host = TestHost::new();
    let error = host.load(&guest("carrier-filter"), "", &PluginLimits::default()).expect_err("an empty configuration");
    assert!(error.to_string().contains("must name a carrier"), "{error}");
}
