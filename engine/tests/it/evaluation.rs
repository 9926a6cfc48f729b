//! One evaluation for all, and rows at fault.

use std::sync::Barrier;

use millstream_engine::{Error, FailureKind, OnError, SeekTo};

use crate::fixture::{Fixture, MIB, NO_WAIT, at, manual, polled, who};

#[test]
fn groups_share_evaluations_and_compilation() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("even", &table, "even", OnError::Stop);
    for chunk in 0..5 {
        fixture.append(&table, 0, chunk * 2_000..(chunk + 1) * 2_000);
    }
    let members: Vec<_> = (0..20).map(|group| fixture.join(manual(&format!("g{group}")), &["even"])).collect();
    let together = Barrier::new(members.len());
    std::thread::scope(|scope| {
        for member in &members {
            scope.spawn(|| {
                together.wait();
                let mut rows = 0;
                while rows < 5_000 {
                    rows += polled(member).len();
                }
                assert_eq!(rows, 5_000);
            });
        }
    });
    assert_eq!(fixture.compiler.calls(), 5, "each chunk is evaluated once");
    assert_eq!(fixture.compiler.compiled.load(std::sync::atomic::Ordering::SeqCst), 1);
    let stats = fixture.engine.stats(&who()).unwrap();
    assert_eq!((stats.evaluation_misses, stats.groups, stats.members), (5, 20, 20));
}

#[test]
fn under_stop_rows_before_the_fault_come_then_the_error_with_its_place() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    let topic = fixture.topic("broken", &table, "fail 37", OnError::Stop);
    fixture.append(&table, 0, 0..100);
    let member = fixture.join(manual("g"), &["broken"]);
    assert_eq!(polled(&member), (0..37).collect::<Vec<_>>());
    for _ in 0..2 {
        let error = member.poll(MIB, NO_WAIT).expect_err("the row fails");
        let Error::Evaluation { topic, partition: 0, offset: 37, source } = &error else { panic!("{error}") };
        assert_eq!((topic.as_str(), source.kind), ("broken", FailureKind::Data));
    }
    fixture.append(&table, 1, [7]);
    let others: Vec<_> = (0..2).filter_map(|_| member.poll(MIB, NO_WAIT).ok()).collect();
    assert_eq!(others.iter().flatten().count(), 1, "the other partition goes on");
    member.seek(at(&topic, 0), SeekTo::Offset(38)).expect("it seeks past the fault");
    assert_eq!(polled(&member), (38..100).collect::<Vec<_>>());
}

#[test]
fn an_error_after_rows_of_others_comes_with_the_next_poll() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.topic("broken", &table, "fail 1", OnError::Stop);
    fixture.append(&table, 0, [5]);
    fixture.append(&table, 1, [1]);
    let member = fixture.join(manual("g"), &["broken"]);
    assert_eq!(polled(&member), [5]);
    assert!(matches!(member.poll(MIB, NO_WAIT), Err(Error::Evaluation { partition: 1, offset: 0, .. })));
}

#[test]
fn under_skip_the_row_is_left_out_counted_and_told_of() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("skips", &table, "fail 37", OnError::Skip);
    for _ in 0..3 {
        fixture.append(&table, 0, 0..100);
    }
    let rows: Vec<i64> = {
        let member = fixture.join(manual("g"), &["skips"]);
        polled(&member)
    };
    assert_eq!(rows.len(), 3 * 99);
    assert!(!rows.contains(&37));
    assert_eq!(fixture.engine.stats(&who()).unwrap().rows_skipped, 3);
    assert_eq!(fixture.events("row_skipped"), 1, "events are limited in rate");
}

#[test]
fn too_many_costly_failures_in_one_batch_stop_even_a_topic_that_skips() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("greedy", &table, "greedy", OnError::Skip);
    fixture.append(&table, 0, (0..500).map(|number| -number - 1));
    let member = fixture.join(manual("g"), &["greedy"]);
    let error = (0..3).find_map(|_| member.poll(MIB, NO_WAIT).err()).expect("it fails in the end");
    let Error::Evaluation { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind, FailureKind::Memory);
    assert!(fixture.compiler.calls() < 500, "{} calls", fixture.compiler.calls());
}

#[test]
fn traps_cost_little_and_are_all_set_aside() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("traps", &table, "trap", OnError::Skip);
    fixture.append(&table, 0, (0..500).map(|number| if number % 5 == 0 { number } else { -number }));
    let member = fixture.join(manual("g"), &["traps"]);
    assert_eq!(polled(&member), (0..500).step_by(5).collect::<Vec<_>>());
    assert_eq!(fixture.engine.stats(&who()).unwrap().rows_skipped, 400);
}

#[test]
fn panics_and_failures_of_the_machinery_are_not_blamed_on_a_row() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..100);
    for (name, words) in [("panics", "panic 50"), ("fails", "host 50")] {
        fixture.topic(name, &table, words, OnError::Skip);
        let member = fixture.join(manual(name), &[name]);
        let before = fixture.compiler.calls();
        let error = member.poll(MIB, NO_WAIT).expect_err("it fails");
        let Error::Evaluation { source, offset: 0, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind, FailureKind::Host);
        assert_eq!(fixture.compiler.calls() - before, 1, "there was no search for a row");
        assert_eq!(member.poll(MIB, NO_WAIT).expect_err("it fails again").to_string(), error.to_string());
    }
}

#[test]
fn the_cache_keeps_within_its_bytes() {
    let fixture = Fixture::with(|options| options.evaluation_cache_bytes = 64 << 10);
    let table = fixture.table("t", 1);
    fixture.topic("all", &table, "all", OnError::Stop);
    for _ in 0..20 {
        fixture.append(&table, 0, 0..1_024);
    }
    for group in ["a", "b"] {
        let member = fixture.join(manual(group), &["all"]);
        let mut rows = 0;
        while rows < 20 * 1_024 {
            rows += polled(&member).len();
        }
    }
    assert!(fixture.compiler.calls() > 20, "a cache of 64 KiB can't hold 20 chunks of 8 KiB");
}

#[test]
fn small_chunks_are_evaluated_together_and_those_that_come_one_by_one_at_once() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("even", &table, "even", OnError::Stop);
    let live = fixture.join(manual("live"), &["even"]);
    let mut rows = Vec::new();
    for number in 0..300 {
        fixture.append(&table, 0, [number]);
        rows.extend(polled(&live));
    }
    let expected: Vec<i64> = (0..300).step_by(2).collect();
    assert_eq!((&rows, fixture.compiler.calls()), (&expected, 300));
    // Another topic's readers find all of it there.
    fixture.topic("also", &table, "even", OnError::Stop);
    assert_eq!(polled(&fixture.join(manual("late"), &["also"])), expected);
    assert_eq!(fixture.compiler.calls(), 301);
}

#[test]
fn a_topic_that_is_not_read_is_not_compiled_and_a_dropped_one_is_forgotten() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..4);
    let compiled = || fixture.compiler.compiled.load(std::sync::atomic::Ordering::SeqCst);
    for round in 1..3 {
        fixture.topic("even", &table, "even", OnError::Stop);
        assert_eq!(compiled(), round - 1);
        let member = fixture.join(manual("g"), &["even"]);
        assert_eq!(polled(&member), [0, 2]);
        assert_eq!(compiled(), round);
        drop(member);
        fixture.engine.drop_topic(&who(), "public", "even", true).expect("it is dropped");
    }
}
