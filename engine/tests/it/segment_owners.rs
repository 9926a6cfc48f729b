//! Several openings of one prefix of an object store: copies of a data directory, restored ones, strangers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Engine, EngineOptions, Error, ManualClock, SegmentStore, TableId, TableInfo, TableOptions};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::stores::{self, Hooked};
use crate::table::{self, who};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Nothing happens by itself, and every small segment is worth merging.
fn options(dir: &Path, store: &Arc<dyn ObjectStore>, clock: &Arc<ManualClock>) -> EngineOptions {
    let url = "memory://a/b".to_owned();
    EngineOptions {
        segment_store: SegmentStore::Remote { store: store.clone(), prefix: "a/b".to_owned(), url },
        clock: clock.clone(),
        log_file_bytes: 64 << 10,
        tail_bytes: 4 << 10,
        maintenance_interval_ms: 3_600_000,
        ..EngineOptions::new(dir)
    }
}

fn create(engine: &Engine) -> Arc<TableInfo> {
    table::create(engine, TableOptions { retention_ms: None, ..TableOptions::default() })
}

/// A data directory and what was acknowledged there.
struct Copy {
    dir: TempDir,
    engine: Option<Engine>,
    rows: u64,
    table: TableId,
}

impl Copy {
    fn first(store: &Arc<dyn ObjectStore>, clock: &Arc<ManualClock>) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open_with(options(dir.path(), store, clock)).unwrap();
        let table = create(&engine).id;
        Copy { dir, engine: Some(engine), rows: 0, table }
    }

    /// Of its directory as it is, open or not.
    fn again(&self) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        stores::copy_dir(self.dir.path(), dir.path());
        Copy { dir, engine: None, rows: self.rows, table: self.table }
    }

    fn open(&mut self, store: &Arc<dyn ObjectStore>, clock: &Arc<ManualClock>) -> &Engine {
        if self.engine.is_none() {
            self.engine = Some(Engine::open_with(options(self.dir.path(), store, clock)).unwrap());
        }
        self.engine.as_ref().unwrap()
    }

    fn close(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.close().unwrap();
        }
    }

    fn append(&mut self, rows: u64) {
        let Some(engine) = &self.engine else { return };
        table::append(engine, self.table, 0, self.rows..self.rows + rows, 0);
        self.rows += rows;
    }

    /// Cuts, merges, trims and deletes whatever is due; only a fence may be in the way.
    fn compact(&self) {
        let Some(engine) = &self.engine else { return };
        for outcome in [engine.cut_segments(&who(), self.table), engine.maintain(&who())] {
            assert!(matches!(outcome, Ok(()) | Err(Error::Fenced(_))), "{outcome:?}");
        }
    }

    fn check(&self) {
        let Some(engine) = &self.engine else { return };
        let info = engine.table(&who(), "public", table::NAME).unwrap();
        table::check(engine, &info, 0, 0..self.rows, |_| 0);
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.engine.as_ref().unwrap().events(&who()).unwrap().iter().map(|event| event.kind).collect()
    }
}

/// A store, and an open directory with so many segments in it.
fn compacted(segments: usize) -> (Arc<ManualClock>, Arc<dyn ObjectStore>, Copy) {
    let clock = Arc::new(ManualClock::new(0));
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut first = Copy::first(&store, &clock);
    for _ in 0..segments {
        first.append(100);
        first.compact();
    }
    (clock, store, first)
}

#[test]
fn copies_of_a_directory_over_one_bucket_lose_no_row() {
    let first: u64 = rand::random();
    for seed in first..first + 12 {
        eprintln!("seed {seed}");
        let random = &mut StdRng::seed_from_u64(seed);
        let clock = Arc::new(ManualClock::new(0));
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut copies = vec![Copy::first(&store, &clock)];
        for _ in 0..70 {
            let at = random.random_range(0..copies.len());
            match random.random_range(0..100) {
                0..40 => copies[at].append(random.random_range(1..300)),
                40..70 => copies[at].compact(),
                70..78 => copies[at].close(),
                78..84 if copies.len() < 4 => {
                    let mut again = copies[at].again();
                    again.open(&store, &clock);
                    copies.push(again);
                }
                84..90 => clock.advance(2 * DAY),
                _ => drop(copies[at].open(&store, &clock)),
            }
            copies.iter().for_each(Copy::check);
        }
        for _ in 0..2 {
            for copy in &mut copies {
                copy.open(&store, &clock);
                copy.compact();
                clock.advance(2 * DAY);
                copy.compact();
            }
            copies.iter().for_each(Copy::check);
        }
    }
}

#[test]
fn a_fenced_owner_stops_says_so_and_serves_what_it_has() {
    let (clock, store, mut original) = compacted(5);
    let mut copy = original.again();
    copy.open(&store, &clock);
    assert!(copy.kinds().contains(&"segment_store_contested"), "{:?}", copy.kinds());
    original.append(5_000);
    let engine = original.engine.as_ref().unwrap();
    let files = engine.stats(&who()).unwrap().log_files;
    let refused = engine.cut_segments(&who(), original.table);
    assert!(matches!(&refused, Err(Error::Fenced(why)) if why.contains("memory://a/b")), "{refused:?}");
    engine.maintain(&who()).unwrap();
    assert_eq!((engine.stats(&who()).unwrap().log_files, engine.segments_fenced_by()), (files, Some(2)));
    assert_eq!(original.kinds().iter().filter(|kind| **kind == "segment_store_fenced").count(), 1);
    // The copy merges, and gives what it merged no more than a name.
    copy.append(1_000);
    copy.compact();
    clock.advance(2 * DAY);
    copy.compact();
    assert_eq!(copy.engine.as_ref().unwrap().stats(&who()).unwrap().segment_store_kept_below, 2);
    original.append(10);
    original.check();
    copy.check();
    // The operator decides for the original: it goes on where it was.
    copy.close();
    original.close();
    original.open(&store, &clock);
    original.compact();
    original.check();
    assert_eq!(original.engine.as_ref().unwrap().segments_fenced_by(), None);
}

#[test]
fn an_owner_without_rivals_deletes_what_it_dropped_after_the_grace_period() {
    let (clock, store, mut only) = compacted(5);
    only.close();
    only.open(&store, &clock);
    only.compact();
    let before = stores::objects(&store, ".parquet").len();
    let listed = only.engine.as_ref().unwrap().stats(&who()).unwrap().segments as usize;
    assert!(before > listed, "dropped segments are still there: {before} of {listed}");
    clock.advance(DAY - Duration::from_secs(60));
    only.compact();
    assert_eq!(stores::objects(&store, ".parquet").len(), before);
    clock.advance(Duration::from_secs(61));
    only.compact();
    assert_eq!(stores::objects(&store, ".parquet").len(), listed);
    let stats = only.engine.as_ref().unwrap().stats(&who()).unwrap();
    assert_eq!((stats.segments_unlisted, stats.segment_store_epoch, stats.segment_store_kept_below), (0, 2, 0));
    only.check();
}

#[test]
fn a_clock_that_jumps_shortens_no_grace_period() {
    let (clock, store, mut only) = compacted(5);
    let before = stores::objects(&store, ".parquet").len();
    clock.set_wall_us(10 * 24 * 60 * 60 * 1_000_000);
    for reopened in [false, true] {
        if reopened {
            only.close();
            only.open(&store, &clock);
        }
        only.append(100);
        only.compact();
        only.compact();
        assert!(stores::objects(&store, ".parquet").len() > before, "reopened: {reopened}");
    }
    // What passes by both clocks counts.
    clock.advance(2 * DAY);
    only.compact();
    assert_eq!(
        stores::objects(&store, ".parquet").len() as u64,
        only.engine.as_ref().unwrap().stats(&who()).unwrap().segments
    );
    only.check();
}

#[test]
fn objects_kept_for_a_copy_go_at_the_operators_word() {
    let (clock, store, mut original) = compacted(3);
    original.close();
    // Restored from a backup, the original being lost.
    let mut restored = original.again();
    restored.open(&store, &clock);
    restored.append(100);
    restored.compact();
    clock.advance(2 * DAY);
    restored.compact();
    let kept = restored.engine.as_ref().unwrap().stats(&who()).unwrap();
    assert!(kept.segment_store_kept_below == 2 && kept.segments_unlisted > 0, "{kept:?}");
    restored.close();
    let released = EngineOptions { segment_release_epoch: 2, ..options(restored.dir.path(), &store, &clock) };
    restored.engine = Some(Engine::open_with(released).unwrap());
    restored.compact();
    let after = restored.engine.as_ref().unwrap().stats(&who()).unwrap();
    assert_eq!((after.segment_store_kept_below, after.segments_unlisted), (0, 0));
    assert_eq!(stores::objects(&store, ".parquet").len() as u64, after.segments);
    restored.check();
}

#[test]
fn an_owner_that_is_alive_is_heard_by_a_copy_that_does_not_know_it_is_one() {
    let (clock, store, mut original) = compacted(3);
    // As a snapshot of the whole disk: even the file's birth is the same.
    let mut snapshot = original.again();
    stores::hide_copying(snapshot.dir.path());
    snapshot.open(&store, &clock);
    assert!(!snapshot.kinds().contains(&"segment_store_contested"));
    snapshot.append(100);
    snapshot.compact();
    // The original has nothing to do, and hears of it all the same.
    clock.advance(Duration::from_secs(31));
    original.compact();
    assert!(original.kinds().contains(&"segment_store_fenced"));
    clock.advance(2 * DAY);
    snapshot.compact();
    assert!(snapshot.kinds().contains(&"segment_store_contested"), "{:?}", snapshot.kinds());
    original.close();
    original.open(&store, &clock);
    original.check();
    snapshot.check();
}

#[test]
fn what_a_crash_leaves_between_upload_and_record_is_known_by_its_name() {
    let clock = Arc::new(ManualClock::new(0));
    let crashed = tempfile::tempdir().unwrap();
    let hooked = Arc::new(Hooked::default());
    let store: Arc<dyn ObjectStore> = hooked.clone();
    let mut original = Copy::first(&store, &clock);
    original.append(100);
    let (from, to) = (original.dir.path().to_owned(), crashed.path().to_owned());
    let left = hooked.snapshot_after_put(".parquet", move || stores::copy_dir(&from, &to));
    original.compact();
    let left: Arc<dyn ObjectStore> = Arc::new(left.lock().take().expect("a segment was put"));
    assert_eq!(stores::objects(&left, ".parquet").len(), 1);
    stores::hide_copying(crashed.path());
    let mut again = Copy { dir: crashed, engine: None, rows: 100, table: original.table };
    again.open(&left, &clock);
    assert_eq!(again.engine.as_ref().unwrap().stats(&who()).unwrap().segments_unlisted, 1);
    clock.advance(2 * DAY);
    again.compact();
    let stats = again.engine.as_ref().unwrap().stats(&who()).unwrap();
    assert_eq!((stats.segments, stats.segments_unlisted), (1, 0));
    assert_eq!(stores::objects(&left, ".parquet").len(), 1, "the other one is gone");
    again.check();
}

#[test]
fn a_copy_that_is_too_old_says_what_it_misses() {
    let (clock, store, mut original) = compacted(3);
    let mut old = original.again();
    original.append(100);
    original.compact();
    clock.advance(2 * DAY);
    original.compact();
    original.close();
    old.open(&store, &clock);
    let events = old.engine.as_ref().unwrap().events(&who()).unwrap();
    let missing = events.iter().find(|event| event.kind == "segments_missing").expect("an event");
    assert!(missing.message.starts_with("3 segments"), "{}", missing.message);
    old.close();
    original.open(&store, &clock);
    original.check();
    assert!(!original.kinds().contains(&"segments_missing"));
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(Hooked::without_conditions());
    let refused = Engine::open_with(options(dir.path(), &store, &Arc::new(ManualClock::new(0))));
    assert!(matches!(&refused, Err(Error::FailedPrecondition(why)) if why.contains("If-None-Match")), "{refused:?}");
}

#[test]
fn a_prefix_without_epochs_is_taken_over_by_its_directory_alone() {
    let clock = Arc::new(ManualClock::new(0));
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let object = object_store::path::Path::from("a/b/millstream-owner");
    futures::executor::block_on(store.put(&object, "0123".into())).unwrap();
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(own.path().join("segment-store-identity"), "0123").unwrap();
    std::fs::write(other.path().join("segment-store-identity"), "4567").unwrap();
    for refused in [&other, &tempfile::tempdir().unwrap()] {
        let refused = Engine::open_with(options(refused.path(), &store, &clock));
        assert!(matches!(refused, Err(Error::FailedPrecondition(_))), "{refused:?}");
    }
    for epoch in 1..3 {
        let engine = Engine::open_with(options(own.path(), &store, &clock)).unwrap();
        let stats = engine.stats(&who()).unwrap();
        assert_eq!((stats.segment_store_epoch, stats.segment_store_kept_below), (epoch, 0));
        engine.close().unwrap();
    }
    let refused = Engine::open_with(options(other.path(), &store, &clock));
    assert!(matches!(refused, Err(Error::FailedPrecondition(_))), "{refused:?}");
    // Another bucket, by mistake: nothing of this directory is there.
    let empty: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let refused = Engine::open_with(options(own.path(), &empty, &clock));
    assert!(matches!(&refused, Err(Error::FailedPrecondition(why)) if why.contains("does not hold")), "{refused:?}");
}
