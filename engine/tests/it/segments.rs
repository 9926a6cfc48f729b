//! Segments as files, and what maintenance does about them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_engine::{Engine, EngineOptions, Error, ManualClock, SegmentStore, TableOptions};
use object_store::memory::InMemory;

use crate::table::{self, Columns, who};

/// Nothing happens by itself: tests call `maintain` and `cut_segments`.
fn still(dir: &Path) -> EngineOptions {
    EngineOptions {
        log_file_bytes: 1 << 20,
        tail_bytes: 64 << 10,
        maintenance_interval_ms: 3_600_000,
        ..EngineOptions::new(dir)
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.join("segments")];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

fn keep_for_ever() -> TableOptions {
    TableOptions { retention_ms: None, ..TableOptions::default() }
}

#[test]
fn cutting_empties_the_log_and_changes_nothing_for_readers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let info = table::create(&engine, keep_for_ever());
    for frame in 0..50 {
        table::append(&engine, info.id, 0, frame * 4_000..(frame + 1) * 4_000, 0);
    }
    let before = engine.stats(&who()).unwrap();
    assert!(before.log_files > 3 && before.segments == 0);
    engine.cut_segments(&who(), info.id).unwrap();
    let after = engine.stats(&who()).unwrap();
    assert_eq!((after.segments, after.segment_backlog_bytes), (1, 0));
    assert!(after.log_files <= 2, "{} log files", after.log_files);
    table::check(&engine, &info, 0, 0..200_000, |_| 0);
    table::append(&engine, info.id, 0, 200_000..200_010, 0);
    table::check(&engine, &info, 0, 199_990..200_010, |_| 0);
    let meta = &engine.segments(&who()).unwrap()[0];
    assert_eq!((meta.first_offset, meta.next_offset, meta.schema_version), (0, 200_000, 1));
    assert_eq!((meta.min_event_us, meta.max_event_us), (0, 199_999_000));
    assert_eq!(files(dir.path()), [dir.path().join("segments").join(&meta.path)]);
}

#[test]
fn a_scan_skips_what_cannot_match() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let info = table::create(&engine, keep_for_ever());
    for frame in 0..40 {
        table::append(&engine, info.id, 0, frame * 5_000..(frame + 1) * 5_000, 0);
    }
    engine.cut_segments(&who(), info.id).unwrap();
    engine.close().unwrap();
    drop(engine);
    // Reopened, so that nothing is left in memory.
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let operator = Columns { wanted: Some(100_000..100_010), ..Columns::of(&info, &[0]) };
    let found = table::scan(&engine, operator, info.id, None).unwrap();
    let rows: usize = found.iter().map(|batch| batch.batch.num_rows()).sum();
    assert!(found.len() == 1 && found[0].range.contains(&100_000) && rows < 20_000, "{rows} rows");
    let by_time = millstream_engine::ScanRequest {
        topic: millstream_engine::TopicId(info.id.0),
        ranges: None,
        event_time_us: Some(150_000_000..150_001_000),
        operator: Arc::new(Columns::of(&info, &[1])),
    };
    let found: Vec<_> = engine.scan(&who(), by_time).unwrap().map(Result::unwrap).collect();
    assert!(found.len() == 1 && found[0].range.contains(&150_000), "{}", found.len());
}

#[test]
fn small_neighbours_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let info = table::create(&engine, keep_for_ever());
    for frame in 0..64 {
        table::append(&engine, info.id, 0, frame * 100..(frame + 1) * 100, 0);
        engine.cut_segments(&who(), info.id).unwrap();
    }
    assert_eq!(engine.stats(&who()).unwrap().segments, 64);
    engine.maintain(&who()).unwrap();
    assert!(engine.stats(&who()).unwrap().segments <= 4, "{} segments", engine.stats(&who()).unwrap().segments);
    assert_eq!(files(dir.path()).len() as u64, engine.stats(&who()).unwrap().segments);
    table::check(&engine, &info, 0, 0..6_400, |_| 0);
    engine.close().unwrap();
    drop(engine);
    let engine = Engine::open_with(still(dir.path())).unwrap();
    table::check(&engine, &info, 0, 0..6_400, |_| 0);
}

#[test]
fn retention_by_time_moves_the_start_and_deletes_files() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::open_with(EngineOptions { clock: clock.clone(), ..still(dir.path()) }).unwrap();
    let info = table::create(&engine, TableOptions { retention_ms: Some(10_000), ..TableOptions::default() });
    let start = |engine: &Engine| engine.table_offsets(&who(), info.id).unwrap()[0].0;
    // Two commits of one moment are a microsecond apart: the rows come when nothing else does.
    clock.advance(Duration::from_millis(1));
    table::append(&engine, info.id, 0, 0..100, 0);
    engine.cut_segments(&who(), info.id).unwrap();
    clock.advance(Duration::from_secs(5));
    table::append(&engine, info.id, 0, 100..200, 0);
    clock.advance(Duration::from_secs(5));
    engine.maintain(&who()).unwrap();
    assert_eq!((start(&engine), files(dir.path()).len()), (0, 1));
    clock.advance(Duration::from_micros(1));
    engine.maintain(&who()).unwrap();
    assert_eq!((start(&engine), files(dir.path()).len()), (100, 0));
    // Rows that never were in a segment.
    clock.advance(Duration::from_secs(5));
    table::append(&engine, info.id, 0, 200..300, 0);
    engine.maintain(&who()).unwrap();
    assert_eq!(start(&engine), 200);
    table::check(&engine, &info, 0, 200..300, |_| 0);
    let below = table::scan(&engine, Columns::of(&info, &[0]), info.id, Some(vec![(0, 150..300)]));
    assert!(matches!(below, Err(Error::OffsetOutOfRange { offset: 150, start: 200, end: 300, .. })));
    clock.advance(Duration::from_secs(11));
    engine.maintain(&who()).unwrap();
    assert_eq!(engine.table_offsets(&who(), info.id).unwrap()[0], (300, 300));
    assert!(table::scan(&engine, Columns::of(&info, &[0]), info.id, None).unwrap().is_empty());
    engine.close().unwrap();
    drop(engine);
    let engine = Engine::open_with(EngineOptions { clock, ..still(dir.path()) }).unwrap();
    assert_eq!(engine.table_offsets(&who(), info.id).unwrap()[0], (300, 300));
}

#[test]
fn retention_by_bytes_takes_the_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::open_with(EngineOptions { clock: clock.clone(), ..still(dir.path()) }).unwrap();
    let options = TableOptions { partitions: 2, retention_bytes: Some(60_000), ..keep_for_ever() };
    let info = table::create(&engine, options);
    for round in 0..6 {
        for partition in 0..2 {
            table::append(&engine, info.id, partition, round * 2_000..(round + 1) * 2_000, 0);
            clock.advance(Duration::from_secs(1));
        }
        engine.cut_segments(&who(), info.id).unwrap();
    }
    let before = engine.stats(&who()).unwrap().segment_bytes;
    assert!(before > 60_000, "{before}");
    engine.maintain(&who()).unwrap();
    let after = engine.stats(&who()).unwrap().segment_bytes;
    assert!(after <= 60_000 && after > 20_000, "{after}");
    let offsets = engine.table_offsets(&who(), info.id).unwrap();
    assert!(offsets[0].0 > 0 && offsets[0].0.abs_diff(offsets[1].0) <= 2_000, "{offsets:?}");
    // More than the bound in the log alone: all but the newest frames go.
    for round in 6..20 {
        table::append(&engine, info.id, 0, round * 2_000..(round + 1) * 2_000, 0);
    }
    engine.maintain(&who()).unwrap();
    let offsets = engine.table_offsets(&who(), info.id).unwrap();
    assert!(offsets[0].0 > 12_000 && offsets[0].1 == 40_000 && offsets[1] == (12_000, 12_000), "{offsets:?}");
    table::check(&engine, &info, 0, offsets[0].0..40_000, |_| 0);
}

#[test]
fn over_its_budget_the_log_is_cut_whatever_the_size() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { log_budget_bytes: 2 << 20, ..still(dir.path()) };
    let engine = Engine::open_with(options).unwrap();
    let info = table::create(&engine, TableOptions { partitions: 20, ..keep_for_ever() });
    for round in 0..12 {
        for partition in 0..20 {
            table::append(&engine, info.id, partition, round * 1_000..(round + 1) * 1_000, 0);
        }
    }
    assert!(engine.stats(&who()).unwrap().log_bytes > 4 << 20, "{}", engine.stats(&who()).unwrap().log_bytes);
    engine.maintain(&who()).unwrap();
    assert!(engine.stats(&who()).unwrap().log_bytes <= 2 << 20, "{}", engine.stats(&who()).unwrap().log_bytes);
    for partition in 0..20 {
        table::check(&engine, &info, partition, 0..12_000, |_| 0);
    }
}

#[test]
fn a_dropped_table_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let info = table::create(&engine, keep_for_ever());
    table::append(&engine, info.id, 0, 0..10, 0);
    engine.cut_segments(&who(), info.id).unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    engine.drop_table(&who(), "public", table::NAME, false).unwrap();
    engine.maintain(&who()).unwrap();
    assert_eq!(files(dir.path()).len(), 0);
}

#[test]
fn a_damaged_segment_is_named_and_the_rest_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let info = table::create(&engine, TableOptions { partitions: 2, ..keep_for_ever() });
    for frame in 0..30 {
        table::append(&engine, info.id, 0, frame * 4_000..(frame + 1) * 4_000, 0);
    }
    table::append(&engine, info.id, 1, 0..10, 0);
    engine.cut_segments(&who(), info.id).unwrap();
    let meta = engine.segments(&who()).unwrap().remove(0);
    engine.close().unwrap();
    drop(engine);
    let path = dir.path().join("segments").join(&meta.path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_000] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let engine = Engine::open_with(still(dir.path())).unwrap();
    let refused = table::scan(&engine, Columns::of(&info, &[0, 1, 2]), info.id, Some(vec![(0, 0..10)]));
    assert!(matches!(&refused, Err(Error::Corrupt { path: named, .. }) if *named == path), "{refused:?}");
    assert!(engine.events(&who()).unwrap().iter().any(|event| event.kind == "segment_damaged"));
    table::check(&engine, &info, 1, 0..10, |_| 0);
}

#[test]
fn an_object_store_serves_one_data_directory() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(InMemory::new());
    let remote = |dir: &Path| {
        let segment_store =
            SegmentStore::Remote { store: store.clone(), prefix: "a/b".to_owned(), url: "memory://a/b".to_owned() };
        EngineOptions { segment_store, ..still(dir) }
    };
    let engine = Engine::open_with(remote(dir.path())).unwrap();
    let info = table::create(&engine, keep_for_ever());
    for frame in 0..30 {
        table::append(&engine, info.id, 0, frame * 4_000..(frame + 1) * 4_000, 0);
    }
    engine.cut_segments(&who(), info.id).unwrap();
    engine.close().unwrap();
    drop(engine);
    let stranger = Engine::open_with(remote(other.path()));
    assert!(matches!(stranger, Err(Error::FailedPrecondition(_))), "{stranger:?}");
    let engine = Engine::open_with(remote(dir.path())).unwrap();
    table::check(&engine, &info, 0, 0..120_000, |_| 0);
}

#[test]
fn readers_see_one_run_of_rows_while_threads_cut_merge_and_trim() {
    const ROWS: u64 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        tail_bytes: 32 << 10,
        segment_bytes: 32 << 10,
        segment_age_ms: 1,
        segment_threads: 2,
        maintenance_interval_ms: 1,
        ..still(dir.path())
    };
    let engine = Engine::open_with(options).unwrap();
    let info = table::create(&engine, keep_for_ever());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (engine, info, done) = (&engine, &info, &done);
            scope.spawn(move || {
                let mut at = 0;
                while at < ROWS {
                    let last = done.load(Ordering::Acquire);
                    let end = engine.table_offsets(&who(), info.id).unwrap()[0].1;
                    let from = if reader == 0 { at } else { 0 };
                    table::check(engine, info, 0, from..end, |_| 0);
                    at = end;
                    assert!(!last || at == ROWS);
                }
            });
        }
        let mut at = 0;
        while at < ROWS {
            let next = (at + 1 + at % 997).min(ROWS);
            table::append(&engine, info.id, 0, at..next, 0);
            at = next;
        }
        done.store(true, Ordering::Release);
    });
    let failures: Vec<_> =
        engine.events(&who()).unwrap().into_iter().filter(|event| event.kind == "maintenance_failed").collect();
    assert!(failures.is_empty(), "{failures:?}");
}
