//! Instances are bounded, shared and given back; one plugin's trouble is not another's.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use millstream_engine::{FailureKind, PluginHost as _, PluginLimits};

use crate::harness::{TestHost, assert_failure, describe, failure, function, guest, no_tables, tight, values};

#[test]
fn a_spinning_guest_does_not_hold_up_its_neighbours() {
    let host = TestHost::new();
    // Long enough for some calls on the busiest machine, and all that the test takes.
    let limits = PluginLimits { call_timeout_ms: 5_000, concurrency: 2, ..tight() };
    let spins = host.filter_within("spins", "", &limits);
    let sound = host.filter("traps", "1000000000");
    let started = Barrier::new(2);
    thread::scope(|scope| {
        let spinning = scope.spawn(|| {
            started.wait();
            failure(&spins, &values(8), 8)
        });
        started.wait();
        for call in 0..3 {
            sound.call(&values(8), 8).expect("an answer while the neighbour spins");
            assert!(!spinning.is_finished(), "call {call} waited for the neighbour's end");
        }
        assert_failure(&spinning.join().expect("a failure"), FailureKind::Timeout, "time limit");
    });
}

#[test]
fn calls_wait_for_an_instance_no_longer_than_their_bound() {
    let host = TestHost::with(|options| options.wait_timeout = Duration::from_millis(50));
    let limits = PluginLimits { call_timeout_ms: 2_000, concurrency: 1, ..tight() };
    let spins = host.filter_within("spins", "", &limits);
    let started = Barrier::new(2);
    thread::scope(|scope| {
        let spinning = scope.spawn(|| {
            started.wait();
            failure(&spins, &values(8), 8)
        });
        started.wait();
        // One of the two gets the instance; the other gives up waiting for it.
        let errors = [failure(&spins, &values(8), 8), spinning.join().expect("a failure")];
        let mut kinds = errors.map(|e| e.kind);
        kinds.sort_by_key(|kind| *kind == FailureKind::Timeout);
        assert_eq!(kinds, [FailureKind::Host, FailureKind::Timeout]);
    });
}

#[test]
fn concurrent_calls_share_the_instances_that_are_allowed() {
    let host = TestHost::new();
    let limits = PluginLimits { concurrency: 3, ..PluginLimits::default() };
    let sound = host.filter_within("traps", "1000000000", &limits);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                for rows in [1, 100, 1_000] {
                    let answer = sound.call(&values(rows), rows).expect("an answer");
                    assert_eq!(answer.as_boolean().true_count(), rows);
                }
            });
        }
    });
    let figures = host.host.figures();
    assert_eq!((figures.calls, figures.rows), (36, 12 * 1_101));
    assert!((1..=3).contains(&figures.instances_started), "{figures:?}");
}

#[test]
fn all_uses_of_a_plugin_version_share_its_instances() {
    let host = TestHost::new();
    let module = guest("late-departures");
    let info = describe(&host.host, &module, "", &PluginLimits::default()).expect("a description");
    let first = function(host.host.load(&info, &module, no_tables()).expect("a filter"));
    let second = function(host.host.load(&info, &module, no_tables()).expect("the same filter"));
    assert!(std::ptr::addr_eq(std::sync::Arc::as_ptr(&first), std::sync::Arc::as_ptr(&second)));
    assert_eq!(host.host.figures().instances_started, 1);
}

#[test]
fn more_plugins_than_slots_take_turns() {
    let host = TestHost::with(|options| options.max_instances = 3);
    let limits = PluginLimits { concurrency: 1, ..PluginLimits::default() };
    let filters: Vec<_> = (0..9).map(|_| host.filter_within("traps", "1000000", &limits)).collect();
    for _ in 0..3 {
        for filter in &filters {
            let answer = filter.call(&values(10), 10).expect("an answer, in a slot that another left");
            assert_eq!(answer.as_boolean().true_count(), 10);
        }
    }
}
