//! The LSN of every retained row, and the row of every LSN, wherever the row lies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Engine, EngineOptions, Error, ErrorKind, Lsn, ManualClock, TableId, TableOptions, TopicId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::table::{self, who};

const PARTITIONS: u32 = 3;

/// Files and segments are small, and nothing happens by itself.
fn options(dir: &Path, clock: &Arc<ManualClock>) -> EngineOptions {
    EngineOptions {
        clock: clock.clone(),
        log_file_bytes: 32 << 10,
        tail_bytes: 4 << 10,
        segment_bytes: 32 << 10,
        maintenance_interval_ms: 3_600_000,
        ..EngineOptions::new(dir)
    }
}

/// What was acknowledged: (partition, offset) by LSN.
type Model = BTreeMap<u64, (u32, u64)>;

fn check(engine: &Engine, table: TableId, model: &Model) {
    let starts: Vec<u64> = engine.table_offsets(&who(), table).unwrap().iter().map(|(start, _)| *start).collect();
    for (lsn, (partition, offset)) in model {
        let retained = starts[*partition as usize] <= *offset;
        match engine.lsn_of(&who(), TopicId(table.0), *partition, *offset) {
            Ok(found) if retained => assert_eq!(found.0, *lsn, "{partition}/{offset}"),
            Err(Error::OffsetOutOfRange { .. }) if !retained => {}
            other => panic!("{partition}/{offset}, {lsn}: {other:?}"),
        }
        match engine.row_at(&who(), Lsn(*lsn)) {
            Ok(row) if retained => {
                assert_eq!((row.table, row.partition, row.offset), (table, *partition, *offset), "{lsn}");
            }
            Err(Error::NotFound { .. }) if !retained => {}
            other => panic!("{lsn}, {partition}/{offset}: {other:?}"),
        }
    }
    let end = engine.stats(&who()).unwrap().durable_lsn.0;
    for lsn in (0..end + 3).filter(|lsn| !model.contains_key(lsn)) {
        let none = engine.row_at(&who(), Lsn(lsn));
        assert!(matches!(none, Err(Error::NotFound { .. })), "{lsn} is no row's: {none:?}");
    }
    for partition in 0..PARTITIONS {
        let end = engine.table_offsets(&who(), table).unwrap()[partition as usize].1;
        let behind = engine.lsn_of(&who(), TopicId(table.0), partition, end);
        assert_eq!(behind.unwrap_err().kind(), ErrorKind::OutOfRange);
    }
}

#[test]
fn every_retained_row_has_its_lsn_and_every_lsn_its_row() {
    let first: u64 = rand::random();
    for seed in first..first + 4 {
        eprintln!("seed {seed}");
        let random = &mut StdRng::seed_from_u64(seed);
        let clock = Arc::new(ManualClock::new(0));
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
        let keep = TableOptions { partitions: PARTITIONS, retention_ms: Some(60_000), ..TableOptions::default() };
        let table = table::create(&engine, keep).id;
        let (mut model, mut ends) = (Model::new(), [0_u64; PARTITIONS as usize]);
        for _ in 0..60 {
            match random.random_range(0..100) {
                0..65 => {
                    let partition = random.random_range(0..PARTITIONS);
                    let from = ends[partition as usize];
                    let to = from + random.random_range(1..150);
                    table::append(&engine, table, partition, from..to, 0);
                    ends[partition as usize] = to;
                    // The log itself says what LSNs they got, in rising order.
                    let mut last = 0;
                    for offset in from..to {
                        let lsn = engine.lsn_of(&who(), TopicId(table.0), partition, offset).unwrap().0;
                        assert!(lsn > last && lsn <= engine.stats(&who()).unwrap().durable_lsn.0);
                        assert_eq!(model.insert(lsn, (partition, offset)), None, "given twice");
                        last = lsn;
                    }
                }
                65..80 => engine.cut_segments(&who(), table).unwrap(),
                80..88 => clock.advance(Duration::from_secs(random.random_range(1..30))),
                88..96 => engine.maintain(&who()).unwrap(),
                _ => {
                    engine.close().unwrap();
                    engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
                }
            }
        }
        check(&engine, table, &model);
        engine.cut_segments(&who(), table).unwrap();
        engine.maintain(&who()).unwrap();
        check(&engine, table, &model);
        engine.close().unwrap();
        let engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
        check(&engine, table, &model);
    }
}

#[test]
fn lsns_are_kept_when_small_segments_become_one() {
    let clock = Arc::new(ManualClock::new(0));
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
    let keep = TableOptions { partitions: PARTITIONS, retention_ms: None, ..TableOptions::default() };
    let table = table::create(&engine, keep).id;
    let mut model = Model::new();
    for round in 0..12 {
        for partition in 0..PARTITIONS {
            table::append(&engine, table, partition, round * 10..(round + 1) * 10, 0);
        }
        engine.cut_segments(&who(), table).unwrap();
    }
    for partition in 0..PARTITIONS {
        for offset in 0..120 {
            let lsn = engine.lsn_of(&who(), TopicId(table.0), partition, offset).unwrap();
            model.insert(lsn.0, (partition, offset));
        }
    }
    let before = engine.stats(&who()).unwrap().segments;
    engine.maintain(&who()).unwrap();
    let after = engine.stats(&who()).unwrap();
    assert!(before == 36 && after.segments <= 12 && after.log_files == 1, "{before} {after:?}");
    check(&engine, table, &model);
    engine.close().unwrap();
    let engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
    check(&engine, table, &model);
    // Other tables' segments do not answer for a table that is gone.
    engine.drop_table(&who(), "public", table::NAME, false).unwrap();
    let (lsn, _) = model.pop_first().unwrap();
    assert_eq!(engine.row_at(&who(), Lsn(lsn)).unwrap_err().kind(), ErrorKind::NotFound);
}
