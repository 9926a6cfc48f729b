//! Copies of a store that is written to, and stores made of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use millstream_engine::{
    Credentials, Engine, EngineOptions, Error, Right, Rights, Scope, SegmentStore, TableOptions, UserSpec, restore,
};
use object_store::memory::InMemory;

use crate::table::{self, who};

fn options(dir: &Path) -> EngineOptions {
    EngineOptions {
        log_file_bytes: 256 << 10,
        tail_bytes: 64 << 10,
        segment_bytes: 64 << 10,
        segment_threads: 1,
        maintenance_interval_ms: 5,
        free_space_floor_bytes: 0,
        ..EngineOptions::new(dir)
    }
}

fn two_partitions() -> TableOptions {
    TableOptions { partitions: 2, retention_ms: None, ..TableOptions::default() }
}

/// Also where a check has failed, so that the threads end.
struct StopsWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopsWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before_and_opens() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(options(&dir.path().join("data"))).unwrap();
    let table = table::create(&engine, two_partitions());
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _stopped = StopsWhenDropped(&stop);
        for partition in 0..2 {
            let (engine, table, acknowledged, stop) = (&engine, &table, &acknowledged, &stop);
            scope.spawn(move || {
                for first in (0..).step_by(100) {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    table::append(engine, table.id, partition, first..first + 100, 0);
                    if partition == 0 {
                        acknowledged.store(first + 100, Ordering::Release);
                    }
                }
            });
        }
        // The log rolls, segments are cut and merged, and files deleted meanwhile.
        for number in 0..6 {
            let wanted = (number + 1) * 4_000;
            while acknowledged.load(Ordering::Acquire) < wanted {
                std::thread::yield_now();
            }
            let before = acknowledged.load(Ordering::Acquire);
            let (copy, data) = (dir.path().join(format!("copy{number}")), dir.path().join(format!("restored{number}")));
            let taken = engine.backup(&who(), &copy).unwrap();
            assert!(taken.files > 3 && taken.bytes > 0, "{taken:?}");
            assert_eq!(restore(&copy, &data).unwrap(), taken);
            let restored = Engine::open_with(options(&data)).unwrap();
            let offsets = restored.table_offsets(&who(), table.id).unwrap();
            assert!(offsets[0].1 >= before, "{offsets:?} of {before}");
            for (partition, (start, end)) in (0..).zip(offsets) {
                assert_eq!(start, 0);
                table::check(&restored, &table, partition, 0..end, |_| 0);
            }
            // It goes on by itself.
            let end = restored.table_offsets(&who(), table.id).unwrap()[0].1;
            table::append(&restored, table.id, 0, end..end + 100, 0);
            restored.close().unwrap();
        }
    });
    assert!(engine.stats(&who()).unwrap().segments > 0, "nothing was cut");
    engine.close().unwrap();
}

#[test]
fn a_file_that_is_not_as_it_was_backed_up_is_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(options(&dir.path().join("data"))).unwrap();
    let table = table::create(&engine, two_partitions());
    table::append(&engine, table.id, 0, 0..1_000, 0);
    engine.cut_segments(&who(), table.id).unwrap();
    table::append(&engine, table.id, 1, 0..10, 0);
    let copy = dir.path().join("copy");
    engine.backup(&who(), &copy).unwrap();
    let listing: serde_json::Value = serde_json::from_slice(&std::fs::read(copy.join("backup.json")).unwrap()).unwrap();
    let files: Vec<&str> = listing["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    for room in ["log/", "state/", "segments/"] {
        assert!(files.iter().any(|path| path.starts_with(room)), "nothing of {room} in {files:?}");
    }
    let data = dir.path().join("restored");
    for path in &files {
        let path = copy.join(path);
        let bytes = std::fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        match damaged.last_mut() {
            Some(last) => *last ^= 1,
            None => damaged.push(0),
        }
        std::fs::write(&path, damaged).unwrap();
        let error = restore(&copy, &data).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path: named, .. } if *named == path), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(restore(&copy, &data), Err(Error::Io { path: named, .. }) if named == path));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "something is left");
        std::fs::write(&path, bytes).unwrap();
    }
    restore(&copy, &data).unwrap();
    engine.close().unwrap();
}

#[test]
fn listings_name_no_file_outside_of_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(dir.path().join("secret"), "x").unwrap();
    for path in ["../secret", "/etc/passwd", "", "log/../../secret"] {
        let listing = serde_json::json!({
            "version": 1, "lsn": 1, "taken_us": 0, "files": [{"path": path, "bytes": 1, "xxh3": "0"}],
        });
        std::fs::write(copy.join("backup.json"), listing.to_string()).unwrap();
        let error = restore(&copy, &dir.path().join("data")).unwrap_err();
        assert!(error.to_string().contains("is no path below the backup"), "{error}");
    }
}

#[test]
fn what_is_there_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(options(&dir.path().join("data"))).unwrap();
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    assert!(matches!(engine.backup(&who(), &copy), Err(Error::AlreadyExists { .. })));
    std::fs::remove_dir(&copy).unwrap();
    engine.backup(&who(), &copy).unwrap();
    assert!(matches!(engine.backup(&who(), &copy), Err(Error::AlreadyExists { .. })));
    let (empty, full) = (dir.path().join("empty"), dir.path().join("full"));
    std::fs::create_dir(&empty).unwrap();
    restore(&copy, &empty).unwrap();
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "x").unwrap();
    assert!(matches!(restore(&copy, &full), Err(Error::AlreadyExists { .. })));
    assert_eq!(std::fs::read(full.join("mine")).unwrap(), b"x");
    let error = restore(&full, &dir.path().join("other")).unwrap_err();
    assert!(error.to_string().contains("is no backup"), "{error}");
    engine.close().unwrap();
}

#[test]
fn whoever_takes_a_backup_may_read_everything() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(options(&dir.path().join("data"))).unwrap();
    engine.init_administrator("a password").unwrap();
    let log_in =
        |user: &str| engine.authenticate(Some(Credentials::Password { user, password: "a password" }), None).unwrap();
    let admin = log_in("admin");
    engine
        .create_user(&admin, UserSpec { name: "operator".to_owned(), ..UserSpec::default() }, Some("a password"))
        .unwrap();
    let copy = dir.path().join("copy");
    for right in [Right::Operate, Right::Read] {
        assert!(matches!(engine.backup(&log_in("operator"), &copy), Err(Error::PermissionDenied(_))));
        engine.grant(&admin, "operator", &Scope::SERVER, Rights::NONE.with(right)).unwrap();
    }
    engine.backup(&log_in("operator"), &copy).unwrap();
    engine.close().unwrap();
}

#[test]
fn segments_of_an_object_store_stay_there_and_are_read_by_a_restored_directory() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(InMemory::new());
    let remote = |dir: &Path| EngineOptions {
        segment_store: SegmentStore::Remote {
            store: bucket.clone(),
            prefix: "segments".into(),
            url: "memory:///segments".to_owned(),
        },
        ..options(dir)
    };
    let engine = Engine::open_with(remote(&dir.path().join("data"))).unwrap();
    let table = table::create(&engine, two_partitions());
    table::append(&engine, table.id, 0, 0..1_000, 0);
    engine.cut_segments(&who(), table.id).unwrap();
    let copy = dir.path().join("copy");
    let taken = engine.backup(&who(), &copy).unwrap();
    assert_eq!(taken.segments.as_deref(), Some("memory:///segments"));
    assert!(!copy.join("segments").exists());
    engine.close().unwrap();
    let data = dir.path().join("restored");
    restore(&copy, &data).unwrap();
    let restored = Engine::open_with(remote(&data)).unwrap();
    table::check(&restored, &table, 0, 0..1_000, |_| 0);
    restored.close().unwrap();
}
